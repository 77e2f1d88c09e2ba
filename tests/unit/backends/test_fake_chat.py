import asyncio
import time
from typing import Any

from stablellava.backends.adapters.fake_chat import FakeChat
from stablellava.backends.parsing import parse_answer
from stablellava.core.chat import ChatFailure, ChatMessage, ChatReply, ChatRequest

SCHEMA: dict[str, Any] = {
    "type": "object",
    "properties": {
        "prompt": {"type": "string"},
        "turns": {"type": "array", "items": {"$ref": "#/$defs/turn"}, "minItems": 2},
        "kind": {"enum": ["wh"]},
        "n": {"type": "integer"},
    },
    "required": ["prompt", "turns", "kind", "n"],
    "$defs": {"turn": {"type": "object", "properties": {"text": {"type": "string"}}, "required": ["text"]}},
}
TEXT = "Keywords: cat\nother words\nKeywords: Owl, Frog \nend"


def ask(chat: FakeChat, number: int = 0, text: str = TEXT, schema: dict[str, Any] | None = SCHEMA) -> Any:
    messages = (ChatMessage(role="system", text="rules"), ChatMessage(role="user", text=text))
    request = ChatRequest(request_id=str(number), messages=messages, seed=number, json_schema=schema)
    return asyncio.run(chat.ask(request))


def test_an_answer_fits_the_schema_and_is_about_a_keyword() -> None:
    subjects = set()
    for number in range(20):
        parsed = parse_answer(ask(FakeChat(), number).text, SCHEMA)
        assert parsed.value is not None, parsed.error
        subjects.add(parsed.value["prompt"].partition("))")[0])
    assert subjects == {"((Owl", "((Frog"}


def test_the_prompt_is_given_back() -> None:
    value = parse_answer(ask(FakeChat(), text='Prompt: a "red" owl \nend').text, SCHEMA).value

    assert value is not None
    assert value["prompt"] == 'a "red" owl'


def test_each_picture_of_a_request_has_a_prompt_of_its_own() -> None:
    several = {
        "type": "object",
        "properties": {"prompts": {"type": "array", "items": {"type": "string"}, "minItems": 3}},
    }
    asked = "Keywords: bread\nPictures: rye | salt\n\nKeywords: a frog's life\nPictures: egg | tadpole | frog\nPlace: x"

    written = parse_answer(ask(FakeChat(), text=asked, schema=several).text, several).value
    assert written is not None
    assert [prompt.partition(",")[0] for prompt in written["prompts"]] == ["((egg))", "((tadpole))", "((frog))"]

    without = parse_answer(
        ask(FakeChat(), text=f"{asked}\nKeywords: owl\nPlace: y", schema=several).text, several
    ).value
    assert without is not None
    assert [prompt.partition(",")[0] for prompt in without["prompts"]] == ["((owl))"] * 3


def test_equal_requests_have_equal_answers_and_seeds_make_them_differ() -> None:
    texts = [ask(FakeChat(), number).text for number in range(50)]

    assert texts == [ask(FakeChat(), number).text for number in range(50)]
    assert len(set(texts)) == 50


def test_faults_are_planted_in_their_shares_and_at_the_same_places() -> None:
    chat = FakeChat(broken_share=0.2, truncated_share=0.2, fail_share=0.1, rate_limited_share=0.1)
    answers = [ask(chat, number) for number in range(600)]
    failures = [one.reason for one in answers if isinstance(one, ChatFailure)]
    texts = [one.text for one in answers if isinstance(one, ChatReply)]
    unreadable = [text for text in texts if parse_answer(text, SCHEMA).value is None]

    assert 40 < failures.count("server_error") < 80
    assert 30 < failures.count("rate_limited") < 80
    assert 0.28 < len(unreadable) / len(texts) < 0.44
    assert [ask(chat, number) for number in range(600)] == answers


def test_a_collapsing_writer_repeats_itself_from_then_on() -> None:
    chat = FakeChat(collapse_after=100)
    texts = [ask(chat, number).text for number in range(200)]

    assert len(set(texts[:100])) == 100
    assert len(set(texts[100:])) == 5


def test_a_script_answers_instead() -> None:
    chat = FakeChat(script=lambda request: f"I was asked {request.request_id}")

    assert ask(chat, 7).text == "I was asked 7"


def test_a_slow_writer_takes_its_time() -> None:
    started = time.monotonic()
    ask(FakeChat(seconds=0.05))

    assert time.monotonic() - started >= 0.05
