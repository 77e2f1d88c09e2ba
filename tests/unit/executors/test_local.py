import multiprocessing
import os
import signal
import threading
import time
from collections.abc import Callable, Iterator

import pytest

from stablellava.core.errors import BackendFailed, RecordError
from stablellava.executors.local import LocalExecutor


def build_doubler(factor: int) -> Callable[[int], int]:
    def double(item: int) -> int:
        # Earlier items take longer, so completion order is not the order asked for.
        time.sleep(0.02 * (5 - item) if item < 5 else 0)
        return item * factor

    return double


def build_failing(kind: str) -> Callable[[int], int]:
    def fail(item: int) -> int:
        if item != 3:
            return item
        if kind == "die":
            os.kill(os.getpid(), signal.SIGKILL)
        if kind == "user":
            raise RecordError("item 3 is wrong; take another")
        raise ZeroDivisionError("our bug")

    return fail


@pytest.mark.parametrize("num_workers", [1, 3])
def test_results_come_in_the_order_of_the_items(num_workers: int) -> None:
    with LocalExecutor(build_doubler, (10,), num_workers) as executor:
        assert list(executor.map_ordered(range(8))) == [item * 10 for item in range(8)]
        assert list(executor.map_ordered([7])) == [70]


def test_what_was_begun_for_results_nobody_took_is_not_taken_for_others() -> None:
    with LocalExecutor(build_doubler, (1,), 2) as executor:
        left = executor.map_ordered([100, 100, 3])
        assert [next(left), next(left)] == [100, 100]
        left.close()
        assert list(executor.map_ordered([7, 8, 0])) == [7, 8, 0], "3 is done before 0 is"


def test_leaving_the_executor_ends_its_processes() -> None:
    with LocalExecutor(build_doubler, (1,), 2) as executor:
        list(executor.map_ordered(range(3)))
        assert len(multiprocessing.active_children()) == 2
    assert multiprocessing.active_children() == []


def test_a_users_mistake_in_a_worker_arrives_as_it_is() -> None:
    with pytest.raises(RecordError, match="item 3 is wrong"), LocalExecutor(build_failing, ("user",), 2) as executor:
        list(executor.map_ordered(range(5)))


def test_a_bug_in_a_worker_arrives_with_its_traceback() -> None:
    with pytest.raises(ZeroDivisionError) as caught, LocalExecutor(build_failing, ("bug",), 2) as executor:
        list(executor.map_ordered(range(5)))
    assert "in fail" in caught.value.__notes__[0]


def test_a_worker_that_dies_is_one_clear_error() -> None:
    message = r"died \(exit code -9\).*Run again"
    with pytest.raises(BackendFailed, match=message), LocalExecutor(build_failing, ("die",), 2) as executor:
        list(executor.map_ordered(range(5)))
    assert multiprocessing.active_children() == []


@pytest.mark.parametrize("num_workers", [1, 2])
def test_items_are_taken_as_they_are_needed(num_workers: int) -> None:
    taken: list[int] = []

    def items() -> Iterator[int]:
        for item in range(1000):
            taken.append(item)
            yield item

    with LocalExecutor(build_doubler, (10,), num_workers) as executor:
        results = executor.map_ordered(items())
        assert [next(results) for _ in range(3)] == [0, 10, 20]
        assert len(taken) < 40
        results.close()


def test_a_result_is_given_while_the_next_item_is_long_in_coming() -> None:
    came = threading.Event()

    def items() -> Iterator[int]:
        yield 7
        came.wait(20)
        yield 8

    with LocalExecutor(build_doubler, (10,), 2) as executor:
        results = executor.map_ordered(items())
        assert next(results) == 70
        came.set()
        assert list(results) == [80]


@pytest.mark.parametrize("num_workers", [1, 2])
def test_what_came_before_a_broken_item_is_given_first(num_workers: int) -> None:
    def items() -> Iterator[int]:
        yield from range(3)
        raise BackendFailed("no more")

    given: list[int] = []
    with LocalExecutor(build_doubler, (10,), num_workers) as executor, pytest.raises(BackendFailed, match="no more"):
        given.extend(executor.map_ordered(items()))
    assert given == [0, 10, 20]
