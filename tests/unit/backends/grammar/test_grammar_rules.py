import random
from collections import Counter

import pytest

from stablellava.backends.adapters.grammar.rules import Grammar, tidy
from stablellava.core.errors import ConfigError


def _texts(rules: dict[str, list[str]], slots: dict[str, str], count: int = 200) -> set[str]:
    grammar = Grammar(rules, "test")
    return {grammar.expand("start", slots, random.Random(seed)) for seed in range(count)}


def test_symbols_slots_and_articles_are_filled() -> None:
    rules = {"start": ["[show] a {thing}."], "show": ["here is", "look at"]}
    assert _texts(rules, {"thing": "owl"}) == {"Here is an owl.", "Look at an owl."}


def test_the_article_sounds_with_the_first_word_and_counts_with_the_last() -> None:
    rules = {"start": ["It is a {color} {thing}."]}
    assert _texts(rules, {"color": "orange", "thing": "jeans"}) == {"It is a pair of orange jeans."}
    assert _texts(rules, {"color": "orange", "thing": "cat"}) == {"It is an orange cat."}


def test_alternatives_that_lack_a_slot_are_never_drawn_even_through_symbols() -> None:
    rules = {"start": ["[styled]", "plain"], "styled": ["in {style}"]}
    assert _texts(rules, {}) == {"Plain"}


def test_guards_ask_for_presence_and_absence() -> None:
    rules = {"start": ["{?style}with style", "{!style}without"]}
    assert _texts(rules, {"style": "oil"}) == {"With style"}
    assert _texts(rules, {}) == {"Without"}


def test_weights_make_alternatives_likelier() -> None:
    grammar = Grammar({"start": ["9 * often", "seldom"]}, "test")
    rng = random.Random(1)
    counts = Counter(grammar.expand_raw("start", {}, rng) for _ in range(2000))
    assert 0.86 < counts["often"] / 2000 < 0.94


def test_a_rule_without_alternatives_makes_those_that_use_it_unusable() -> None:
    assert _texts({"start": ["[own]", "shared"], "own": []}, {}) == {"Shared"}


def test_plurals_are_made_of_slots() -> None:
    assert _texts({"start": ["two {plural thing}"]}, {"thing": "wolf"}) == {"Two wolves"}


def test_tidying_closes_gaps_and_opens_sentences() -> None:
    assert tidy(" we see  a owl . it sits ;  fine ") == "We see an owl. It sits; fine"


@pytest.mark.parametrize(
    ("rules", "words"),
    [
        ({"start": ["[strat]"]}, ["'strat'"]),
        ({"start": ["[own]"], "own": ["[start]"]}, ["contains itself", "start > own > start"]),
        ({"start": ["a {broken slot"]}, ["stray bracket", "broken slot"]),
    ],
)
def test_broken_rules_are_refused_with_their_place(rules: dict[str, list[str]], words: list[str]) -> None:
    with pytest.raises(ConfigError) as caught:
        Grammar(rules, "capability 'zoo'")
    message = str(caught.value).replace("[strat]", "'strat'")
    assert "capability 'zoo'" in message
    assert all(word in message for word in words)


def test_a_rule_that_no_slot_can_fill_is_named() -> None:
    with pytest.raises(ConfigError, match=r"rule 'start'.*style"):
        Grammar({"start": ["{missing}"]}, "test").expand("start", {"style": "oil"}, random.Random(0))
