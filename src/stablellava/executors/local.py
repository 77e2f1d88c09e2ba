"""Run a task over items in local processes: results in order, one clear error when a process dies.

Processes are spawned, never forked, so threads and handles of the caller are not copied. Each builds its task
once (a painter's fonts, a model's weights) and then takes items one at a time. A process ends with its parent,
also when the parent is killed: a left-over painter must not write beside the one that goes on with the run.
"""

import multiprocessing
import os
import pickle
import signal
import threading
import traceback
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from multiprocessing import resource_tracker
from multiprocessing.connection import Connection, wait
from multiprocessing.context import SpawnProcess
from types import TracebackType
from typing import Any, Generic, Self, TypeVar

from stablellava.core.errors import BackendFailed, StableLlavaError
from stablellava.core.rank import WORKER_RANK_VARIABLE

Item = TypeVar("Item")
Result = TypeVar("Result")
_STOP_SECONDS = 5.0


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
        self._own_task: Callable[[Item], Result] | None = None

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, where: TracebackType | None
    ) -> None:
        self.close(is_orderly=error is None)

    def map_ordered(self, items: Sequence[Item]) -> Iterator[Result]:
        """Yield one result per item, in the order of the items, each as soon as those before it are done.

        Raises: what the task raised; BackendFailed if a process died.
        """
        if self._num_workers == 1:
            if self._own_task is None:
                self._own_task = self._build_task(*self._build_args)
            yield from map(self._own_task, items)
            return
        yield from self._map_over_processes(items)

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

    def _map_over_processes(self, items: Sequence[Item]) -> Iterator[Result]:
        while len(self._workers) < min(self._num_workers, len(items)):
            self._workers.append(self._start_worker())
        done: dict[int, Result] = {}
        next_item = 0
        for index in range(len(items)):
            while index not in done:
                for worker in self._workers:
                    if worker.index is None and next_item < len(items):
                        self._send(worker, next_item, items[next_item])
                        next_item += 1
                done.update(self._collect())
            yield done.pop(index)

    def _start_worker(self) -> _Worker:
        context = multiprocessing.get_context("spawn")
        ours, theirs = context.Pipe()
        rank = len(self._workers)
        process = context.Process(target=_serve, args=(theirs, rank, self._build_task, self._build_args), daemon=True)
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

    def _collect(self) -> dict[int, Result]:
        """Wait for at least one result and return all that are there."""
        busy = {worker.pipe: worker for worker in self._workers if worker.index is not None}
        collected: dict[int, Result] = {}
        for pipe in wait(list(busy)):
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


def _death_of(worker: _Worker) -> BackendFailed:
    worker.process.join(_STOP_SECONDS)
    return BackendFailed(
        f"a worker process died (exit code {worker.process.exitcode}); memory running out is the usual cause. "
        "Run again to go on where it stopped, with fewer processes (num_workers) if it happens again"
    )


def _serve(
    pipe: Connection, rank: int, build_task: Callable[..., Callable[[Any], Any]], build_args: tuple[Any, ...]
) -> None:
    """Answer items until the pipe closes."""
    os.environ[WORKER_RANK_VARIABLE] = str(rank)
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
