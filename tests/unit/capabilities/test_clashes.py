"""No word leads to two things, or a right answer could be counted wrong and the other way round."""

from collections import defaultdict
from collections.abc import Iterable

import pytest

from stablellava.capabilities import list_capabilities, load_capability, load_places
from stablellava.core.capability import Keyword
from stablellava.core.matching import plural_of, split_words

THING_CAPABILITIES = ("animal", "plant", "vehicle", "food", "clothes", "furniture")
SAME_THING_IN_TWO: frozenset[str] = frozenset()
"""Names that two thing capabilities may share because they mean the same thing in both."""


def forms_of(phrase: str) -> set[str]:
    *rest, last = split_words(phrase)
    return {" ".join((*rest, form)) for form in (last, plural_of(last))}


def names_of(keyword: Keyword) -> set[str]:
    return {form for phrase in (keyword.name, *keyword.synonyms) for form in forms_of(phrase)}


def find_shared(named: Iterable[tuple[str, set[str]]]) -> dict[str, set[str]]:
    """Return form -> owners for every form that has more than one owner."""
    owners: defaultdict[str, set[str]] = defaultdict(set)
    for owner, forms in named:
        for form in forms:
            owners[form].add(owner)
    return {form: found for form, found in owners.items() if len(found) > 1}


@pytest.mark.parametrize("name", list_capabilities())
def test_no_two_keywords_of_a_capability_share_a_name_or_synonym(name: str) -> None:
    assert not find_shared((keyword.name, names_of(keyword)) for keyword in load_capability(name).keywords)


def test_thing_capabilities_share_no_names() -> None:
    named = [
        (f"{name}: {keyword.name}", names_of(keyword) - SAME_THING_IN_TWO)
        for name in THING_CAPABILITIES
        for keyword in load_capability(name).keywords
    ]
    assert not find_shared(named)


@pytest.mark.parametrize("name", [*THING_CAPABILITIES, "scene"])
def test_a_broader_answer_fits_keywords_of_one_group_only(name: str) -> None:
    """Wrong alternatives come from other groups; "bird" must not be right for both sides of a question."""
    keywords = load_capability(name).keywords
    broader = {form for keyword in keywords for answer in keyword.accepted for form in forms_of(answer)}
    shared = find_shared(
        (
            keyword.group,
            (names_of(keyword) | {form for answer in keyword.accepted for form in forms_of(answer)}) & broader,
        )
        for keyword in keywords
    )
    assert not shared


def test_no_two_places_share_a_name_or_synonym() -> None:
    named = (
        (place.name, {form for word in (place.name, *place.synonyms) for form in forms_of(word)})
        for place in load_places()
    )
    assert not find_shared(named)


def test_a_scene_named_like_a_place_has_the_synonyms_of_that_place() -> None:
    places = {place.name: set(place.synonyms) for place in load_places()}
    scenes = {keyword.name: set(keyword.synonyms) for keyword in load_capability("scene").keywords}
    both = places.keys() & scenes.keys()
    assert len(both) >= 20
    assert {name: scenes[name] for name in both} == {name: places[name] for name in both}


def test_a_word_of_one_place_names_no_other_scene() -> None:
    places = [
        (place.name, {form for word in (place.name, *place.synonyms) for form in forms_of(word)})
        for place in load_places()
    ]
    scenes = [(keyword.name, names_of(keyword)) for keyword in load_capability("scene").keywords]
    assert not find_shared([*places, *scenes])
