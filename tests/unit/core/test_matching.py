import pytest

from stablellava.core.matching import (
    Span,
    contains_phrase,
    find_phrase,
    find_spans,
    first_match,
    plural_of,
    split_words,
)


@pytest.mark.parametrize(
    ("text", "phrase"),
    [
        ("A dog.", "dog"),
        ("Two Dogs!", "dog"),
        ("the dog's ears", "dog"),
        ("a bowl of cherry", "cherries"),
        ("cherries", "cherry"),
        ("tomato", "tomatoes"),
        ("glass", "glasses"),
        ("three firefighters", "firefighter"),
        ("policemen", "policeman"),
        ("a policeman", "policemen"),
        ("wolves", "wolf"),
        ("a T-shirt", "t-shirt"),
        ("a red car", "Red Car"),
        ("cr\u00e8me br\u00fbl\u00e9e", "creme brulee"),
        ("eine Katze", "Katze"),
        ("\u72ac", "\u72ac"),
        ("a hot dog", "hot dog"),
        ("two hot dogs and a dog", "dog"),
    ],
)
def test_a_phrase_is_found_as_a_reader_would_find_it(text: str, phrase: str) -> None:
    assert contains_phrase(text, phrase)


@pytest.mark.parametrize(
    ("text", "phrase"),
    [
        ("a scarf", "car"),
        ("category", "cat"),
        ("red and a car", "red car"),
        ("two hot dogs", "dog"),
        ("a sea lion", "lion"),
        ("", "dog"),
        ("anything", ""),
        ("anything", "?!"),
    ],
)
def test_a_phrase_is_not_found_inside_another_word_or_another_thing(text: str, phrase: str) -> None:
    assert not contains_phrase(text, phrase)


def test_every_occurrence_is_reported() -> None:
    words = split_words("A red car next to two red cars")
    assert find_spans(words, "red car") == [Span(1, 3), Span(6, 8)]
    assert find_phrase(words, "red car") == 1
    assert find_phrase(words, "blue car") == -1


def test_the_earliest_phrase_wins_and_the_longer_one_on_a_tie() -> None:
    assert first_match("a polar bear and a fox", ["fox", "polar", "polar bear"]) == "polar bear"
    assert first_match("nothing known", ["fox"]) is None


@pytest.mark.parametrize(
    ("singular", "plural"),
    [("fox", "foxes"), ("pony", "ponies"), ("monkey", "monkeys"), ("mango", "mangoes"), ("leaf", "leaves"),
     ("snowman", "snowmen"), ("ottoman", "ottomans")],
)  # fmt: skip
def test_plurals_are_formed_by_rule_or_from_the_table(singular: str, plural: str) -> None:
    assert plural_of(singular) == plural
