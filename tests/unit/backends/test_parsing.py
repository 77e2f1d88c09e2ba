import pytest

from stablellava.backends.parsing import parse_answer

SCHEMA = {
    "type": "object",
    "properties": {
        "a": {"type": "string", "minLength": 1},
        "b": {"type": "array", "items": {"$ref": "#/$defs/word"}, "minItems": 1, "maxItems": 2},
        "c": {"anyOf": [{"type": "integer"}, {"type": "null"}]},
    },
    "required": ["a"],
    "$defs": {"word": {"enum": ["y", "z"]}},
}


@pytest.mark.parametrize(
    ("text", "was_repaired"),
    [
        ('{"a": "x"}', False),
        (' {"a":\n"x"} ', True),
        ('Sure!\n```json\n{"a": "x"}\n```\nAnything else?', True),
        ('```\n{"a": "x",}\n```', True),
        ("{'a': 'x'}", True),
        ('{a: "x"}', True),
        ('{"a": "x"} I hope this helps.', True),
        ('<think>maybe {"a": "no"}?</think>{"a": "x"}', True),
    ],
)
def test_harmless_damage_is_mended(text: str, was_repaired: bool) -> None:
    parsed = parse_answer(text, SCHEMA)

    assert parsed.value == {"a": "x"}
    assert parsed.error == ""
    assert parsed.was_repaired == was_repaired


def test_quotes_inside_a_text_are_mended() -> None:
    assert parse_answer('{"a": "she said "hi" to it"}', SCHEMA).value == {"a": 'she said "hi" to it'}


@pytest.mark.parametrize(
    "text",
    [
        '{"a": "x", "b": ["y", "z"',
        '{"a": "x", "b": ["y"]',
        '{"a": "x',
        '{"a": "text with } and the rest is mis',
        '{"a": [{"b": "c"}, {"b": "d"',
        "Here it is: {not json",
    ],
)
def test_what_was_cut_off_is_never_completed(text: str) -> None:
    parsed = parse_answer(text)

    assert parsed.value is None
    assert parsed.error == "the answer was cut off before its end"


def test_every_prefix_of_an_answer_is_refused() -> None:
    whole = '{"a": "one, {two}", "b": ["y", "z"], "n": {"k": [1, 2], "t": true}}'

    kept = [end for end in range(len(whole)) if parse_answer(whole[:end]).value is not None]

    assert kept == []


def test_the_length_limit_is_believed_where_the_object_is_damaged() -> None:
    damaged = "{'a': 'x'}"

    assert parse_answer(damaged, None, "stop").value == {"a": "x"}
    assert parse_answer(damaged, None, "length").value is None
    assert parse_answer('{"a": "x"}', None, "length").value == {"a": "x"}


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("I would rather not.", "holds no JSON object"),
        ("", "holds no JSON object"),
        ('{"a": "x", "c": }', "no valid JSON"),
        ('{"a": "x"} {"a": "y"}', "more than one JSON object"),
        ("{}", "lacks the field 'a'"),
        ('{"a": 3}', "the answer.a is 3, not of type string"),
        ('{"a": ""}', "fewer than 1 characters"),
        ('{"a": "x", "b": []}', "the answer.b has 0 items instead of 1 to 2"),
        ('{"a": "x", "b": ["q"]}', r"the answer.b\[0\] is 'q', not one of"),
        ('{"a": "x", "c": "q"}', "the answer.c is 'q', not of type integer"),
        ('{"a": "x", "c": true}', "the answer.c is True"),
    ],
)
def test_what_is_wrong_is_said_in_words(text: str, said: str) -> None:
    import re

    parsed = parse_answer(text, SCHEMA)

    assert parsed.value is None
    assert re.search(said, parsed.error)


@pytest.mark.parametrize("text", ['{"a": "a dog \\ud83d"}', '{"a": "x", "n": 123456789012345678901234567890}'])
def test_what_no_record_can_hold_is_an_error(text: str) -> None:
    parsed = parse_answer(text, SCHEMA)

    assert parsed.value is None
    assert parsed.error.startswith("the answer cannot be kept")


def test_a_whole_character_in_two_escapes_is_kept() -> None:
    assert parse_answer('{"a": "a dog \\ud83d\\udc36"}', SCHEMA).value == {"a": "a dog \U0001f436"}


@pytest.mark.parametrize("end", ["", "]" * 20_000 + "}"])
def test_a_model_that_loses_itself_in_brackets_is_an_error(end: str) -> None:
    assert parse_answer('{"a": ' + "[" * 20_000 + end, SCHEMA).value is None


@pytest.mark.parametrize("end", ["", "}"])
def test_a_model_that_loses_itself_in_digits_is_an_error(end: str) -> None:
    assert parse_answer('{"a": "x", "c": ' + "1" * 5_000 + end, SCHEMA).value is None
