import pytest

from stablellava.core.chat import ChatMessage, ChatRequest

REQUEST = ChatRequest(
    request_id="1", messages=(ChatMessage(role="user", text="hello", images=(b"one",)),), json_schema={"a": 1, "b": 2}
)


@pytest.mark.parametrize("changes", [{"request_id": "2"}, {"attempt": 1}, {"json_schema": {"b": 2, "a": 1}}])
def test_what_is_not_sent_does_not_count(changes: dict[str, object]) -> None:
    assert REQUEST.model_copy(update=changes).content_hash() == REQUEST.content_hash()


@pytest.mark.parametrize(
    "changes",
    [
        {"temperature": 0.5},
        {"top_p": 0.5},
        {"max_tokens": 5},
        {"seed": 0},
        {"json_schema": None},
        {"schema_name": "other"},
        {"messages": (ChatMessage(role="user", text="hello!", images=(b"one",)),)},
        {"messages": (ChatMessage(role="system", text="hello", images=(b"one",)),)},
        {"messages": (ChatMessage(role="user", text="hello", images=(b"two",)),)},
    ],
)
def test_everything_that_is_sent_counts(changes: dict[str, object]) -> None:
    assert REQUEST.model_copy(update=changes).content_hash() != REQUEST.content_hash()


def test_every_field_is_either_sent_or_named_as_not_sent() -> None:
    assert set(ChatRequest.model_fields) - {"request_id", "messages", "attempt"} == {
        "json_schema", "schema_name", "temperature", "top_p", "max_tokens", "seed",
    }  # fmt: skip
