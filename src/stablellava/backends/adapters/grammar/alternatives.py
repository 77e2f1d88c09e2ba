"""Wrong answers that are surely wrong: other keywords, places and properties."""

from stablellava.backends.adapters.grammar.planning import Plan
from stablellava.backends.adapters.grammar.rules import Slots
from stablellava.core.capability import Keyword

_MAX_TRIES = 12


def with_alternatives(plan: Plan) -> Slots:
    """Return the plan's slots with newly drawn wrong alternatives.

    For the keyword: other, other_keyword, and first and second in either order. For the place and each
    drawn fact the same with a suffix: other_place, first_color.
    """
    slots = dict(plan.slots)
    keyword = plan.request.keyword
    other = _draw_other(plan)
    if other is not None:
        slots["other_keyword"] = _name_other(keyword, other)
        _add_pair(plan, slots, "", keyword.short_answer, other.short_answer)
    place = _draw_other_place(plan)
    if place is not None:
        _add_pair(plan, slots, "_place", slots["place"], plan.script.tables.say_place(place))
    for fact, value in plan.facts:
        wrong = plan.script.other_value(fact, value, plan.rng)
        if wrong is not None:
            _add_pair(plan, slots, f"_{fact}", value, wrong)
    if "other_style" in slots:
        looks = [plan.script.tables.say_look(slots[name]) for name in ("first_style", "second_style")]
        slots["first_look"], slots["second_look"] = looks
    return slots


def _draw_other(plan: Plan) -> Keyword | None:
    """Draw a keyword that is wrong for this one and named nowhere in the prompts, or None if there is none."""
    others = plan.script.other_keywords(plan.request.keyword)
    for _ in range(_MAX_TRIES if others else 0):
        other = plan.rng.choice(others)
        if not any(other.name in plan.script.keywords_named_in(phrase) for phrase in plan.phrases):
            return other
    return None


def _draw_other_place(plan: Plan) -> str | None:
    """Draw a place that is surely not the one in the picture, or None if there is none."""
    capability = plan.request.capability
    if capability.setting_kind != "place" or "place" not in plan.slots:
        return None
    for _ in range(_MAX_TRIES if capability.settings else 0):
        place = plan.rng.choice(capability.settings)
        if not plan.script.tables.are_similar_places(place, plan.request.setting):
            return place
    return None


def _name_other(keyword: Keyword, other: Keyword) -> str:
    """Return the keyword with its answer exchanged: "red car" with "blue" is "blue car"."""
    if keyword.answer and keyword.answer != keyword.name and keyword.answer in keyword.name:
        return keyword.name.replace(keyword.answer, other.short_answer, 1)
    return other.name


def _add_pair(plan: Plan, slots: Slots, suffix: str, right: str, wrong: str) -> None:
    slots[f"other{suffix}"] = wrong
    pair = (right, wrong) if plan.rng.random() < 0.5 else (wrong, right)
    slots[f"first{suffix}"], slots[f"second{suffix}"] = pair
