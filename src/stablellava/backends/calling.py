"""Calling a chat model from synchronous code: many calls at once, on one event loop."""

import asyncio
from collections.abc import Awaitable, Callable, Iterator, Sequence
from typing import Generic, TypeVar

from stablellava.backends.protocols import ChatModel

Result = TypeVar("Result")
Job = Callable[[], Awaitable[Result]]
"""Makes a call when it is its turn; pictures are read no earlier."""


class ChatCalls(Generic[Result]):
    """Keeps as many calls open as the model wants; connections live as long as this does."""

    def __init__(self, chat: ChatModel) -> None:
        self._chat = chat
        self._runner = asyncio.Runner()

    def stream(self, jobs: Sequence[Job[Result]]) -> Iterator[tuple[int, Result]]:
        """Yield (place of the job, what it returned) as they come.

        Raises: what a job raises; the others are then cancelled.
        """
        pending: dict[asyncio.Future[Result], int] = self._runner.run(self._start(jobs))
        try:
            while pending:
                done, _ = self._runner.run(asyncio.wait(pending, return_when=asyncio.FIRST_COMPLETED))
                # A failure must not cost the answers that came with it.
                for future in sorted(done, key=lambda one: one.exception() is not None):
                    yield pending.pop(future), future.result()
        finally:
            if pending:
                self._runner.run(_cancel(list(pending)))

    def run(self, jobs: Sequence[Job[Result]]) -> list[Result]:
        """Return what the jobs returned, in their order.

        Raises: what a job raises; the others are then cancelled.
        """
        found = dict(self.stream(jobs))
        return [found[place] for place in range(len(jobs))]

    def close(self) -> None:
        """Let go of the model's connections."""
        self._runner.run(self._chat.close())
        self._runner.close()

    async def _start(self, jobs: Sequence[Job[Result]]) -> dict[asyncio.Future[Result], int]:
        is_free = asyncio.Semaphore(self._chat.max_in_flight)

        async def run(job: Job[Result]) -> Result:
            async with is_free:
                return await job()

        return {asyncio.ensure_future(run(job)): place for place, job in enumerate(jobs)}


async def _cancel(futures: Sequence[asyncio.Future[Result]]) -> None:
    for future in futures:
        future.cancel()
    await asyncio.gather(*futures, return_exceptions=True)
