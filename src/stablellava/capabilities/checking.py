"""Whether the parts of a capability fit each other."""

import re
from collections.abc import Iterable, Iterator
from typing import NamedTuple

from stablellava.core.capability import Capability
from stablellava.core.suggesting import suggest_name

FORM_SLOTS = ("keyword", "answer", "subject", "other", "setting", "first", "second")
"""Slots of an evaluation form, see core.capability.EvaluationForm."""
_NAME = re.compile(r"[A-Za-z0-9_-]+")
"""Folders are named after a capability."""
_SLOT = re.compile(r"\{(?:[?!]|plural )?(\w*)\}")


class Problem(NamedTuple):
    """What does not fit, and the field of the Capability it stands in."""

    field: str
    message: str


def find_problem(capability: Capability, places: Iterable[str]) -> Problem | None:
    """Return the first thing that does not fit, or None; ``places`` are the known place names."""
    return next(_find_problems(capability, tuple(places)), None)


def _find_problems(capability: Capability, places: tuple[str, ...]) -> Iterator[Problem]:
    if not _NAME.fullmatch(capability.name):
        yield Problem("name", f"name {capability.name!r} has other characters than letters, digits, '_' and '-'.")
    yield from _find_image_counts(capability)
    yield from _find_settings(capability, places)
    yield from _find_exemplars(capability)
    yield from _find_forms(capability)


def _find_image_counts(capability: Capability) -> Iterator[Problem]:
    low, high = capability.min_images, capability.max_images
    if not 1 <= low <= high:
        yield Problem("min_images", f"min_images={low}, max_images={high}: need 1 <= min_images <= max_images.")
    for keyword in capability.keywords:
        if capability.is_multi_image and not low <= len(keyword.parts) <= high:
            yield Problem(
                "keywords",
                f"keyword {keyword.name!r} has {len(keyword.parts)} parts, one per picture: give {low} to {high}.",
            )


def _find_settings(capability: Capability, places: tuple[str, ...]) -> Iterator[Problem]:
    if not capability.settings:
        yield Problem("settings", "settings is empty. Name at least one.")
    if capability.setting_kind == "thing":
        return
    for setting in capability.settings:
        if setting not in places:
            yield Problem("settings", f"settings: no place named {setting!r}. {suggest_name(setting, places)}")
    for keyword in capability.keywords:
        for setting in keyword.settings:
            if setting not in places:
                advice = suggest_name(setting, places)
                yield Problem("keywords", f"keyword {keyword.name!r}: no place named {setting!r}. {advice}")


def _find_exemplars(capability: Capability) -> Iterator[Problem]:
    names = [keyword.name for keyword in capability.keywords]
    for exemplar in capability.prompt_exemplars:
        if exemplar.keyword not in names:
            advice = suggest_name(exemplar.keyword, names)
            yield Problem("prompt_exemplars", f"exemplar of no keyword: {exemplar.keyword!r}. {advice}")
    for dialogue in capability.dialogue_exemplars:
        if not dialogue.turns or len(dialogue.turns) % 2:
            opening = dialogue.turns[:1]
            yield Problem(
                "dialogue_exemplars", f"{len(dialogue.turns)} turns after {opening}: need pairs of user and assistant."
            )


def _find_forms(capability: Capability) -> Iterator[Problem]:
    for form in capability.evaluation_forms:
        slots = set(_SLOT.findall(form.question))
        for slot in sorted(slots - set(FORM_SLOTS)):
            advice = suggest_name(slot, FORM_SLOTS)
            yield Problem("evaluation_forms", f"{form.question!r}: unknown slot {{{slot}}}. {advice}")
        if (form.kind == "either_or") != ({"first", "second"} <= slots):
            rule = "either_or forms, and only they, hold {first} and {second}"
            yield Problem("evaluation_forms", f"{form.question!r} is a {form.kind} form: {rule}.")
