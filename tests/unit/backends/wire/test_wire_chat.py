"""What is sent, what is tried again, and what comes back."""

import asyncio
import base64
import logging
import time
from collections.abc import Sequence
from typing import Any

import numpy as np
import pytest

from fault_server import Fault, FaultServer
from stablellava.backends.catalog import build_backend
from stablellava.backends.protocols import ChatModel
from stablellava.core.chat import ChatFailure, ChatMessage, ChatReply, ChatRequest
from stablellava.core.errors import BackendFailed, ConfigError

SCHEMA = {"type": "object", "properties": {"a": {"type": "string"}}, "required": ["a"], "additionalProperties": False}
KEY = "test-key-7d1f0c"
PNG = b"\x89PNG\r\n\x1a\n rest"


def build(server: FaultServer, **options: Any) -> ChatModel:
    quick = {"base_url": server.base_url, "backoff_seconds": 0.01, "timeout_seconds": 0.5}
    chat: ChatModel = build_backend("chat", "openai", {"model": "small", **quick, **options})
    return chat


def request(text: str = "hello", **changes: Any) -> ChatRequest:
    message = ChatMessage(role="user", text=text)
    return ChatRequest(**{"request_id": f"id of {text}", "messages": (message,), "seed": 3, **changes})


def ask_all(chat: ChatModel, requests: Sequence[ChatRequest]) -> list[ChatReply | ChatFailure]:
    async def run() -> list[ChatReply | ChatFailure]:
        try:
            return await asyncio.gather(*(chat.ask(one) for one in requests))
        finally:
            await chat.close()

    return asyncio.run(run())


def ask(chat: ChatModel, one: ChatRequest) -> ChatReply | ChatFailure:
    (answer,) = ask_all(chat, [one])
    return answer


def test_a_reply_says_who_answered_with_what(server: FaultServer) -> None:
    reply = ask(build(server), request())

    assert isinstance(reply, ChatReply)
    assert (reply.request_id, reply.text) == ("id of hello", "answer to hello")
    stamp = reply.stamp
    assert (stamp.backend, stamp.model, stamp.seed, stamp.tokens_in, stamp.tokens_out) == ("openai", "small", 3, 3, 5)
    assert stamp.cost is None and stamp.seconds is not None


def test_a_schema_and_further_fields_are_sent(server: FaultServer) -> None:
    ask(build(server, extra_body={"top_k": 20, "max_tokens": None}), request(json_schema=SCHEMA))

    (body,) = server.bodies
    assert body["response_format"]["json_schema"]["schema"] == SCHEMA
    assert body["response_format"]["json_schema"]["strict"] is True
    assert body["top_k"] == 20
    assert "max_tokens" not in body


def test_pictures_are_sent_as_data_urls_with_their_type(server: FaultServer) -> None:
    webp = b"RIFF\x00\x00\x00\x00WEBPrest"
    images = (PNG, b"\xff\xd8\xffjpeg", webp)
    ask(build(server), request(messages=(ChatMessage(role="user", text="see", images=images),)))

    *pictures, text = server.bodies[0]["messages"][0]["content"]
    assert [part["image_url"]["url"].partition(";")[0] for part in pictures] == [
        "data:image/png", "data:image/jpeg", "data:image/webp",
    ]  # fmt: skip
    assert base64.b64decode(pictures[0]["image_url"]["url"].partition(",")[2]) == PNG
    assert text == {"type": "text", "text": "see"}


def test_in_text_mode_the_schema_is_written_out(server: FaultServer) -> None:
    ask(build(server, structured="text"), request(json_schema=SCHEMA))

    (body,) = server.bodies
    assert "response_format" not in body
    assert '"additionalProperties":false' in body["messages"][-1]["content"]


def test_a_refused_schema_falls_back_to_words_once_for_the_whole_run(
    server: FaultServer, caplog: pytest.LogCaptureFixture
) -> None:
    refusal = Fault(400, {"error": {"message": "response_format is not supported by this model"}})
    server.say = lambda number, body: refusal if "response_format" in body else "{}"
    chat = build(server)

    async def run() -> list[ChatReply | ChatFailure]:
        answers = [*await asyncio.gather(*(chat.ask(request(str(i), json_schema=SCHEMA)) for i in range(40)))]
        num_before = len(server.bodies)
        answers.append(await chat.ask(request("later", json_schema=SCHEMA)))
        assert len(server.bodies) == num_before + 1
        await chat.close()
        return answers

    with caplog.at_level(logging.WARNING):
        answers = asyncio.run(run())

    assert all(isinstance(answer, ChatReply) for answer in answers)
    assert len(caplog.records) == 1
    assert "asked in words" in caplog.text


def test_in_schema_mode_a_refused_schema_stops_the_run(server: FaultServer) -> None:
    server.say = lambda number, body: Fault(400, {"error": {"message": "unknown field response_format"}})

    with pytest.raises(BackendFailed, match=r"does not hold answers to a JSON schema.*structured=text"):
        ask(build(server, structured="schema"), request(json_schema=SCHEMA))


@pytest.mark.parametrize("kind", [500, 503, 429, "close", "hang", "garbage"])
def test_what_may_pass_is_tried_again(server: FaultServer, kind: int | str) -> None:
    server.say = lambda number, body: Fault(kind) if number == 1 else "fine"

    reply = ask(build(server), request())

    assert isinstance(reply, ChatReply)
    assert len(server.bodies) == 2
    assert server.bodies[0] == server.bodies[1]


def test_a_call_that_always_fails_ends_as_a_failure_while_others_succeed(server: FaultServer) -> None:
    server.say = lambda number, body: Fault(500) if body["messages"][0]["content"] == "bad" else "fine"
    chat = build(server, max_tries=3)

    good, bad = ask_all(chat, [request("good"), request("bad")])

    assert isinstance(good, ChatReply)
    assert isinstance(bad, ChatFailure)
    assert (bad.request_id, bad.reason) == ("id of bad", "server_error")
    assert len(server.bodies) == 1 + 3


def test_a_request_that_the_server_refuses_is_not_tried_again(server: FaultServer) -> None:
    server.say = lambda number, body: Fault(400, {"error": {"message": "your prompt is too long"}})

    failure = ask(build(server), request())

    assert isinstance(failure, ChatFailure)
    assert failure.reason == "refused_by_server"
    assert "too long" in failure.detail
    assert len(server.bodies) == 1


@pytest.mark.parametrize("error", [{"code": 502, "message": "overloaded"}, {"message": "overloaded"}, "overloaded"])
def test_an_error_that_is_sent_as_a_success_is_tried_again(server: FaultServer, error: Any) -> None:
    server.say = lambda number, body: Fault("json", {"error": error}) if number < 3 else "fine"

    reply = ask(build(server), request())

    assert isinstance(reply, ChatReply)
    assert (reply.text, len(server.bodies)) == ("fine", 3)


def test_a_lack_of_credit_that_is_sent_as_a_success_stops_the_run(server: FaultServer) -> None:
    server.say = lambda number, body: Fault("json", {"error": {"code": 402, "message": "Insufficient credits"}})

    with pytest.raises(BackendFailed, match="no credit left"):
        ask(build(server), request())


def test_an_answer_without_choices_is_a_failure_that_repeats_no_key(server: FaultServer) -> None:
    server.say = lambda number, body: Fault("json", {"choices": [], "for": KEY})

    failure = ask(build(server), request())

    assert isinstance(failure, ChatFailure)
    assert failure.reason == "unreadable_answer"
    assert failure.detail.endswith('"for":"***"}')


def test_a_model_that_declines_still_answers(server: FaultServer) -> None:
    choice = {"message": {"content": None, "refusal": "I cannot."}, "finish_reason": "stop"}
    server.say = lambda number, body: Fault("json", {"choices": [choice]})

    reply = ask(build(server), request())

    assert isinstance(reply, ChatReply)
    assert (reply.text, reply.finish_reason) == ("I cannot.", "refusal")


def test_retry_after_is_honoured(server: FaultServer) -> None:
    server.say = lambda number, body: Fault(429, headers={"Retry-After": "0.4"}) if number == 1 else "fine"

    started = time.monotonic()
    ask(build(server), request())

    assert time.monotonic() - started >= 0.4


def test_a_fixed_rate_is_kept(server: FaultServer) -> None:
    chat = build(server, rpm=600)

    started = time.monotonic()
    ask_all(chat, [request(str(i)) for i in range(16)])

    assert time.monotonic() - started >= 0.5  # ten at once, then ten a second


def test_no_more_calls_are_in_flight_than_allowed(server: FaultServer) -> None:
    ask_all(build(server, max_in_flight=5), [request(str(i)) for i in range(60)])

    assert 1 < server.peak_in_flight <= 5


def test_embeddings_come_in_the_order_of_the_texts(server: FaultServer) -> None:
    def say(number: int, body: dict[str, Any]) -> Fault:
        rows = [{"index": i, "embedding": [len(text), 1.0]} for i, text in enumerate(body["input"])]
        return Fault("json", {"data": rows[::-1]})

    server.say = say
    chat: Any = build(server)

    async def run() -> Any:
        vectors = await chat.embed([("x" * i) for i in range(1, 200)])
        await chat.close()
        return vectors

    vectors = asyncio.run(run())
    assert vectors.shape == (199, 2)
    assert np.array_equal(vectors[:, 0], np.arange(1, 200))
    assert len(server.bodies) == 2


def test_the_revision_follows_what_changes_answers_and_nothing_else(server: FaultServer) -> None:
    revision = build(server).revision

    assert build(server, base_url="http://127.0.0.1:9/v1", max_in_flight=3, rpm=5).revision == revision
    for change in ({"model": "large"}, {"extra_body": {"top_k": 1}}, {"structured": "text"}, {"model_revision": "2"}):
        assert build(server, **change).revision != revision


@pytest.mark.parametrize(
    ("options", "said"),
    [
        ({"structured": "jason"}, "one of auto, schema, text"),
        ({"base_url": "localhost:8000"}, "is no address"),
        ({"max_in_flight": 0}, "max_in_flight"),
        ({"timeout": 3}, "timeout_seconds"),
    ],
)
def test_a_wrong_option_is_named(server: FaultServer, options: dict[str, Any], said: str) -> None:
    with pytest.raises(ConfigError, match=said):
        build(server, **options)
