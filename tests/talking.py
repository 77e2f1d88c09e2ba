"""A chat model of the tests: answers by a function, remembers what it was asked, may take its time."""

import asyncio
from collections.abc import Callable
from typing import Any

import orjson

from stablellava.core.chat import ChatFailure, ChatReply, ChatRequest
from stablellava.core.draft import CallStamp

Answer = str | ChatFailure | Exception


class TalkingChat:
    """Keeps the protocol of a chat model; an answer that is an exception is raised."""

    name = "talking"
    revision = "1"
    max_in_flight = 8

    def __init__(
        self,
        answer: Callable[[ChatRequest], Answer] | None = None,
        holds_schema: bool = True,
        seconds: Callable[[ChatRequest], float] | float = 0.0,
    ) -> None:
        self._answer = answer or write_well
        self._seconds = seconds
        self.holds_schema = holds_schema
        self.asked: list[ChatRequest] = []
        self.num_open = self.most_open = 0

    async def ask(self, request: ChatRequest) -> ChatReply | ChatFailure:
        self.asked.append(request)
        self.num_open += 1
        self.most_open = max(self.most_open, self.num_open)
        try:
            await asyncio.sleep(self._seconds(request) if callable(self._seconds) else self._seconds)
            answer = self._answer(request)
        finally:
            self.num_open -= 1
        if isinstance(answer, Exception):
            raise answer
        if isinstance(answer, ChatFailure):
            return answer
        stamp = CallStamp(backend=self.name, model="talker", tokens_in=100, tokens_out=10)
        return ChatReply(request_id=request.request_id, text=answer, held_to_schema=self.holds_schema, stamp=stamp)

    async def close(self) -> None:
        self.asked.clear()


def fields_of(request: ChatRequest) -> dict[str, str]:
    """Return the "Name: value" lines of what was last asked."""
    asked = next(one for one in reversed(request.messages) if "Keywords: " in one.text)
    lines = (line.partition(": ") for line in asked.text.splitlines())
    return {name: value for name, _, value in lines}


def write_well(request: ChatRequest, **changes: Any) -> str:
    """Answer as asked: the place, the keyword and the prompt that the request names."""
    return orjson.dumps({**good_answer(request), **changes}).decode()


def good_answer(request: ChatRequest) -> dict[str, Any]:
    asked = fields_of(request)
    if request.schema_name == "prompt":
        where = asked.get("Place", asked.get("Seen there", ""))
        parts = asked["Pictures"].split(" | ") if "Pictures" in asked else [asked["Keywords"]]
        written = [f"(({part})), {where}, soft light {request.seed}" for part in parts]
        return {"prompt": written[0]} if len(written) == 1 else {"prompts": written}
    if request.schema_name == "dialogue":
        return {
            "prompt_echo": asked["Prompt"],
            "answer": f"It is {asked['Keywords']}, {request.seed}.",
            "follow_ups": [],
        }
    others = asked.get(
        "Wrong answers to choose from", asked.get("Ask for one of these, which the picture does not show")
    )
    other = others.split(", ")[0] if others else ""
    question = {
        "wh": "What is this?",
        "yes_no": f"Is this a {other or asked['Keywords']}?",
        "either_or": f"Is it a {asked['Right answer']} or a {other}?",
    }[asked["Form"]]
    return {"prompt_echo": asked["Prompt"], "question": question, "answer": asked["Right answer"], "other": other}
