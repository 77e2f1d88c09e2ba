"""Asking a server that does not hold answers to a schema, once and again after a kill."""

import asyncio
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from fault_server import Fault, FaultServer, serve
from stablellava.backends.catalog import build_backend
from stablellava.backends.remembering import RememberingChat
from stablellava.backends.response_cache import ResponseCache
from stablellava.config.synthesis import SpendingSettings
from stablellava.core.chat import ChatMessage, ChatRequest
from stablellava.synthesis.chat_drafting.asking import Asker, Call, Refusal
from stablellava.synthesis.chat_drafting.instructions import Instructions
from stablellava.synthesis.chat_drafting.spending import SpendingMeter

REQUEST = ChatRequest(
    request_id="animal/1", messages=(ChatMessage(role="user", text="write"),), json_schema={"type": "object"}
)


def prose_first(number: int, body: dict[str, Any]) -> Fault | str:
    if "response_format" in body:
        return Fault(400, {"error": {"message": "response_format is not supported"}})
    has_seen_its_error = any(message["role"] == "assistant" for message in body["messages"])
    return '{"prompt": "dog"}' if has_seen_its_error else "Sure, a dog!"


async def ask(server: FaultServer, cache: ResponseCache) -> Mapping[str, Any] | Refusal:
    chat = build_backend("chat", "openai", {"model": "m", "base_url": server.base_url, "backoff_seconds": 0.01})
    remembering = RememberingChat(chat, cache)
    asker = Asker(remembering, Instructions("full"), SpendingMeter(SpendingSettings()), max_attempts=3)
    try:
        return await asker.ask(Call(REQUEST, lambda answer: answer))
    finally:
        await remembering.close()


def test_a_start_anew_goes_the_same_way_where_a_server_refuses_schemas(tmp_path: Path) -> None:
    with serve(FaultServer(prose_first)) as server:
        cache = ResponseCache(tmp_path / "cache.sqlite")
        first = asyncio.run(ask(server, cache))
        num_calls = len(server.bodies)
        again = asyncio.run(ask(server, cache))
        cache.close()
    assert first == again == {"prompt": "dog"}
    assert num_calls == 3, "one with the schema, one in words, one that shows the error"
    assert len(server.bodies) == num_calls, "all answers were kept"
