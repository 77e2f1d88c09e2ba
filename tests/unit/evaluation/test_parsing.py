import pytest

from stablellava.evaluation.parsing import find_affirmed, parse_choice, parse_yes_no


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("Yes", "yes"),
        ("no.", "no"),
        ("**Yes**, it is.", "yes"),
        ("No dog is here", "no"),
        ("Yes, there is no other animal.", "yes"),
        ("The answer is no.", "no"),
        ("I think yes", "yes"),
        ("Yes and no.", None),
        ("yes, no", None),
        ("I cannot tell", None),
        ("", None),
        ("There is no doubt about it", None),
        ("Notice the yesterday paper", None),
        ("a no-one", None),
    ],
)
def test_yes_and_no_are_read_only_where_they_are_clear(text: str, expected: str | None) -> None:
    assert parse_yes_no(text) == expected


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("a cat", "first"),
        ("It is a dog.", "second"),
        ("not a dog but a cat", "first"),
        ("a dog, not a cat", "second"),
        ("a cat rather than a dog", "first"),
        ("a kitten instead of the dog", "first"),
        ("It isn't a cat, it's a dog", "second"),
        ("No, a cat.", "first"),
        ("Not the cat. A dog", "second"),
        ("a cat or a dog", None),
        ("neither a cat nor a dog", None),
        ("a bird", None),
        ("", None),
        ("not a dog", None),
        ("category", None),
    ],
)
def test_a_choice_counts_only_if_exactly_one_side_is_affirmed(text: str, expected: str | None) -> None:
    assert parse_choice(text, ["cat", "kitten"], ["dog"]) == expected


def test_a_name_inside_the_other_sides_longer_name_is_not_named() -> None:
    assert parse_choice("red orange", ["orange"], ["red orange"]) == "second"
    assert parse_choice("red orange", ["red orange"], ["orange"]) == "first"
    assert parse_choice("orange", ["orange"], ["red orange"]) == "first"


def test_denied_keywords_are_passed_over() -> None:
    assert find_affirmed("This is not a dog but a fox", ["dog", "fox"]) == "fox"
    assert find_affirmed("This is not a dog", ["dog"]) is None
    assert find_affirmed("not a dog? yes, a dog", ["dog"]) == "dog"
    assert find_affirmed("not only a dog", ["dog"]) == "dog"
