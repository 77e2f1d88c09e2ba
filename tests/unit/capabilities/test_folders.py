"""Every built-in capability folder is complete and its parts belong together."""

import re
from importlib.resources import files

import pytest

from stablellava.capabilities import list_capabilities, load_capability, load_places
from stablellava.config.synthesis import MULTI_IMAGE_CAPABILITIES, SINGLE_IMAGE_CAPABILITIES
from stablellava.core.matching import contains_phrase

FEW_IN_THE_WORLD = {"hair": 16, "style": 16}
"""Capabilities whose subject has fewer than 40 values, with the least we ask for."""
GROUPS = {"physical attributes", "life", "man-made", "society", "others", "multi-image"}
CAPABILITIES = (*SINGLE_IMAGE_CAPABILITIES, *MULTI_IMAGE_CAPABILITIES)

every_capability = pytest.mark.parametrize("name", CAPABILITIES)
every_single_image_capability = pytest.mark.parametrize("name", SINGLE_IMAGE_CAPABILITIES)


def test_the_list_names_exactly_the_folders() -> None:
    folders = {
        entry.name for entry in files("stablellava.capabilities").iterdir() if (entry / "keywords.yaml").is_file()
    }
    assert folders == set(list_capabilities()) == set(CAPABILITIES)


def test_places_have_distinct_names_and_synonyms() -> None:
    named = [word for place in load_places() for word in (place.name, *place.synonyms)]
    assert len(named) == len(set(named))


@every_capability
def test_capability_is_named_like_its_folder_and_says_where_it_comes_from(name: str) -> None:
    capability = load_capability(name)
    assert capability.name == name
    assert capability.group in GROUPS
    assert re.search(r"2308\.10253v[12]", capability.paper)
    assert all((capability.title, capability.brief, capability.answer_form, capability.cautions))
    assert len(capability.visual_features) >= 10
    assert capability.grammar


@every_capability
def test_capability_shows_several_pictures_exactly_when_it_is_multi_image(name: str) -> None:
    capability = load_capability(name)
    assert capability.is_multi_image == (name in MULTI_IMAGE_CAPABILITIES)
    assert (capability.group == "multi-image") == capability.is_multi_image


@every_capability
def test_capability_has_enough_keywords_in_several_groups(name: str) -> None:
    capability = load_capability(name)
    assert len(capability.keywords) >= FEW_IN_THE_WORLD.get(name, 40)
    assert all(keyword.group for keyword in capability.keywords)
    assert len({keyword.group for keyword in capability.keywords}) >= 2


@every_capability
def test_capability_has_five_exemplars_of_each_sort(name: str) -> None:
    capability = load_capability(name)
    assert len(capability.prompt_exemplars) >= 5
    assert len(capability.dialogue_exemplars) >= 5
    assert len({exemplar.keyword for exemplar in capability.prompt_exemplars}) >= 5


@every_capability
def test_capability_asks_at_least_twelve_different_description_questions(name: str) -> None:
    questions = load_capability(name).description_questions
    assert len(questions) >= 12
    assert len({question.lower() for question in questions}) == len(questions)


@every_capability
def test_capability_has_three_forms_of_every_kind(name: str) -> None:
    forms = load_capability(name).evaluation_forms
    assert len({form.question for form in forms}) == len(forms)
    for kind in ("wh", "yes_no", "either_or"):
        assert len([form for form in forms if form.kind == kind]) >= 3
    assert all(form.question.endswith("?") for form in forms)


@every_capability
def test_wh_forms_do_not_hold_their_answer(name: str) -> None:
    questions = [form.question for form in load_capability(name).evaluation_forms if form.kind == "wh"]
    assert not [question for question in questions if re.search(r"\{(answer|keyword|other)\}", question)]


@every_single_image_capability
def test_prompt_exemplars_start_with_their_keyword(name: str) -> None:
    for exemplar in load_capability(name).prompt_exemplars:
        assert len(exemplar.texts) == 1
        assert exemplar.texts[0].split(",")[0] == exemplar.keyword


@every_single_image_capability
def test_dialogue_exemplars_start_from_a_keyword_and_an_answer_names_it(name: str) -> None:
    capability = load_capability(name)
    for exemplar in capability.dialogue_exemplars:
        assert len(exemplar.prompts) == 1
        keyword = capability.find_keyword(exemplar.prompts[0].split(",")[0])
        assert keyword is not None, exemplar.prompts[0]
        said = " ".join(exemplar.turns[1::2])
        assert any(contains_phrase(said, answer) for answer in keyword.accepted_answers), exemplar.turns


@every_single_image_capability
def test_prompt_exemplars_are_set_where_their_keyword_may_be(name: str) -> None:
    capability = load_capability(name)
    phrases = {place.name: place.phrase for place in load_places()}
    for exemplar in capability.prompt_exemplars:
        keyword = capability.find_keyword(exemplar.keyword)
        assert keyword is not None
        settings = keyword.settings or capability.settings
        allowed = [phrases.get(setting, setting) for setting in settings]
        assert any(contains_phrase(exemplar.texts[0], phrase) for phrase in allowed), exemplar.texts[0]


@pytest.mark.parametrize("name", MULTI_IMAGE_CAPABILITIES)
def test_multi_image_exemplars_show_as_many_pictures_as_the_capability_allows(name: str) -> None:
    capability = load_capability(name)
    counts = [len(exemplar.texts) for exemplar in capability.prompt_exemplars]
    counts += [len(exemplar.prompts) for exemplar in capability.dialogue_exemplars]
    assert all(capability.min_images <= count <= capability.max_images for count in counts)


@every_capability
def test_exemplar_dialogues_have_two_to_six_turns_and_differ(name: str) -> None:
    dialogues = [exemplar.turns for exemplar in load_capability(name).dialogue_exemplars]
    assert all(2 <= len(turns) <= 6 for turns in dialogues)
    assert len({turns[0] for turns in dialogues}) == len(dialogues)
