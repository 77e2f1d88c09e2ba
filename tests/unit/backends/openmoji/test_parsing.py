import pytest

from stablellava.backends.adapters.openmoji.parsing import parse_prompt
from stablellava.backends.adapters.openmoji.reporting import report_facts


def facts_of(text: str, *emphasis: str) -> set[tuple[str, str, str]]:
    plan = parse_prompt(text, emphasis)
    assert not plan.refused
    return {(fact.kind, fact.name, fact.subject) for fact in report_facts(plan)}


def test_a_color_is_reported_with_the_thing_it_is_on() -> None:
    assert facts_of("red car, on the street", "red car") == {
        ("thing", "car", ""), ("color", "red", "car"), ("place", "street", ""),
    }  # fmt: skip


def test_a_color_that_is_part_of_a_name_is_reported_too() -> None:
    assert ("color", "red", "apple") in facts_of("red apple", "red apple")
    assert ("color", "green", "green apple") in facts_of("green apple", "green apple")


def test_orange_is_a_fruit_alone_and_a_color_before_a_thing() -> None:
    assert facts_of("orange, kitchen", "orange") == {("thing", "orange", ""), ("place", "kitchen", "")}
    assert ("color", "orange", "fish") in facts_of("orange fish, underwater", "orange fish")


def test_counts_are_read_from_words() -> None:
    plan = parse_prompt("two red apples", ("two red apples",))
    assert plan.actors[0].number == 2
    assert ("count", "two", "apple") in facts_of("two red apples", "two red apples")


def test_a_plain_plural_means_several() -> None:
    assert parse_prompt("cats", ("cats",)).actors[0].number > 1


def test_a_relation_keeps_its_words() -> None:
    plan = parse_prompt("elephant on a bicycle, in the park", ("elephant on a bicycle",))
    [relation] = [fact for fact in report_facts(plan) if fact.kind == "relation"]
    assert (relation.name, relation.said, relation.subject) == ("on", "elephant on a bicycle", "elephant")


def test_an_action_and_a_person_in_two_phrases_belong_together() -> None:
    facts = facts_of("running, boy, on the beach", "running")
    assert {("action", "running", "boy"), ("thing", "boy", "")} <= facts


def test_a_person_after_a_profession_says_who_works() -> None:
    facts = facts_of("firefighter, woman, on the street", "firefighter")
    assert {("profession", "firefighter", "woman"), ("thing", "woman", "")} <= facts
    assert not any(kind == "thing" and name == "person" for kind, name, _ in facts)


@pytest.mark.parametrize("phrase", ["Yellow-cornflower", "CLAM CHOWDER", "playing volleyball", "two   dogs"])
def test_hyphens_case_and_spaces_do_not_matter(phrase: str) -> None:
    assert not parse_prompt(f"{phrase}, field", (phrase,)).refused


@pytest.mark.parametrize("phrase", ["clay cat", "dog zebrafish", "quantum apple"])
def test_a_keyword_understood_in_part_is_refused(phrase: str) -> None:
    assert parse_prompt(f"{phrase}, on the beach", (phrase,)).refused == phrase


def test_without_emphasis_the_first_phrase_decides() -> None:
    assert parse_prompt("glorbnik, dog").refused == "glorbnik"
    assert not parse_prompt("dog, glorbnik").refused


def test_what_leaves_no_trace_is_named() -> None:
    plan = parse_prompt("dog, on the beach, 8k, soft light, masterpiece", ("dog",))
    assert plan.ignored == ["8k", "masterpiece"]
    assert [feature.name for feature in plan.features] == ["soft light"]


def test_a_building_after_a_phrase_of_place_is_a_thing() -> None:
    assert facts_of("castle, in the meadow", "castle") == {("thing", "castle", ""), ("place", "meadow", "")}
    assert facts_of("castle, dog", "castle") == {("place", "castle", ""), ("thing", "dog", "")}


def test_a_style_is_read_wherever_it_stands() -> None:
    assert ("style", "watercolor", "") in facts_of("fox, in watercolor style, forest", "fox")
    assert ("style", "cross-stitch", "") in facts_of("cross-stitch, cat", "cross-stitch")


def test_what_an_animal_holds_is_a_relation() -> None:
    facts = facts_of("pig holding a balloon, in the sky", "pig holding a balloon")
    assert {("thing", "pig", ""), ("thing", "balloon", ""), ("relation", "holding", "pig")} <= facts


def test_what_would_be_hidden_is_not_reported() -> None:
    plan = parse_prompt("running, man with red hair, in the park", ("running",))
    assert all(fact.kind != "hair" for fact in report_facts(plan))
    assert "red hair" in plan.ignored
    assert parse_prompt("blue man, in the park", ("blue man",)).refused == "blue man"


def test_an_animal_that_cannot_be_shown_at_it_is_refused() -> None:
    assert parse_prompt("dog playing chess", ("dog playing chess",)).refused == "dog playing chess"
    assert not parse_prompt("dog sleeping", ("dog sleeping",)).refused
