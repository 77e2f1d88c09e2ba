import asyncio
import threading
import time
from collections.abc import Sequence

import pytest

from stablellava.core.draft import Draft, DraftRequest
from stablellava.core.errors import BackendFailed
from stablellava.core.sample import Rejected
from stablellava.synthesis.chat_drafting.spending import LimitReached
from stablellava.synthesis.chat_drafting.streaming import DraftStream
from stablellava.synthesis.drafting import reject_request
from stablellava.synthesis.making import ShardTask
from stablellava.synthesis.planning import Tally, training_planner
from toys import toy_config, toy_material

SHARD_SIZE = 4


def tasks(num_shards: int) -> list[ShardTask]:
    planned = training_planner(toy_config(), toy_material().capabilities[0]).plan_round(
        0, num_shards * SHARD_SIZE, Tally()
    )
    return [
        ShardTask(f"animal/{index:03d}", requests=tuple(planned[index * SHARD_SIZE : (index + 1) * SHARD_SIZE]))
        for index in range(num_shards)
    ]


class Pen:
    """Drafts nothing but rejects, as slowly as told and never more at once than allowed."""

    def __init__(
        self,
        seconds: dict[str, float] | None = None,
        failing: dict[str, Exception] | None = None,
        failing_once: dict[str, str] | None = None,
        always_failing: dict[str, str] | None = None,
    ) -> None:
        self.seconds, self.failing = seconds or {}, failing or {}
        self.failing_once, self.always_failing = failing_once or {}, always_failing or {}
        self.begun: list[str] = []
        self.finished: list[str] = []
        self.num_open = self.most_open = 0
        self.is_closed = False

    async def draft_all(self, requests: Sequence[DraftRequest]) -> list[Draft | Rejected]:
        name = requests[0].draft_id
        self.begun.append(name)
        self.num_open += 1
        self.most_open = max(self.most_open, self.num_open)
        try:
            await asyncio.sleep(self.seconds.get(name, 0.001))
            if name in self.failing:
                raise self.failing[name]
        finally:
            self.num_open -= 1
        self.finished.append(name)
        reason = self.failing_once.pop(name, None) or self.always_failing.get(name, "empty")
        return [reject_request(request, reason, "") for request in requests]

    async def close(self) -> None:
        self.is_closed = True

    def stream(self, num_open: int = 4, drafts_per_call: int = 1) -> DraftStream:
        return DraftStream(self.draft_all, self.close, num_open, drafts_per_call)


def ids_of(task: ShardTask) -> list[str]:
    return [entry.draft_id for entry in task.imported if isinstance(entry, Rejected)]


def test_shards_come_in_order_with_a_draft_for_every_request() -> None:
    given = tasks(20)
    pen = Pen({given[3].requests[1].draft_id: 0.1})
    with pen.stream() as stream:
        handed = list(stream.stream(iter(given)))
    assert [task.shard_id for task in handed] == [task.shard_id for task in given]
    assert [ids_of(task) for task in handed] == [[one.draft_id for one in task.requests] for task in given]
    assert pen.most_open == 4
    assert pen.is_closed


def test_a_slow_draft_holds_back_its_own_shard_but_not_the_work_behind_it() -> None:
    given = tasks(30)
    slow = given[0].requests[0].draft_id
    pen = Pen({slow: 0.6})
    with pen.stream() as stream:
        handed = stream.stream(iter(given))
        first = next(handed)
        assert len(pen.finished) > 60, "the shards behind were drafted meanwhile"
        assert first.shard_id == given[0].shard_id
        assert len(list(handed)) == 29


def test_tasks_are_taken_no_further_ahead_than_allowed() -> None:
    given, taken = tasks(400), 0

    def counted():  # type: ignore[no-untyped-def]
        nonlocal taken
        for task in given:
            taken += 1
            yield task

    with Pen().stream() as stream:
        handed = stream.stream(counted())
        next(handed)
        time.sleep(0.3)
        assert taken * SHARD_SIZE <= 480 + 2 * SHARD_SIZE
        assert len(list(handed)) == 399


@pytest.mark.parametrize("error", [BackendFailed("the key is wrong"), LimitReached("max_calls")])
def test_what_was_drafted_before_a_failure_is_handed_on_first(error: Exception) -> None:
    given = tasks(6)
    pen = Pen(failing={given[3].requests[0].draft_id: error})
    handed: list[str] = []
    with pen.stream() as stream, pytest.raises(type(error), match=str(error)):
        handed.extend(task.shard_id for task in stream.stream(iter(given)))
    assert handed == [task.shard_id for task in given[: len(handed)]]
    assert len(handed) >= 2


def test_calls_on_their_way_are_finished_when_a_limit_is_reached() -> None:
    given = tasks(3)
    slow, stopping = given[0].requests[0].draft_id, given[0].requests[1].draft_id
    pen = Pen({slow: 0.3}, {stopping: LimitReached("max_cost")})
    with pen.stream() as stream, pytest.raises(LimitReached):
        list(stream.stream(iter(given)))
    assert slow in pen.finished
    assert len(pen.begun) < 8


def test_a_call_that_failed_in_passing_is_made_again_behind_the_others() -> None:
    given = tasks(10)
    broken = given[0].requests[0].draft_id
    pen = Pen({broken: 0.2}, failing_once={broken: "timed_out"})
    with pen.stream() as stream:
        handed = list(stream.stream(iter(given)))
    assert [task.shard_id for task in handed] == [task.shard_id for task in given]
    assert pen.begun.count(broken) == 2
    assert len(pen.begun) == 10 * SHARD_SIZE + 1
    assert pen.begun.index(broken, 1) > 4
    assert {entry.reason for task in handed for entry in task.imported if isinstance(entry, Rejected)} == {"empty"}


def test_a_call_that_fails_twice_is_a_reject() -> None:
    given = tasks(1)
    broken = given[0].requests[-1].draft_id
    pen = Pen(always_failing={broken: "server_error"})
    with pen.stream() as stream:
        (task,) = stream.stream(iter(given))
    assert [entry.reason for entry in task.imported if isinstance(entry, Rejected)][-1] == "server_error"
    assert pen.begun.count(broken) == 2


def test_a_broken_plan_ends_the_stream_with_its_error() -> None:
    def broken():  # type: ignore[no-untyped-def]
        yield tasks(1)[0]
        raise BackendFailed("no plan")

    with Pen().stream() as stream, pytest.raises(BackendFailed, match="no plan"):
        list(stream.stream(broken()))


def test_leaving_ends_the_thread_though_drafts_are_on_their_way() -> None:
    given = tasks(5)
    pen = Pen({given[1].requests[0].draft_id: 60.0})
    started = time.monotonic()
    with pen.stream() as stream:
        next(stream.stream(iter(given)))
    assert time.monotonic() - started < 5
    assert not any(thread.name == "drafting" for thread in threading.enumerate())
    assert pen.is_closed
