"""What words name, and how it is drawn: the painter's data files as one table of word tuples."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from functools import lru_cache
from typing import Any, Literal

from stablellava.backends.adapters.openmoji.colors import Rgb, parse_color
from stablellava.backends.adapters.openmoji.datafiles import load_data
from stablellava.backends.adapters.openmoji.sketches import PALETTE
from stablellava.core.matching import plural_of, split_words

EntryKind = Literal[
    "thing", "place", "style", "color", "shade", "count", "relation", "filler", "harmless", "feature", "person", "hair",
    "profession", "action", "manner", "size",
]  # fmt: skip
Words = tuple[str, ...]

THING_FILES = ("animals", "food", "vehicles", "plants", "clothes", "furniture", "objects")


@dataclass(frozen=True)
class Entry:
    """One reading of a phrase."""

    kind: EntryKind
    name: str
    is_plural: bool = False
    """The words are a plain plural of the name: several are meant."""


@dataclass(frozen=True)
class Thing:
    """How a thing is drawn and where it keeps itself."""

    name: str
    category: str
    glyph: str
    sketch: str
    tint: Rgb | None
    height: float
    """Share of the picture's height when it is the main thing."""
    flies: bool
    swims: bool
    worn_on: str
    """Part of a wearer: head, face, neck, body, hand, feet; empty if it is not worn."""
    head: tuple[float, float, float]
    """Where a hat sits: x, y and width as shares of the cut picture."""
    face: tuple[float, float]
    hand: tuple[float, float]
    can_flip: bool
    """False where letters or hands of a clock would show that it is mirrored."""


@dataclass(frozen=True)
class Lexicon:
    """All phrases that are understood, and what they stand for."""

    index: Mapping[Words, tuple[Entry, ...]]
    longest: int
    """Number of words of the longest phrase."""
    things: Mapping[str, Thing]
    colors: Mapping[str, Rgb]
    shades: Mapping[str, float]
    """Share of white (below zero: of black) that a word adds to the color after it."""
    counts: Mapping[str, int]
    sizes: Mapping[str, float]
    """Factor on a thing's usual height."""
    places: Mapping[str, Mapping[str, Any]]
    persons: Mapping[str, Mapping[str, Any]]
    hair: Mapping[str, Mapping[str, Any]]
    professions: Mapping[str, Mapping[str, Any]]
    actions: Mapping[str, Mapping[str, Any]]
    effects: Mapping[str, str]
    """Visual feature -> name of its effect."""

    def lookup(self, words: Words) -> tuple[Entry, ...]:
        return self.index.get(words, ())


class _Index:
    """Collects phrases; the first entry of a kind for the same words stays."""

    def __init__(self) -> None:
        self.table: dict[Words, list[Entry]] = {}

    def add(self, phrase: str, entry: Entry) -> None:
        words = tuple(split_words(phrase))
        entries = self.table.setdefault(words, [])
        if all(known.kind != entry.kind for known in entries):
            entries.append(entry)

    def add_all(self, kind: EntryKind, table: Mapping[str, Any]) -> None:
        """Add names and further phrases ("also") of a table."""
        for name, fields in table.items():
            for phrase in (name, *_further_names(fields)):
                self.add(str(phrase), Entry(kind, str(name)))

    def add_plurals(self, kind: EntryKind) -> None:
        """Add the plain plural of every phrase of a kind that is not itself a known phrase."""
        for words, entries in list(self.table.items()):
            name = next((entry.name for entry in entries if entry.kind == kind), None)
            if name is not None:
                head = words.index("of") - 1 if "of" in words[1:] else len(words) - 1
                plural = (*words[:head], plural_of(words[head]), *words[head + 1 :])
                self.add(" ".join(plural), Entry(kind, name, is_plural=True))


def _further_names(fields: Any) -> Iterable[str]:
    return fields.get("also", ()) if isinstance(fields, Mapping) else fields or ()


def parse_tint(name: str, colors: Mapping[str, Rgb]) -> Rgb:
    """Return a color of the words file or of the sketches' palette."""
    return colors[name] if name in colors else parse_color(PALETTE[name])


def _read_things(colors: Mapping[str, Rgb]) -> dict[str, Thing]:
    things: dict[str, Thing] = {}
    for category in THING_FILES:
        data = load_data(category)
        for name, fields in data["things"].items():
            merged = {**data["defaults"], **fields}
            tint = merged.get("tint")
            things[str(name)] = Thing(
                name=str(name), category=category, glyph=str(merged.get("glyph", "")),
                sketch=str(merged.get("sketch", "")), tint=parse_tint(tint, colors) if tint else None,
                height=float(merged["height"]), flies=bool(merged.get("air")), swims=bool(merged.get("water")),
                worn_on=str(merged.get("worn", "")), head=tuple(merged.get("head", (0.5, 0.06, 0.5))),
                face=tuple(merged.get("face", (0.5, 0.3))), hand=tuple(merged.get("hand", (0.85, 0.6))),
                can_flip=not merged.get("fixed", False),
            )  # fmt: skip
    return things


@lru_cache(maxsize=1)
def load_lexicon() -> Lexicon:
    """Return the lexicon, read once per process."""
    words, people, actions = load_data("words"), load_data("people"), load_data("actions")
    places, styles, features = load_data("places"), load_data("styles"), load_data("features")
    colors = {name: parse_color(fields["rgb"]) for name, fields in words["colors"].items()}
    index = _Index()
    for category in THING_FILES:
        index.add_all("thing", load_data(category)["things"])
    index.add_all("person", people["persons"])
    index.add_all("profession", people["professions"])
    for kind in ("thing", "person", "profession"):
        index.add_plurals(kind)
    index.add_all("hair", people["hair"])
    index.add_all("action", actions["actions"])
    index.add_all("manner", actions["manners"])
    index.add_all("place", places)
    index.add_all("style", _spell_out_styles(styles))
    index.add_all("feature", features)
    index.add_all("color", words["colors"])
    index.add_all("shade", dict.fromkeys(words["light_shades"], ()))
    index.add_all("count", words["counts"])
    index.add_all("size", words["sizes"])
    index.add_all("relation", words["relations"])
    index.add_all("filler", dict.fromkeys(words["fillers"], ()))
    index.add_all("harmless", dict.fromkeys(words["harmless"], ()))
    table = {phrase: tuple(entries) for phrase, entries in index.table.items() if phrase}
    return Lexicon(
        index=table, longest=max(len(phrase) for phrase in table), things=_read_things(colors), colors=colors,
        shades=words["light_shades"], counts={name: fields["number"] for name, fields in words["counts"].items()},
        sizes={name: fields["factor"] for name, fields in words["sizes"].items()},
        places=places, persons=people["persons"], hair=people["hair"], professions=people["professions"],
        actions=actions["actions"], effects={name: fields["effect"] for name, fields in features.items()},
    )  # fmt: skip


def _spell_out_styles(styles: Mapping[str, Any]) -> dict[str, list[str]]:
    """Return styles with the usual ways of asking for one added: "in watercolor style", "as a watercolor"."""
    spelled = {}
    for name, others in styles.items():
        phrases = [name, *(others or ())]
        forms = ("{}", "{} style", "in {}", "in {} style", "{} art", "as a {}", "in the style of {}", "{} picture")
        spelled[name] = [form.format(phrase) for phrase in phrases for form in forms]
    return spelled


def drawable_names() -> dict[str, tuple[str, ...]]:
    """Return the canonical names that this painter draws, by kind of fact."""
    lexicon = load_lexicon()
    return {
        "thing": tuple(lexicon.things), "place": tuple(lexicon.places), "style": tuple(load_data("styles")),
        "color": tuple(lexicon.colors), "hair": tuple(lexicon.hair), "profession": tuple(lexicon.professions),
        "action": tuple(lexicon.actions), "feature": tuple(lexicon.effects), "person": tuple(lexicon.persons),
    }  # fmt: skip
