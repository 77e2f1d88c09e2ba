"""What is asked of a chat model, and what it says. Images are encoded pictures, never paths."""

from typing import Any, Literal

import orjson
import xxhash

from stablellava.core.draft import CallStamp
from stablellava.core.record import Record

_NOT_SENT = ("request_id", "messages", "attempt")
"""Fields of a request that are no part of its content, or are hashed in a form of their own."""


class ChatMessage(Record):
    """One message; its images stand before its text."""

    role: Literal["system", "user", "assistant"]
    text: str
    images: tuple[bytes, ...] = ()
    """Encoded PNG, JPEG or WebP."""


class ChatRequest(Record):
    """One call, fixed before any model is asked."""

    request_id: str
    """Names the call in messages and reports; no part of what is sent."""
    messages: tuple[ChatMessage, ...]
    json_schema: dict[str, Any] | None = None
    """What the answer must fit. Sent where the server can hold an answer to it, written out in words where not."""
    schema_name: str = "answer"
    temperature: float = 1.0
    top_p: float = 1.0
    max_tokens: int = 512
    seed: int | None = None
    attempt: int = 0
    """Counts identical resends, each of which deserves an answer of its own; no part of what is sent."""

    def content_hash(self) -> str:
        """Return the hash of all that is sent: equal requests share it, whatever their id and attempt."""
        sent = {name: value for name, value in self.__dict__.items() if name not in _NOT_SENT}
        messages = [
            (message.role, message.text, [xxhash.xxh3_128_hexdigest(image) for image in message.images])
            for message in self.messages
        ]
        # A million requests are hashed before they are looked up, long texts and all: orjson takes a fifth of json.
        return xxhash.xxh3_128_hexdigest(orjson.dumps((sent, messages), option=orjson.OPT_SORT_KEYS))


class ChatReply(Record):
    """An answer as it came, not yet read."""

    request_id: str
    text: str
    finish_reason: str = "stop"
    """As the server says it: "stop", "length" (cut at max_tokens), "content_filter"."""
    held_to_schema: bool = False
    """Whether the server held it to the request's JSON schema: one that breaks it is a fault, no opinion."""
    stamp: CallStamp


PASSING_FAILURES = frozenset(
    {"timed_out", "server_error", "connection_dropped", "server_gone", "rate_limited", "unreadable_answer"}
)
"""Reasons of failures that say nothing against the request: later, the same call may have an answer."""


class ChatFailure(Record):
    """A call that has no answer after every retry; others may still have one."""

    request_id: str
    reason: str
    """Stable identifier, snake case: "timed_out", "server_error", "refused_by_server"."""
    detail: str = ""
