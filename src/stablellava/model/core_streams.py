"""Work on the processor in streams: one whole piece of it per core, instead of every core at every piece."""

from collections import deque
from collections.abc import Callable, Generator, Iterable
from concurrent.futures import Future, ThreadPoolExecutor
from itertools import islice
from typing import TypeVar

import torch

Job = TypeVar("Job")
Result = TypeVar("Result")

_NUM_AHEAD = 2
"""Pieces a thread may be ahead of what was taken."""


def in_turn(
    work: Callable[[Job], Result],
    jobs: Iterable[Job],
    num_threads: int,
    begin: Callable[[], None] | None = None,
) -> Generator[Result, None, None]:
    """Yield the results in the jobs' order while threads work on the next ones; each thread calls ``begin`` once.

    After an error, or when it is closed, it waits for the jobs that have begun and starts no other.
    """
    waiting = iter(jobs)
    pool = ThreadPoolExecutor(num_threads, thread_name_prefix="stream", initializer=begin)
    try:
        first = islice(waiting, _NUM_AHEAD * num_threads)
        coming: deque[Future[Result]] = deque(pool.submit(work, job) for job in first)
        while coming:
            result = coming.popleft().result()
            coming.extend(pool.submit(work, job) for job in islice(waiting, 1))
            yield result
    finally:
        pool.shutdown(cancel_futures=True)


def on_every_core(work: Callable[[Job], Result], jobs: Iterable[Job]) -> Generator[Result, None, None]:
    """Yield the results in the jobs' order, as many jobs at once as torch may use threads, each on one thread.

    Small kernels on several threads mostly wait for each other, and their sums depend on how many there are; one
    thread a job computes the same bits on any number of cores. Close it where it is not read to its end: until then,
    threads that start elsewhere would use one core, too.
    """
    num_threads = torch.get_num_threads()
    try:
        yield from in_turn(work, jobs, num_threads, lambda: torch.set_num_threads(1))
    finally:
        # Each thread has its own number, but one that starts later takes the number that was set last.
        torch.set_num_threads(num_threads)
