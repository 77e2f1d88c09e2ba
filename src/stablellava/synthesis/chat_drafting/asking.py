"""Asking until an answer can be used, with a bound.

Where the server is held to a schema, an answer that breaks it is the server's fault: the identical request is sent
again, so that what comes of it does not depend on where faults fell. Only then, or at once where answers are free
text or well-formed but wrong, the model is shown its answer and the error, once.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, Generic, TypeVar

from stablellava.backends.parsing import parse_answer
from stablellava.backends.protocols import ChatModel
from stablellava.core.chat import ChatFailure, ChatMessage, ChatReply, ChatRequest
from stablellava.synthesis.chat_drafting.answers import AnswerUnfit
from stablellava.synthesis.chat_drafting.instructions import Instructions
from stablellava.synthesis.chat_drafting.spending import SpendingMeter, capability_counted

Read = TypeVar("Read")
_MAX_SHOWN_CHARS = 4000
"""Of a wrong answer that is shown back."""


@dataclass(frozen=True, slots=True)
class Refusal:
    """Why there is no usable answer."""

    reason: str
    detail: str


@dataclass(frozen=True, slots=True)
class Call(Generic[Read]):
    """One request, and how its answer is read; ``read`` raises AnswerUnfit."""

    request: ChatRequest
    read: Callable[[Mapping[str, Any]], Read]


class Asker:
    """Asks one chat model.

    Args:
        chat: answers; may remember.
        instructions: words of the corrective retry.
        meter: told of answers that the cache had.
        max_attempts: how often an identical request is sent while its schema is broken.
    """

    def __init__(self, chat: ChatModel, instructions: Instructions, meter: SpendingMeter, max_attempts: int) -> None:
        self._chat = chat
        self._instructions = instructions
        self._meter = meter
        self._max_attempts = max_attempts
        self.model = ""
        """As the answers name it."""

    async def ask(self, call: Call[Read]) -> Read | Refusal:
        """Return what was read, or why nothing could be.

        Raises: BackendFailed, RecordError (the cache cannot be written), LimitReached.
        """
        try:
            return await self._ask_until_whole(call)
        except _Unfit as unfit:
            corrected = Call(self._corrected(call.request, unfit), call.read)
        try:
            return await self._ask_until_whole(corrected)
        except _Unfit as unfit:
            return Refusal(unfit.error.reason, str(unfit.error))

    async def _ask_until_whole(self, call: Call[Read]) -> Read | Refusal:
        """Return what was read. Raises: _Unfit with the last answer."""
        unfit: _Unfit
        for attempt in range(self._max_attempts):
            request = call.request.model_copy(update={"attempt": attempt}) if attempt else call.request
            reply = await self._chat.ask(request)
            if isinstance(reply, ChatFailure):
                return Refusal(reply.reason, reply.detail)
            self.model = reply.stamp.model
            if reply.stamp.from_cache:
                self._meter.count(capability_counted(request), reply)
            try:
                return call.read(_parse(reply, request))
            except AnswerUnfit as exc:
                unfit = _Unfit(reply.text, exc)
                if not (exc.is_broken and reply.held_to_schema):
                    break
        raise unfit

    def _corrected(self, request: ChatRequest, unfit: "_Unfit") -> ChatRequest:
        said = ChatMessage(role="assistant", text=unfit.text[:_MAX_SHOWN_CHARS] or "(nothing)")
        retry = ChatMessage(role="user", text=self._instructions.render_retry(str(unfit.error)))
        return request.model_copy(update={"messages": (*request.messages, said, retry)})


class _Unfit(Exception):
    def __init__(self, text: str, error: AnswerUnfit) -> None:
        super().__init__(str(error))
        self.text = text
        self.error = error


def _parse(reply: ChatReply, request: ChatRequest) -> Mapping[str, Any]:
    parsed = parse_answer(reply.text, request.json_schema, reply.finish_reason)
    if parsed.value is None:
        raise AnswerUnfit("unparsable_answer", parsed.error, is_broken=True)
    return parsed.value
