"""A chat model whose calls are answered by its provider's batch files: within a day, for less money."""

import asyncio
import logging

from stablellava.backends.batching import BatchingModel, answer_in_batches, has_open_batches
from stablellava.backends.remembering import answer_key, restore_reply
from stablellava.backends.response_cache import ResponseCache
from stablellava.core.chat import ChatFailure, ChatReply, ChatRequest

_MAX_IN_FLIGHT = 20_000
"""Bounds memory: so many calls wait for one batch."""
_QUIET_SECONDS = 2.0
_Waiting = tuple[ChatRequest, "asyncio.Future[ChatReply | ChatFailure]"]
_logger = logging.getLogger(__name__)


class BatchedChat:
    """Gathers calls until no further one comes for a moment, and has them answered together.

    The first call that no open batch has an answer for goes out at once: a wrong key or a refused schema shows within
    seconds, not after a day.

    Args:
        chat: takes batch files.
        cache: keeps the answers and what is known of open batches; a killed run goes on with those.
        poll_seconds: how often to look whether a batch has ended.
    """

    max_in_flight = _MAX_IN_FLIGHT

    def __init__(self, chat: BatchingModel, cache: ResponseCache, poll_seconds: float) -> None:
        self._chat = chat
        self._cache = cache
        self._poll_seconds = poll_seconds
        self.name = chat.name
        self.revision = chat.revision
        self._is_tried = False
        self._trying = asyncio.Lock()
        self._waiting: list[_Waiting] = []
        self._answering: asyncio.Task[None] | None = None

    async def ask(self, request: ChatRequest) -> ChatReply | ChatFailure:
        """Return the answer, or why this one request has none.

        Raises: BackendFailed when the provider refuses a whole batch or cannot be reached, RecordError when the
        cache cannot be written.
        """
        async with self._trying:
            if not self._is_tried:
                return await self._try(request)
        answered = asyncio.get_running_loop().create_future()
        self._waiting.append((request, answered))
        if self._answering is None or self._answering.done():
            self._answering = asyncio.create_task(self._answer_all())
        found: ChatReply | ChatFailure = await answered
        return found

    async def close(self) -> None:
        """Close the connections; batches that are open stay open."""
        await self._chat.close()

    async def _try(self, request: ChatRequest) -> ChatReply | ChatFailure:
        if has_open_batches(self._chat, self._cache):
            _logger.warning("%s: waiting for batch files of an earlier start, which may take a day", self.name)
            await answer_in_batches(self._chat, self._cache, (), self._poll_seconds)
        if collected := self._find(request):
            return collected
        answer = await self._chat.ask(request)
        self._is_tried = True
        return answer

    async def _answer_all(self) -> None:
        while self._waiting:
            await self._until_quiet()
            waiting, self._waiting = self._waiting, []
            _logger.warning("%s: %d calls go out as batch files, which may take a day", self.name, len(waiting))
            try:
                await self._answer_together(waiting)
            except Exception as exc:  # belongs to whoever waits
                for _, answered in waiting:
                    if not answered.done():
                        answered.set_exception(exc)

    async def _until_quiet(self) -> None:
        num = 0
        while num < len(self._waiting):
            num = len(self._waiting)
            await asyncio.sleep(_QUIET_SECONDS)

    async def _answer_together(self, waiting: list[_Waiting]) -> None:
        requests = [request for request, _ in waiting]
        report = await answer_in_batches(self._chat, self._cache, requests, self._poll_seconds)
        failed = {failure.request_id: failure for failure in report.failures}
        for request, answered in waiting:
            if not answered.done():
                answered.set_result(self._find(request) or failed[request.request_id])

    def _find(self, request: ChatRequest) -> ChatReply | None:
        """Return the answer that a batch brought, as one that is paid for now."""
        body = self._cache.find(answer_key(self._chat, request))
        if body is None:
            return None
        reply = restore_reply(request.request_id, body)
        return reply.model_copy(update={"stamp": reply.stamp.model_copy(update={"from_cache": False})})
