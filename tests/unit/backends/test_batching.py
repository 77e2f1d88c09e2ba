"""Batch files against a fake endpoint: what is missing is asked for again, and nothing else."""

import asyncio
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from fault_server import FaultServer, completion, serve
from stablellava.backends.adapters.wire.batch_api import BatchApi
from stablellava.backends.batching import BatchReport, BatchState, answer_in_batches
from stablellava.backends.catalog import build_backend
from stablellava.backends.remembering import RememberingChat
from stablellava.backends.response_cache import ResponseCache
from stablellava.core.chat import ChatMessage, ChatReply, ChatRequest
from stablellava.core.errors import BackendFailed

REQUESTS = [
    ChatRequest(request_id=f"id {i}", messages=(ChatMessage(role="user", text=f"row {i}"),), seed=i) for i in range(10)
]


class Killed(BaseException):
    """Stands for the end of the process."""


@pytest.fixture
def server(monkeypatch: pytest.MonkeyPatch) -> Iterator[FaultServer]:
    with serve(FaultServer()) as running:
        running.end_batch = lambda lines: ("completed", [answered(line) for line in lines])
        yield running


@pytest.fixture
def cache(tmp_path: Path) -> Iterator[ResponseCache]:
    cache = ResponseCache(tmp_path / "cache.sqlite")
    yield cache
    cache.close()


def answered(line: dict[str, Any]) -> dict[str, Any]:
    body = completion(f"answer to {line['body']['messages'][0]['content']}", line["body"])
    return {"custom_id": line["custom_id"], "response": {"status_code": 200, "body": body}, "error": None}


def failed(line: dict[str, Any], status: int) -> dict[str, Any]:
    body = {"error": {"message": "broken"}}
    return {"custom_id": line["custom_id"], "response": {"status_code": status, "body": body}, "error": None}


def expired(line: dict[str, Any]) -> dict[str, Any]:
    return {"custom_id": line["custom_id"], "response": None, "error": {"code": "batch_expired", "message": "late"}}


def build(server: FaultServer) -> Any:
    return build_backend("chat", "openai", {"model": "small", "base_url": server.base_url, "backoff_seconds": 0.01})


def run(server: FaultServer, cache: ResponseCache, requests: list[ChatRequest] = REQUESTS) -> BatchReport:
    async def main() -> BatchReport:
        chat = build(server)
        try:
            return await answer_in_batches(chat, cache, requests, poll_seconds=0.01)
        finally:
            await chat.close()

    return asyncio.run(main())


def lines_sent(server: FaultServer) -> list[list[str]]:
    return [
        [json.loads(line)["body"]["messages"][0]["content"] for line in data.splitlines()]
        for name, data in server.files.items()
        if name.startswith("file-")
    ]


def test_answers_of_a_batch_are_found_by_calls_one_by_one(server: FaultServer, cache: ResponseCache) -> None:
    report = run(server, cache)

    async def ask_again() -> list[Any]:
        chat = RememberingChat(build(server), cache)
        replies = [await chat.ask(request) for request in REQUESTS]
        await chat.close()
        return replies

    replies = asyncio.run(ask_again())
    assert (report.num_answered, report.num_from_cache, report.num_batches, report.failures) == (10, 0, 1, ())
    assert [reply.text for reply in replies] == [f"answer to row {i}" for i in range(10)]
    assert all(isinstance(reply, ChatReply) and reply.stamp.from_cache for reply in replies)
    assert [reply.stamp.seed for reply in replies] == list(range(10))
    assert server.bodies == []


def test_after_a_partial_failure_and_an_expiry_only_what_is_missing_is_sent(
    server: FaultServer, cache: ResponseCache
) -> None:
    ends = [
        lambda lines: ("completed", [answered(x) for x in lines[:4]] + [failed(x, 500) for x in lines[4:]]),
        lambda lines: ("expired", [answered(x) for x in lines[:4]] + [expired(x) for x in lines[4:]]),
        lambda lines: ("completed", [answered(x) for x in lines]),
    ]
    server.end_batch = lambda lines: ends.pop(0)(lines)

    report = run(server, cache)

    assert [len(sent) for sent in lines_sent(server)] == [10, 6, 2]
    assert lines_sent(server)[2] == ["row 8", "row 9"]
    assert (report.num_answered, report.num_batches, report.failures) == (10, 3, ())


def test_what_the_provider_refuses_is_not_sent_again(server: FaultServer, cache: ResponseCache) -> None:
    server.end_batch = lambda lines: ("completed", [failed(lines[0], 400)] + [answered(x) for x in lines[1:]])

    report = run(server, cache)

    assert [failure.request_id for failure in report.failures] == ["id 0"]
    assert report.failures[0].reason == "refused_by_server"
    assert report.num_batches == 1


def test_an_endpoint_that_answers_nothing_is_given_up(server: FaultServer, cache: ResponseCache) -> None:
    server.end_batch = lambda lines: ("expired", [])

    report = run(server, cache)

    assert report.num_batches == 2
    assert {failure.reason for failure in report.failures} == {"left_out_by_batch"}


def test_known_answers_are_not_sent(server: FaultServer, cache: ResponseCache) -> None:
    run(server, cache, REQUESTS[:7])
    report = run(server, cache)

    assert lines_sent(server)[1] == ["row 7", "row 8", "row 9"]
    assert (report.num_from_cache, report.num_answered) == (7, 3)


@pytest.mark.parametrize("moment", ["before it is known", "while waiting"])
def test_a_killed_run_goes_on_with_the_batch_it_began(
    server: FaultServer, cache: ResponseCache, monkeypatch: pytest.MonkeyPatch, moment: str
) -> None:
    with monkeypatch.context() as patch:
        if moment == "while waiting":
            patch.setattr(asyncio, "sleep", killing)
        else:
            keep = cache.keep_batch
            patch.setattr(cache, "keep_batch", lambda batch: killing(0) if batch.batch_id else keep(batch))
        with pytest.raises(Killed):
            run(server, cache)

    report = run(server, cache)

    assert len(server.batches) == 1
    assert len(lines_sent(server)) == 1
    assert report.num_answered == 10


def killing(seconds: float) -> None:
    raise Killed


def test_a_batch_that_never_came_about_is_begun_anew(
    server: FaultServer, cache: ResponseCache, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def die(*_: Any) -> str:
        raise Killed

    with monkeypatch.context() as patch:
        patch.setattr(BatchApi, "create", die)  # killed between the note and the creation
        with pytest.raises(Killed):
            run(server, cache)
    report = run(server, cache)

    assert len(server.batches) == 1
    assert report.num_answered == 10


def test_a_batch_refused_as_a_whole_is_one_clear_line(server: FaultServer, cache: ResponseCache) -> None:
    server.end_batch = lambda lines: ("failed", [])

    with pytest.raises(BackendFailed, match="the provider refused batch batch-0"):
        run(server, cache)

    server.end_batch = lambda lines: ("completed", [answered(x) for x in lines])
    assert run(server, cache).num_answered == 10


def test_a_torn_line_costs_its_own_answer_alone(
    server: FaultServer, cache: ResponseCache, monkeypatch: pytest.MonkeyPatch
) -> None:
    whole, is_torn = BatchApi.download, [True]

    async def tear(api: BatchApi, file_id: str) -> bytes:
        data = await whole(api, file_id)
        first, *rest = data.splitlines()
        return b"\n".join([first[:30], b"", *rest]) if is_torn and is_torn.pop() else data

    monkeypatch.setattr(BatchApi, "download", tear)
    report = run(server, cache)

    assert [len(sent) for sent in lines_sent(server)] == [10, 1]
    assert (report.num_answered, report.failures) == (10, ())


def test_a_batch_in_a_state_of_the_providers_own_is_waited_for(server: FaultServer, cache: ResponseCache) -> None:
    early = BatchState("in_progress", file_ids=("file-0",))
    whole, states = BatchApi.watch, [early, BatchState("queued"), BatchState("pending")]

    class Patient(BatchApi):
        async def watch(self, batch_id: str) -> BatchState:
            return states.pop() if states else await whole(self, batch_id)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(BatchApi, "watch", Patient.watch)
        report = run(server, cache)

    assert (report.num_batches, report.num_answered) == (1, 10)


def test_a_server_without_batches_is_told_apart_from_an_unknown_model() -> None:
    with serve(FaultServer()) as server:
        base_url = server.base_url + "/elsewhere"
        chat = build_backend("chat", "openai", {"model": "small", "base_url": base_url, "backoff_seconds": 0.01})

        async def watch() -> None:
            try:
                await chat.batches.watch("batch-0")
            finally:
                await chat.close()

        with pytest.raises(BackendFailed, match="does not take batches"):
            asyncio.run(watch())
