"""A chat model that never pays for the same answer twice."""

import asyncio
from typing import Any

import orjson

from stablellava.backends.protocols import ChatModel
from stablellava.backends.response_cache import CachedAnswer, ResponseCache
from stablellava.core.chat import ChatFailure, ChatReply, ChatRequest
from stablellava.core.ids import hash_id

_HITS_PER_TURN = 64
"""A hit needs no waiting, and a caller with a million of them would keep calls on the wire from being read."""


class RememberingChat:
    """Looks into the cache, asks where it holds nothing, and returns an answer only once it is kept.

    The text and the stamp are stored as they came, before anybody reads them. A reply out of the cache differs from
    the first one in ``stamp.from_cache`` alone; whoever writes data leaves that and ``stamp.seconds`` out.
    Failures are not kept.
    """

    def __init__(self, chat: ChatModel, cache: ResponseCache) -> None:
        self._chat = chat
        self._cache = cache
        self._pending: dict[str, asyncio.Event] = {}
        self.name = chat.name
        self.revision = chat.revision
        self.max_in_flight = chat.max_in_flight
        self.num_hits = 0
        self.num_misses = 0

    async def ask(self, request: ChatRequest) -> ChatReply | ChatFailure:
        """Return the answer, or why this one request has none.

        Raises: BackendFailed when no request can be answered, RecordError when an answer cannot be kept.
        """
        key = answer_key(self._chat, request)
        while True:
            found = await self._cache.find_soon(key)
            if found is not None:
                self.num_hits += 1
                if self.num_hits % _HITS_PER_TURN == 0:
                    await asyncio.sleep(0)
                return restore_reply(request.request_id, found)
            pending = self._pending.get(key)
            if pending is None:
                break
            await pending.wait()  # the same request is on its way; its answer will do for both
        self._pending[key] = asked = asyncio.Event()
        try:
            self.num_misses += 1
            answer = await self._chat.ask(request)
            if isinstance(answer, ChatReply):
                await self._cache.store(cached_reply(key, answer))
            return answer
        finally:
            del self._pending[key]
            asked.set()

    async def close(self) -> None:
        """Close the chat model; the cache belongs to whoever opened it."""
        await self._chat.close()


def answer_key(chat: ChatModel, request: ChatRequest) -> str:
    """Return what names an answer: who is asked, all that is sent, and the number of the attempt.

    The model's name and options are in its revision; the server's address is not.
    """
    return hash_id(chat.name, chat.revision, request.content_hash(), request.attempt)


def cached_reply(key: str, reply: ChatReply) -> CachedAnswer:
    """Return a reply as it is kept."""
    kept: dict[str, Any] = {"text": reply.text, "finish_reason": reply.finish_reason, "stamp": reply.stamp.__dict__}
    if reply.held_to_schema:
        kept["held_to_schema"] = True
    body = orjson.dumps(kept, option=orjson.OPT_SORT_KEYS)
    return CachedAnswer(key, reply.stamp.backend, reply.stamp.model, body)


def restore_reply(request_id: str, body: bytes) -> ChatReply:
    """Return a kept reply as the answer to a request."""
    kept = orjson.loads(body)
    kept["stamp"]["from_cache"] = True
    return ChatReply(request_id=request_id, **kept)
