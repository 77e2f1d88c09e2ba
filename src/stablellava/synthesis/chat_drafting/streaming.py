"""Drafting many shards at once, and handing them on in planned order.

One event loop in a thread keeps as many drafts open as the chat model takes calls. A shard is handed on as soon as
it and those before it are drafted; the next ones are begun long before, up to a look-ahead that bounds memory.
"""

import asyncio
import threading
from collections import deque
from collections.abc import Awaitable, Callable, Generator, Iterable, Sequence
from dataclasses import dataclass, replace
from queue import SimpleQueue
from types import TracebackType
from typing import Self

from stablellava.core.chat import PASSING_FAILURES
from stablellava.core.draft import Draft, DraftRequest
from stablellava.core.sample import Rejected
from stablellava.synthesis.chat_drafting.spending import LimitReached
from stablellava.synthesis.making import ShardTask
from stablellava.synthesis.taking import GivenDraft

DraftAll = Callable[[Sequence[DraftRequest]], Awaitable[list[Draft | Rejected]]]
_STOP_SECONDS = 5.0
_GRACE_SECONDS = 3.0
"""For calls on their way when the model fails: an answer that still comes is kept."""
_LOOK_AHEAD_PER_CALL = 3
_MIN_LOOK_AHEAD = 480


@dataclass(slots=True)
class _Shard:
    task: ShardTask
    results: list[Draft | Rejected | None]
    num_missing: int


@dataclass(frozen=True, slots=True)
class _Unit:
    """Requests of a shard that may share a call."""

    shard: _Shard
    start: int
    is_second_try: bool = False


class DraftStream:
    """Use as a context manager; leaving it ends the thread, the calls on their way and the chat model.

    Args:
        draft_all: drafts requests of one capability that may share a call.
        close: lets go of what ``draft_all`` uses; awaited at the end.
        num_open: drafts (or shared calls) worked on at a time.
        drafts_per_call: requests given to ``draft_all`` at once.
    """

    def __init__(
        self, draft_all: DraftAll, close: Callable[[], Awaitable[None]], num_open: int, drafts_per_call: int = 1
    ) -> None:
        self._draft_all = draft_all
        self._close = close
        self._num_open = num_open
        self._drafts_per_call = drafts_per_call
        self._look_ahead = max(_MIN_LOOK_AHEAD, _LOOK_AHEAD_PER_CALL * num_open * drafts_per_call)
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._loop.run_forever, name="drafting", daemon=True)

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, where: TracebackType | None
    ) -> None:
        asyncio.run_coroutine_threadsafe(self._end_tasks(), self._loop)
        self._thread.join(_STOP_SECONDS)
        if not self._thread.is_alive():
            self._loop.close()

    def stream(self, tasks: Iterable[ShardTask]) -> Generator[ShardTask, None, None]:
        """Yield every task with its requests drafted, in order; tasks are taken as they are needed.

        Raises: BackendFailed, RecordError, LimitReached, once the shards drafted before it are handed on.
        """
        handed: SimpleQueue[ShardTask | Exception | None] = SimpleQueue()
        run = _StreamRun(self._draft_all, handed, self._num_open, self._drafts_per_call, self._look_ahead)
        running = asyncio.run_coroutine_threadsafe(run.run(tasks), self._loop)
        try:
            while (item := handed.get()) is not None:
                if isinstance(item, Exception):
                    raise item
                yield item
                self._loop.call_soon_threadsafe(run.make_room, len(item.imported))
        finally:
            running.cancel()

    async def _end_tasks(self) -> None:
        tasks = [task for task in asyncio.all_tasks() if task is not asyncio.current_task()]
        for task in tasks:
            task.cancel()
        await asyncio.wait(tasks, timeout=_GRACE_SECONDS) if tasks else None
        try:
            await self._close()
        finally:
            self._loop.stop()


class _StreamRun:
    """One pass over tasks; lives in the event loop."""

    def __init__(
        self,
        draft_all: DraftAll,
        handed: "SimpleQueue[ShardTask | Exception | None]",
        num_open: int,
        drafts_per_call: int,
        look_ahead: int,
    ) -> None:
        self._draft_all = draft_all
        self._handed = handed
        self._num_open = num_open
        self._drafts_per_call = drafts_per_call
        self._look_ahead = look_ahead
        self._num_ahead = 0
        self._room = asyncio.Event()
        self._units: asyncio.Queue[_Unit | None] = asyncio.Queue()
        self._num_open_units = 0
        self._is_planned = False
        self._open: deque[_Shard] = deque()
        self._is_stopping = False

    async def run(self, tasks: Iterable[ShardTask]) -> None:
        producer = asyncio.create_task(self._produce(tasks))
        workers = {asyncio.create_task(self._work()) for _ in range(self._num_open)}
        try:
            done, _ = await asyncio.wait({producer, *workers}, return_when=asyncio.FIRST_EXCEPTION)
            error = next((exc for task in done if (exc := task.exception()) is not None), None)
            if error is not None:
                producer.cancel()
                self._stop()
                # Answers on their way are paid for: within a limit all of them are waited for.
                await asyncio.wait(workers, timeout=None if isinstance(error, LimitReached) else _GRACE_SECONDS)
            self._handed.put(error if error is None or isinstance(error, Exception) else RuntimeError(repr(error)))
        except asyncio.CancelledError:
            self._handed.put(None)  # nobody is left waiting
            raise
        finally:
            self._stop()  # cancelling thousands that wait for a unit takes seconds: each is searched for among them
            for task in (producer, *workers):
                task.cancel()
            await asyncio.gather(producer, *workers, return_exceptions=True)

    def make_room(self, num_drafts: int) -> None:
        """Let further drafts be begun in place of those that were taken."""
        self._num_ahead -= num_drafts
        self._room.set()

    async def _produce(self, tasks: Iterable[ShardTask]) -> None:
        loop, rest = asyncio.get_running_loop(), iter(tasks)
        # Planning many drafts, or waiting until there is something to plan, must not keep answers waiting.
        while (task := await loop.run_in_executor(None, next, rest, None)) is not None:
            num = len(task.requests)
            while self._num_ahead and self._num_ahead + num > self._look_ahead:
                self._room.clear()
                await self._room.wait()
            self._num_ahead += num
            shard = _Shard(task, [None] * num, num)
            self._open.append(shard)
            for start in range(0, num, self._drafts_per_call):
                self._num_open_units += 1
                self._units.put_nowait(_Unit(shard, start))
        self._is_planned = True
        self._stop_if_done()

    def _stop_if_done(self) -> None:
        if self._is_planned and not self._num_open_units:
            self._stop_when_empty()

    def _stop_when_empty(self) -> None:
        for _ in range(self._num_open):
            self._units.put_nowait(None)

    def _stop(self) -> None:
        self._is_stopping = True
        self._stop_when_empty()

    async def _work(self) -> None:
        while (unit := await self._units.get()) is not None and not self._is_stopping:
            shard, end = unit.shard, min(unit.start + self._drafts_per_call, len(unit.shard.results))
            results = await self._draft_all(shard.task.requests[unit.start : end])
            if not unit.is_second_try and any(map(_may_pass, results)):
                # Behind all that waits: a server that was restarted answers again by then, and kept answers are free.
                self._units.put_nowait(replace(unit, is_second_try=True))
                continue
            shard.results[unit.start : end] = results
            shard.num_missing -= end - unit.start
            self._num_open_units -= 1
            while self._open and not self._open[0].num_missing:
                self._handed.put(_give(self._open.popleft()))
            self._stop_if_done()


def _may_pass(result: Draft | Rejected) -> bool:
    return isinstance(result, Rejected) and result.reason in PASSING_FAILURES


def _give(shard: _Shard) -> ShardTask:
    entries: list[GivenDraft | Rejected] = []
    for request, result in zip(shard.task.requests, shard.results, strict=True):
        assert result is not None
        entries.append(result if isinstance(result, Rejected) else GivenDraft(result, request.keyword))
    return ShardTask(shard.task.shard_id, imported=tuple(entries))
