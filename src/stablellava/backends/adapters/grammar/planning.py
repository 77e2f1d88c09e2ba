"""What one draft is to hold: its facts, its slots and the text of its prompt."""

import random
from dataclasses import dataclass

from stablellava.backends.adapters.grammar.nouns import is_countable, is_gendered, is_plural
from stablellava.backends.adapters.grammar.rules import Slots
from stablellava.backends.adapters.grammar.script import Script
from stablellava.backends.adapters.grammar.tables import SharedTables
from stablellava.core.capability import Keyword
from stablellava.core.draft import DraftRequest
from stablellava.core.matching import contains_phrase

_FEATURE_COUNTS = (1, 1, 2, 2, 3)
_PREPOSITIONS = frozenset({"in", "on", "at", "by", "near", "under", "inside", "along", "beside"})
_SINGULAR_FORMS = {
    "is": "is",
    "s": "s",
    "es": "es",
    "has": "has",
    "it": "it",
    "them": "it",
    "its": "its",
    "this": "this",
}
_PLURAL_FORMS = {
    "is": "are", "s": "", "es": "", "has": "have", "it": "they", "them": "them", "its": "their", "this": "these",
}  # fmt: skip
_MAX_TRIES = 12


@dataclass(frozen=True, slots=True)
class Plan:
    """Fixed before the first sentence is written."""

    slots: Slots
    facts: tuple[tuple[str, str], ...]
    """Drawn properties, in the order of the rule "facts"."""


def draw_plan(request: DraftRequest, script: Script, rng: random.Random) -> Plan:
    """Draw facts, phrases and visual features; put everything a rule may name into slots."""
    slots = _given_slots(request, script.tables)
    facts = [(fact, value) for fact in script.facts if (value := _draw(fact, script, slots, rng)) is not None]
    for phrase in script.phrases:
        _draw(phrase, script, slots, rng)
    _add_features(slots, request.capability.visual_features, script.tables, rng)
    _add_agreement(slots, script.tables)
    if "style" in slots:
        slots["look"] = script.tables.say_look(slots["style"])
    if seen_on := slots.get("thing", slots.get("person")):
        slots.setdefault("subject", seen_on)
    return Plan(slots, tuple(facts))


def draw_other(plan: Plan, script: Script, keyword: Keyword, prompt: str, rng: random.Random) -> Keyword | None:
    """Draw a keyword of another group that the prompt does not name, or None if there is none."""
    others = script.other_keywords(keyword)
    for _ in range(_MAX_TRIES if others else 0):
        other = rng.choice(others)
        if not any(contains_phrase(prompt, name) for name in (other.short_answer, other.name, *other.synonyms)):
            return other
    return None


def draw_other_place(request: DraftRequest, tables: SharedTables, prompt: str, rng: random.Random) -> str | None:
    """Draw a place that is surely not the one in the picture, or None if there is none."""
    places = request.capability.settings
    for _ in range(_MAX_TRIES if places else 0):
        place = rng.choice(places)
        if not tables.are_similar_places(place, request.setting) and not contains_phrase(prompt, place):
            return place
    return None


def name_other(keyword: Keyword, other: Keyword) -> str:
    """Return the keyword with its answer exchanged: "red car" with "blue" is "blue car"."""
    if keyword.answer and keyword.answer != keyword.name and keyword.answer in keyword.name:
        return keyword.name.replace(keyword.answer, other.short_answer, 1)
    return other.name


def _given_slots(request: DraftRequest, tables: SharedTables) -> Slots:
    keyword = request.keyword
    slots = {"keyword": keyword.name, "answer": keyword.short_answer, "setting": request.setting}
    optional = {"subject": keyword.subject, "note": keyword.note, "group": keyword.group}
    slots |= {name: text for name, text in optional.items() if text}
    if keyword.group:
        slots[f"group_{keyword.group.replace(' ', '_')}"] = ""
    if is_gendered(keyword.name):
        slots["gendered"] = ""
    if is_countable(keyword.name):
        slots["countable"] = ""
    if tables.colors.isdisjoint(keyword.name.split()):
        slots["colorable"] = ""
    place = keyword.name if request.capability.setting_kind == "thing" else request.setting
    slots["place"] = tables.say_place(place)
    first, _, rest = slots["place"].partition(" ")
    if first in _PREPOSITIONS and rest:
        slots["scenery"] = rest
    _add_parts(slots, keyword.parts, tables)
    return slots


def _add_parts(slots: Slots, parts: tuple[str, ...], tables: SharedTables) -> None:
    """Number the pictures: "dog, on the beach" gives the slots part1 and way1."""
    for index, part in enumerate(parts, start=1):
        thing, _, way = part.partition(", ")
        slots[f"part{index}"] = slots["last_part"] = thing
        if way:
            is_place = way.partition(" ")[0] in _PREPOSITIONS
            slots[f"way{index}"] = way if is_place else tables.say_look(way)


def _draw(symbol: str, script: Script, slots: Slots, rng: random.Random) -> str | None:
    text = " ".join(script.grammar.expand_raw(symbol, slots, rng).split())
    if text:
        slots[symbol] = text
    return text or None


def _add_features(slots: Slots, features: tuple[str, ...], tables: SharedTables, rng: random.Random) -> None:
    """Draw one to three features that suit the place, of light at most one."""
    fitting = [feature for feature in features if not tables.clashes(feature, slots["place"])]
    drawn: list[str] = []
    for feature in rng.sample(fitting, k=min(rng.choice(_FEATURE_COUNTS), len(fitting))):
        if not (tables.is_light(feature) and any(map(tables.is_light, drawn))):
            drawn.append(feature)
    if not drawn:
        return
    slots["features"] = ", ".join(drawn)
    for feature in drawn:
        link = tables.link_of(feature)
        if link is None:
            continue
        slots.setdefault("feature", f"{link} {feature}")
        slots.setdefault("detail", feature)
        if link == "in":
            slots.setdefault("feature_in", f"in {feature}")
        if tables.is_light(feature):
            slots.setdefault("light", feature)


def _add_agreement(slots: Slots, tables: SharedTables) -> None:
    """Add verb endings and pronouns, except those that a phrase of the capability has set."""
    forms = dict(_PLURAL_FORMS if is_plural(slots.get("painted", slots["keyword"])) else _SINGULAR_FORMS)
    if forms["is"] == "is":
        forms["single"] = ""
    if pronouns := tables.pronouns.get(slots.get("person", "")):
        forms.update(zip(("it", "them", "its"), pronouns, strict=True))
    for name, text in forms.items():
        slots.setdefault(name, text)
