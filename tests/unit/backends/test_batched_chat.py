"""A chat model that is asked by batch files, call by call from outside."""

import asyncio
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from fault_server import Fault, FaultServer, completion, serve
from stablellava.backends import batched_chat
from stablellava.backends.batched_chat import BatchedChat
from stablellava.backends.batching import answer_in_batches
from stablellava.backends.catalog import build_backend
from stablellava.backends.response_cache import ResponseCache
from stablellava.core.chat import ChatFailure, ChatMessage, ChatReply, ChatRequest

REQUESTS = [
    ChatRequest(
        request_id=f"id {i}", messages=(ChatMessage(role="user", text=f"row {i}"),), json_schema={"type": "object"}
    )
    for i in range(6)
]


@pytest.fixture
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[ResponseCache]:
    monkeypatch.setattr(batched_chat, "_QUIET_SECONDS", 0.02)
    cache = ResponseCache(tmp_path / "cache.sqlite")
    yield cache
    cache.close()


def build(server: FaultServer) -> Any:
    return build_backend("chat", "openai", {"model": "small", "base_url": server.base_url, "backoff_seconds": 0.01})


def refuse_schema(body: dict[str, Any]) -> tuple[int, dict[str, Any]]:
    if "response_format" in body:
        return 400, {"error": {"message": "response_format is not supported"}}
    return 200, completion("{}", body)


def end_batch(lines: list[dict[str, Any]]) -> tuple[str, list[dict[str, Any]]]:
    answers = ((line["custom_id"], *refuse_schema(line["body"])) for line in lines)
    return "completed", [
        {"custom_id": key, "response": {"status_code": code, "body": body}} for key, code, body in answers
    ]


async def ask_all(server: FaultServer, cache: ResponseCache) -> list[ChatReply | ChatFailure]:
    chat = BatchedChat(build(server), cache, poll_seconds=0.01)
    try:
        return await asyncio.gather(*(chat.ask(request) for request in REQUESTS))
    finally:
        await chat.close()


async def leave_batch_open(server: FaultServer, cache: ResponseCache) -> None:
    chat = build(server)
    await chat.ask(REQUESTS[0])
    waiting = asyncio.create_task(answer_in_batches(chat, cache, REQUESTS[1:4], poll_seconds=60))
    while not server.batches:
        await asyncio.sleep(0.01)
    waiting.cancel()
    await asyncio.gather(waiting, return_exceptions=True)
    await chat.close()


def test_a_restart_beside_an_open_batch_learns_anew_that_a_schema_is_refused(cache: ResponseCache) -> None:
    def say(number: int, body: dict[str, Any]) -> Fault | str:
        status, answer = refuse_schema(body)
        return "{}" if status == 200 else Fault(status, answer)

    with serve(FaultServer(say)) as server:
        server.end_batch = end_batch
        asyncio.run(leave_batch_open(server, cache))
        answers = asyncio.run(ask_all(server, cache))
        sent = b"".join(data for name, data in server.files.items() if name.startswith("file-"))

    assert [answer for answer in answers if isinstance(answer, ChatFailure)] == []
    assert [answer.request_id for answer in answers] == [request.request_id for request in REQUESTS]
    assert all(sent.count(f"row {i}".encode()) == 1 for i in range(1, 4)), "nothing open is sent again"
