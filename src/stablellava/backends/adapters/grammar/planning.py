"""What one draft is to hold: its facts, its slots and the text of its prompt."""

import random
from dataclasses import dataclass

from stablellava.backends.adapters.grammar.nouns import is_countable, is_gendered, is_plural
from stablellava.backends.adapters.grammar.rules import Slots
from stablellava.backends.adapters.grammar.script import Script
from stablellava.backends.adapters.grammar.tables import SharedTables
from stablellava.core.draft import DraftRequest

_FEATURE_COUNTS = (1, 1, 2, 2, 3)
_PREPOSITIONS = frozenset({"in", "on", "at", "by", "near", "under", "inside", "along", "beside"})
_SINGULAR_FORMS = {
    "is": "is", "s": "s", "es": "es", "has": "has", "it": "it", "them": "it", "its": "its", "single": "",
}  # fmt: skip
_PLURAL_FORMS = {
    "is": "are", "s": "", "es": "", "has": "have", "it": "they", "them": "them", "its": "their",
}  # fmt: skip


@dataclass(frozen=True, slots=True)
class Plan:
    """One draft, fixed before its first sentence is written; ``rng`` goes on from there."""

    request: DraftRequest
    script: Script
    rng: random.Random
    slots: Slots
    """What the rules may name."""
    facts: tuple[tuple[str, str], ...]
    """Drawn properties, in the order of the rule "facts"."""
    prompts: tuple[str, ...]
    """One text per picture; all share place, style and visual features."""

    @property
    def num_images(self) -> int:
        return len(self.prompts)

    @property
    def phrases(self) -> tuple[str, ...]:
        """The phrases of all prompts."""
        return tuple(dict.fromkeys(phrase for text in self.prompts for phrase in text.split(", ")))


def draw_plan(request: DraftRequest, script: Script) -> Plan:
    """Draw facts, phrases and visual features, and write the prompts."""
    rng = random.Random(request.seed)  # noqa: S311 - variety, not secrecy
    slots = _given_slots(request, script.tables)
    facts = tuple((fact, value) for fact in script.facts if (value := _draw(fact, script, slots, rng)))
    for phrase in script.phrases:
        _draw(phrase, script, slots, rng)
    _add_features(slots, script.features_for(slots["place"]), script.tables, rng)
    _add_agreement(slots, script.tables)
    if "style" in slots:
        slots["look"] = script.tables.say_look(slots["style"])
    if seen_on := slots.get("thing", slots.get("person")):
        slots.setdefault("subject", seen_on)
    prompts = tuple(
        _one_line(script.grammar.expand_raw("prompt", {**slots, "part": part} if part else slots, rng))
        for part in (request.keyword.parts or ("",))
    )
    if slots["place"] in request.keyword.name:
        del slots["place"]
    return Plan(request, script, rng, slots, facts, prompts)


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


def _draw(symbol: str, script: Script, slots: Slots, rng: random.Random) -> str:
    """Expand a symbol into the slot of its name; an empty text leaves the slot absent."""
    text = _one_line(script.grammar.expand_raw(symbol, slots, rng))
    if text:
        slots[symbol] = text
    return text


def _one_line(text: str) -> str:
    return " ".join(text.split())


def _add_features(slots: Slots, fitting: tuple[str, ...], tables: SharedTables, rng: random.Random) -> None:
    """Draw one to three features, of light at most one."""
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
    if pronouns := tables.pronouns.get(slots.get("person", "")):
        forms.update(zip(("it", "them", "its"), pronouns, strict=True))
    for name, text in forms.items():
        slots.setdefault(name, text)
