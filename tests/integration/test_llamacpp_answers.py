"""A real language model in process. Needs the weights, which `make test` pulls before it starts; fetches nothing."""

import asyncio
from pathlib import Path
from typing import Any

import pytest

from stablellava.backends.catalog import build_backend
from stablellava.backends.parsing import parse_answer
from stablellava.core.chat import ChatFailure, ChatMessage, ChatReply, ChatRequest
from stablellava.core.errors import BackendMissing
from stablellava.store.assets import asset_path

SCHEMA = {
    "type": "object",
    "properties": {"prompt": {"type": "string", "maxLength": 60}, "count": {"type": "integer"}},
    "required": ["prompt", "count"],
    "additionalProperties": False,
}


def find_weights() -> Path | None:
    try:  # while this file is imported: later the cache is a test's own
        return asset_path("smollm2-135m-instruct.gguf")
    except BackendMissing:
        return None


WEIGHTS = find_weights()
pytestmark = pytest.mark.skipif(WEIGHTS is None, reason="stablellava assets pull smollm2-135m-instruct.gguf")


def ask(requests: list[ChatRequest]) -> list[Any]:
    async def run() -> list[Any]:
        options = {"model": str(WEIGHTS), "num_threads": 1, "context_tokens": 512}
        chat = build_backend("chat", "llamacpp", options)
        answers = await asyncio.gather(*(chat.ask(request) for request in requests))
        await chat.close()
        return answers

    return asyncio.run(run())


def request(number: int, **changes: Any) -> ChatRequest:
    message = ChatMessage(role="user", text=f"Write a short prompt for a picture of {number} dogs.")
    return ChatRequest(**{"request_id": str(number), "messages": (message,), "max_tokens": 60, "seed": 5, **changes})


def test_an_answer_is_held_to_the_schema() -> None:
    for reply in ask([request(i, json_schema=SCHEMA) for i in range(3)]):
        assert isinstance(reply, ChatReply)
        assert reply.stamp.tokens_out
        if reply.finish_reason == "stop":
            assert parse_answer(reply.text, SCHEMA).value is not None


def test_equal_requests_have_equal_answers_in_any_order() -> None:
    requests = [request(i, json_schema=SCHEMA if i % 2 else None, max_tokens=24) for i in range(3)]

    texts = [reply.text for reply in ask(requests)]

    assert [reply.text for reply in ask(requests[::-1])] == texts[::-1]
    assert ask([request(0, seed=6, max_tokens=24)])[0].text != texts[0]


def test_a_request_longer_than_the_context_is_a_failure_of_its_own() -> None:
    long = ChatRequest(request_id="long", messages=(ChatMessage(role="user", text="word " * 2000),))

    failure, reply = ask([long, request(1)])

    assert isinstance(failure, ChatFailure)
    assert "context" in failure.detail
    assert isinstance(reply, ChatReply)
