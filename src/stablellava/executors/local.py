"""Run a task over items in local processes: results in order, one clear error when a process dies.

Processes are spawned, never forked, so threads and handles of the caller are not copied. Each builds its task
once (a painter's fonts, a model's weights) and then takes items one at a time. A process ends with its parent,
also when the parent is killed: a left-over painter must not write beside the one that goes on with the run.
"""

import multiprocessing
import os
import pickle
import queue
import signal
import sys
import threading
import traceback
from collections.abc import Callable, Generator, Iterable, Iterator
from dataclasses import dataclass
from multiprocessing import resource_tracker
from multiprocessing.connection import Connection, wait
from multiprocessing.context import SpawnProcess
from types import TracebackType
from typing import Any, Generic, Self, TypeVar

from stablellava.core.errors import BackendFailed, StableLlavaError
from stablellava.core.rank import NUM_WORKERS_VARIABLE, WORKER_RANK_VARIABLE

Item = TypeVar("Item")
Result = TypeVar("Result")
_STOP_SECONDS = 5.0
_POLL_SECONDS = 0.2
_AHEAD_PER_WORKER = 8


def count_cores() -> int:
    """Return how many cores this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


@dataclass
class _Worker:
    process: SpawnProcess
    pipe: Connection
    index: int | None = None
    """Which item it is at; None when idle."""


class LocalExecutor(Generic[Item, Result]):
    """Use as a context manager; leaving it ends the processes.

    Args:
        build_task: module-level function that returns the task; called once per process with ``build_args``.
            A task with a method ``close`` is closed when it worked in this process.
        build_args: values that can be pickled.
        num_workers: processes; 0 takes one per core, 1 works in this process.
    """

    def __init__(
        self, build_task: Callable[..., Callable[[Item], Result]], build_args: tuple[Any, ...], num_workers: int = 0
    ) -> None:
        self._build_task = build_task
        self._build_args = build_args
        self._num_workers = num_workers or count_cores()
        self._workers: list[_Worker] = []
        self._num_sent = 0
        self._own_task: Callable[[Item], Result] | None = None

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, where: TracebackType | None
    ) -> None:
        self.close(is_orderly=error is None)

    def map_ordered(self, items: Iterable[Item]) -> Generator[Result, None, None]:
        """Yield one result per item, in the order of the items, each as soon as those before it are done.

        Items are taken as they are needed, by a thread of its own where there are several processes: one that is
        long in coming holds back no result.

        Raises: what the task or the items raised; BackendFailed if a process died.
        """
        if self._num_workers == 1:
            self._own_task = self._own_task or self._build_task(*self._build_args)
            yield from map(self._own_task, items)
            return
        feed = _Feed(items, self._num_workers)
        try:
            yield from self._map_over_processes(feed)
        finally:
            feed.stop()

    def close(self, is_orderly: bool) -> None:
        """End the processes; without order they are not waited for to finish what they are at."""
        for worker in self._workers:
            worker.pipe.close()
            if not is_orderly:
                worker.process.terminate()
        for worker in self._workers:
            worker.process.join(_STOP_SECONDS)
            if worker.process.is_alive():
                worker.process.kill()
                worker.process.join()
        self._workers = []
        close_task = getattr(self._own_task, "close", None)
        self._own_task = None
        if close_task is not None:
            close_task()

    def _map_over_processes(self, feed: "_Feed[Item]") -> Iterator[Result]:
        done: dict[int, Result] = {}
        # Counted over all calls: a worker may still be at an item of an earlier one, whose results nobody took.
        num_given = self._num_sent
        while True:
            while num_given in done:
                yield done.pop(num_given)
                num_given += 1
            # One slow item must not let the results behind it pile up.
            while feed.has_item and self._num_sent - num_given < self._num_workers * _AHEAD_PER_WORKER:
                worker = self._find_idle()
                if worker is None:
                    break
                self._send(worker, self._num_sent, feed.take())
                self._num_sent += 1
            if feed.is_over and num_given == self._num_sent:
                feed.raise_error()
                return
            if num_given not in done:
                done.update(self._collect(feed))

    def _find_idle(self) -> _Worker | None:
        idle = next((worker for worker in self._workers if worker.index is None), None)
        if idle is None and len(self._workers) < self._num_workers:
            idle = self._start_worker()
            self._workers.append(idle)
        return idle

    def _start_worker(self) -> _Worker:
        context = multiprocessing.get_context("spawn")
        ours, theirs = context.Pipe()
        variables = {WORKER_RANK_VARIABLE: str(len(self._workers)), NUM_WORKERS_VARIABLE: str(self._num_workers)}
        arguments = (theirs, variables, self._build_task, self._build_args)
        process = context.Process(target=_serve, args=arguments, daemon=True)
        # Ctrl-C is the parent's to handle; what is blocked here stays blocked in the new process.
        # The tracker unblocks Ctrl-C when it is first started, so it must be there before.
        resource_tracker.ensure_running()
        unblocked = signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGINT})
        try:
            process.start()
        finally:
            signal.pthread_sigmask(signal.SIG_SETMASK, unblocked)
        theirs.close()
        return _Worker(process, ours)

    def _send(self, worker: _Worker, index: int, item: Item) -> None:
        worker.index = index
        try:
            worker.pipe.send(item)
        except (BrokenPipeError, ConnectionResetError) as exc:
            raise _death_of(worker) from exc

    def _collect(self, feed: "_Feed[Item]") -> dict[int, Result]:
        """Wait for a result or a further item, and return all results that are there."""
        busy = {worker.pipe: worker for worker in self._workers if worker.index is not None}
        collected: dict[int, Result] = {}
        for pipe in wait([*busy, *feed.signals]):
            if pipe in feed.signals:
                continue
            worker = busy[pipe]  # type: ignore[index]  # wait returns the very objects it was given
            try:
                error, result = worker.pipe.recv()
            except (EOFError, ConnectionResetError) as exc:
                raise _death_of(worker) from exc
            if error is not None:
                raise error
            assert worker.index is not None
            collected[worker.index] = result
            worker.index = None
        return collected


class _Feed(Generic[Item]):
    """Takes items in a thread, a few ahead; its signal can be waited for beside the workers' pipes."""

    def __init__(self, items: Iterable[Item], num_ahead: int) -> None:
        self._queue: queue.Queue[Item | _End] = queue.Queue(num_ahead)
        self._reader, self._writer = multiprocessing.Pipe(duplex=False)
        self._next: Item | _End | None = None
        self._is_stopped = False
        self._thread = threading.Thread(target=self._run, args=(items,), name="feed", daemon=True)
        self._thread.start()

    @property
    def has_item(self) -> bool:
        """Whether ``take`` has something to give now."""
        if self._next is None and self._reader.poll():
            self._reader.recv_bytes()
            self._next = self._queue.get()
        return self._next is not None and not isinstance(self._next, _End)

    @property
    def is_over(self) -> bool:
        return isinstance(self._next, _End)

    @property
    def signals(self) -> tuple[Connection, ...]:
        """What to wait for; nothing while an item lies ready, or when there will be none."""
        return (self._reader,) if self._next is None else ()

    def raise_error(self) -> None:
        """Raise what the items raised, if they did."""
        if isinstance(self._next, _End) and self._next.error is not None:
            raise self._next.error

    def take(self) -> Item:
        """Return the item that lies ready."""
        item, self._next = self._next, None
        assert item is not None and not isinstance(item, _End)
        return item

    def stop(self) -> None:
        """Let the thread end; it does so when the item it waits for has come."""
        self._is_stopped = True

    def _run(self, items: Iterable[Item]) -> None:
        error: Exception | None = None
        try:
            for item in items:
                if not self._put(item):
                    return
        except Exception as exc:  # belongs to whoever maps over the items
            error = exc
        self._put(_End(error))

    def _put(self, entry: "Item | _End") -> bool:
        while not self._is_stopped:
            try:
                self._queue.put(entry, timeout=_POLL_SECONDS)
            except queue.Full:
                continue
            self._writer.send_bytes(b".")
            return True
        return False


@dataclass(frozen=True)
class _End:
    error: Exception | None


def _death_of(worker: _Worker) -> BackendFailed:
    worker.process.join(_STOP_SECONDS)
    return BackendFailed(
        f"a worker process died (exit code {worker.process.exitcode}); memory running out is the usual cause. "
        "Run again to go on where it stopped, with fewer processes (num_workers) if it happens again"
    )


def _serve(
    pipe: Connection,
    variables: dict[str, str],
    build_task: Callable[..., Callable[[Any], Any]],
    build_args: tuple[Any, ...],
) -> None:
    """Answer items until the pipe closes."""
    os.environ.update(variables)
    # What is half written is taken away on the way out.
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(1))
    threading.Thread(target=_end_with_parent, daemon=True).start()
    try:
        task: Callable[[Any], Any] | None = None
        while True:
            item = pipe.recv()
            try:
                task = task or build_task(*build_args)
                answer: tuple[Exception | None, Any] = (None, task(item))
            except Exception as exc:  # every error of a task belongs to the caller
                answer = (_portable(exc), None)
            pipe.send(answer)
    except (EOFError, BrokenPipeError, ConnectionResetError):
        return


def _end_with_parent() -> None:
    parent = multiprocessing.parent_process()
    assert parent is not None
    wait([parent.sentinel])
    os._exit(1)


def _portable(error: Exception) -> Exception:
    """Return an error that survives the pipe, with the worker's traceback as a note."""
    where = "".join(traceback.format_exception(error))
    if not isinstance(error, StableLlavaError):
        error.add_note(f"in a worker process:\n{where}")
    try:
        pickle.loads(pickle.dumps(error))  # noqa: S301  (our own bytes)
    except Exception:  # whatever a foreign error does when it is pickled
        return RuntimeError(f"a task failed in a worker process:\n{where}")
    return error
