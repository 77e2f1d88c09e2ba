import pytest

from stablellava.backends.adapters.grammar.nouns import (
    capitalize_names,
    correct_articles,
    is_countable,
    is_plural,
    pluralize,
    with_article,
)


@pytest.mark.parametrize(
    ("phrase", "said"),
    [
        ("owl", "an owl"),
        ("unicycle", "a unicycle"),
        ("hourglass", "an hourglass"),
        ("x-ray", "an x-ray"),
        ("rice", "rice"),
        ("jeans", "a pair of jeans"),
        ("blue jeans", "a pair of blue jeans"),
        ("grapes", "a bunch of grapes"),
        ("two owls", "two owls"),
        ("one cat", "one cat"),
        ("bus", "a bus"),
        ("fish in a birdcage", "a fish in a birdcage"),
        ("man lifting weights", "a man lifting weights"),
        ("glass of milk", "a glass of milk"),
        ("underwater", "an underwater scene"),
        ("a birthday party", "a birthday party"),
    ],
)
def test_a_phrase_takes_the_article_that_english_gives_it(phrase: str, said: str) -> None:
    assert with_article("a", phrase) == said


def test_the_definite_article_keeps_the_measure() -> None:
    assert with_article("the", "jeans") == "the pair of jeans"
    assert with_article("the", "underwater") == "the underwater scene"


@pytest.mark.parametrize(
    ("one", "many"),
    [("fox", "foxes"), ("sheep", "sheep"), ("tropical fish", "tropical fish"), ("red berry", "red berries"),
     ("mouse", "mice")],
)  # fmt: skip
def test_plurals(one: str, many: str) -> None:
    assert pluralize(one) == many


@pytest.mark.parametrize("phrase", ["bread", "jeans", "cat on a sofa", "french fries"])
def test_what_cannot_be_counted(phrase: str) -> None:
    assert not is_countable(phrase)


def test_a_pair_is_one() -> None:
    assert not is_plural("jeans")
    assert is_plural("two jackets")
    assert not is_plural("walrus")


def test_articles_are_corrected_in_running_text() -> None:
    assert correct_articles("A owl and an fox, a hour later") == "An owl and a fox, an hour later"


def test_names_get_their_capitals() -> None:
    assert capitalize_names("we see the eiffel tower") == "we see the Eiffel Tower"
