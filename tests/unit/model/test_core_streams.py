import threading
from collections.abc import Iterator

import pytest
import torch

from stablellava.model.core_streams import in_turn, on_every_core


@pytest.fixture
def three_threads() -> Iterator[int]:
    before = torch.get_num_threads()
    torch.set_num_threads(3)
    yield 3
    torch.set_num_threads(before)


def test_results_come_in_the_order_of_the_jobs() -> None:
    is_second_done = threading.Event()

    def work(job: int) -> int:
        if job == 0:
            assert is_second_done.wait(10)
        if job == 1:
            is_second_done.set()
        return job * 10

    assert list(in_turn(work, range(5), 2)) == [0, 10, 20, 30, 40]


def test_work_runs_no_further_ahead_than_two_jobs_a_thread() -> None:
    asked: list[int] = []

    def jobs() -> Iterator[int]:
        for job in range(100):
            asked.append(job)
            yield job

    results = in_turn(lambda job: job, jobs(), 2)
    assert next(results) == 0
    assert len(asked) == 5
    results.close()
    assert len(asked) == 5


def test_an_error_in_a_thread_is_raised_in_its_place() -> None:
    results = in_turn(lambda job: 1 // job, (1, 0, 1), 2)
    assert next(results) == 1
    with pytest.raises(ZeroDivisionError):
        next(results)


def test_each_job_has_one_thread_of_torch_and_the_caller_keeps_its_own(three_threads: int) -> None:
    seen = list(on_every_core(lambda job: torch.get_num_threads(), range(6)))
    assert seen == [1] * 6
    assert torch.get_num_threads() == three_threads


def test_the_caller_keeps_its_threads_after_an_error(three_threads: int) -> None:
    with pytest.raises(ZeroDivisionError):
        list(on_every_core(lambda job: 1 // job, (0,)))
    assert torch.get_num_threads() == three_threads


def test_who_stops_asking_does_not_wait_for_jobs_that_have_not_begun() -> None:
    begun: list[int] = []
    is_second_begun, may_end = threading.Event(), threading.Event()

    def work(job: int) -> int:
        begun.append(job)
        if job == 1:
            is_second_begun.set()
            assert may_end.wait(10)
        return job

    results = in_turn(work, range(9), 1)
    assert next(results) == 0
    assert is_second_begun.wait(10)
    threading.Timer(0.05, may_end.set).start()
    results.close()
    assert begun == [0, 1]
