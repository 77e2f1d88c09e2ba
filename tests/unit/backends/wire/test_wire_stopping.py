"""One clear line within seconds where no call can succeed, and no key in it."""

import asyncio
import logging
import socket
import time
from pathlib import Path
from typing import Any

import pytest

from fault_server import Fault, FaultServer, serve
from stablellava.backends.adapters.wire.breaker import CircuitBreaker
from stablellava.backends.adapters.wire.options import read_wire_options
from stablellava.backends.adapters.wire.problems import Problem
from stablellava.backends.catalog import build_backend
from stablellava.backends.keys import ApiKey
from stablellava.core.chat import ChatMessage, ChatReply, ChatRequest
from stablellava.core.errors import BackendFailed, BackendMissing, ConfigError

KEY = "test-key-7d1f0c"


def ask_many(base_url: str, num_requests: int = 40, **options: Any) -> None:
    quick = {"base_url": base_url, "backoff_seconds": 0.01, "unreachable_seconds": 0.4}
    chat = build_backend("chat", "openai", {"model": "tiny", **quick, **options})

    async def run() -> None:
        message = ChatMessage(role="user", text="hello")
        requests = [ChatRequest(request_id=str(i), messages=(message,)) for i in range(num_requests)]
        try:
            async with asyncio.TaskGroup() as group:
                for request in requests:
                    group.create_task(chat.ask(request))
        except* BackendFailed as failures:
            raise failures.exceptions[0] from None
        finally:
            await chat.close()

    asyncio.run(run())


@pytest.mark.parametrize(
    ("fault", "said"),
    [
        (Fault(401, {"error": {"message": f"Incorrect key: {KEY}"}}), r"refuses the key in \$OPENAI_API_KEY"),
        (Fault(403), r"refuses the key in \$OPENAI_API_KEY"),
        (Fault(402, {"error": {"message": "Insufficient balance"}}), "no credit left"),
        (Fault(429, {"error": {"message": f"quota of {KEY}", "code": "insufficient_quota"}}), "no credit left"),
        (Fault(404, {"error": {"message": "no such model"}}), "knows no model 'tiny'. It serves: small, large"),
        (Fault(400, {"error": {"message": "The model `tiny` does not exist"}}), "It serves: small, large"),
        (Fault(308, headers={"Location": "https://elsewhere"}), "redirected"),
        (Fault(500), r"the first 20 calls to .* all failed; the last: server_error"),
        (Fault(422, {"detail": "bad field"}), "the first 20 calls .* bad field"),
        (Fault(429, headers={"Retry-After": "3600"}), "asks to wait 3600 s"),
    ],
)  # fmt: skip
def test_what_cannot_succeed_stops_with_one_line(server: FaultServer, fault: Fault, said: str) -> None:
    server.say = lambda number, body: fault

    started = time.monotonic()
    with pytest.raises(BackendFailed, match=said) as caught:
        ask_many(server.base_url)

    assert time.monotonic() - started < 5
    assert "\n" not in str(caught.value)
    assert KEY not in str(caught.value)


def test_a_server_that_is_not_there_is_named() -> None:
    with socket.socket() as reserved:
        reserved.bind(("127.0.0.1", 0))
        port = reserved.getsockname()[1]

    with pytest.raises(BackendFailed, match=f"nothing answers at http://127.0.0.1:{port}/v1 .Connection refused."):
        ask_many(f"http://127.0.0.1:{port}/v1", 3)


def test_a_server_that_goes_away_in_mid_run_is_named() -> None:
    async def run() -> None:
        request = ChatRequest(request_id="1", messages=(ChatMessage(role="user", text="hello"),))
        with serve(FaultServer()) as server:
            chat = build_backend(
                "chat", "openai", {"model": "m", "base_url": server.base_url, "unreachable_seconds": 0.4}
            )
            assert isinstance(await chat.ask(request), ChatReply)
        try:
            await chat.ask(request)
        finally:
            await chat.close()

    started = time.monotonic()
    with pytest.raises(BackendFailed, match="nothing answers at"):
        asyncio.run(run())
    assert 0.4 <= time.monotonic() - started < 5


def test_a_server_that_only_fails_later_is_given_the_patience_that_was_asked_for(server: FaultServer) -> None:
    server.say = lambda number, body: "fine" if number == 1 else Fault(500)

    started = time.monotonic()
    with pytest.raises(BackendFailed, match=r"every call to .* failed for"):
        ask_many(server.base_url, patience_seconds=0.3, max_tries=1000)

    assert 0.3 <= time.monotonic() - started < 5


def test_one_dropped_connection_amid_refusals_is_no_server_that_is_gone(monkeypatch: pytest.MonkeyPatch) -> None:
    breaker = CircuitBreaker(read_wire_options({"base_url": "http://localhost/v1"}), ApiKey("", "nowhere"))
    now = 1000.0
    monkeypatch.setattr(time, "monotonic", lambda: now)
    breaker.note_failure(Problem("speed", "rate_limited"))
    now += 60
    breaker.note_failure(Problem("speed", "rate_limited"))
    breaker.note_failure(Problem("unreachable", "server_gone", "Connection refused"))
    now += 9
    with pytest.raises(BackendFailed, match="nothing answers at"):
        breaker.note_failure(Problem("unreachable", "server_gone", "Connection refused"))


def test_a_server_that_forbids_says_why(server: FaultServer) -> None:
    server.say = lambda number, body: Fault(403, {"error": {"message": "country not supported"}})

    with pytest.raises(BackendFailed, match="country not supported"):
        ask_many(server.base_url, 1)


def test_a_wrong_key_is_told_by_the_name_of_its_variable(server: FaultServer, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MY_KEY", "other-secret")
    server.say = lambda number, body: Fault(401)

    with pytest.raises(BackendFailed, match=r"\$MY_KEY"):
        ask_many(server.base_url, 1, key_env="MY_KEY")

    assert server.headers[0]["Authorization"] == "Bearer other-secret"


def test_a_key_can_come_from_a_file(server: FaultServer, tmp_path: Path) -> None:
    path = tmp_path / "key"
    path.write_text("from-file\n")
    ask_many(server.base_url, 1, key_file=str(path))

    assert server.headers[0]["Authorization"] == "Bearer from-file"


def test_openai_itself_is_not_asked_without_a_key(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("OPENAI_API_KEY", raising=False)

    with pytest.raises(BackendMissing, match="export OPENAI_API_KEY"):
        build_backend("chat", "openai", {"model": "gpt-4o-mini"})


@pytest.mark.parametrize(
    "options",
    [
        {"api_key": "sk-1234567890abcdef"},
        {"key_env": "sk-1234567890abcdef"},
        {"extra_body": {"token": "1234567890abcdef"}},
        {"extra_body": {"note": "sk-1234567890abcdef"}},
        {"base_url": "http://me:1234567890abcdef@localhost/v1"},
        {"base_url": "http://localhost/v1?api-version=1234567890abcdef"},
    ],
)
def test_a_key_among_the_options_is_refused_without_repeating_it(options: dict[str, Any]) -> None:
    with pytest.raises(ConfigError) as caught:
        build_backend("chat", "openai", {"model": "small", "base_url": "http://localhost/v1", **options})

    assert "1234567890abcdef" not in str(caught.value)


@pytest.mark.parametrize("structured", ["auto", "schema"])
def test_a_refused_schema_is_told_without_the_key(
    server: FaultServer, caplog: pytest.LogCaptureFixture, structured: str
) -> None:
    refused = Fault(400, {"error": {"message": f"response_format is not for {KEY}"}})
    server.say = lambda number, body: refused if "response_format" in body else "{}"
    options = {"model": "small", "base_url": server.base_url, "structured": structured}
    chat = build_backend("chat", "openai", options)
    asked = ChatRequest(request_id="1", messages=(ChatMessage(role="user", text="x"),), json_schema={"type": "object"})

    async def run() -> str:
        try:
            await chat.ask(asked)
        except BackendFailed as exc:
            return str(exc)
        finally:
            await chat.close()
        return caplog.text

    said = asyncio.run(run())
    assert "response_format is not for ***" in said
    assert KEY not in said


def test_a_key_is_in_no_repr_no_log_and_no_reply(server: FaultServer, caplog: pytest.LogCaptureFixture) -> None:
    def say(number: int, body: dict[str, Any]) -> Fault | str:
        return Fault(400, {"error": {"message": f"not with {KEY}"}}) if number == 2 else "fine"

    server.say = say
    chat = build_backend("chat", "openai", {"model": "small", "base_url": server.base_url})

    async def run() -> list[Any]:
        requests = [ChatRequest(request_id=str(i), messages=(ChatMessage(role="user", text="x"),)) for i in range(2)]
        answers = [await chat.ask(request) for request in requests]
        await chat.close()
        return answers

    with caplog.at_level(logging.DEBUG):
        reply, failure = asyncio.run(run())

    assert isinstance(reply, ChatReply)
    assert failure.detail.endswith("not with ***")
    for text in (repr(chat), repr(vars(chat)), repr(vars(chat.wire)), repr(reply), repr(failure), caplog.text):
        assert KEY not in text
