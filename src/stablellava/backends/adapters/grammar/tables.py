"""The shared rules and tables of the writer, read once per process."""

from dataclasses import dataclass
from functools import lru_cache
from importlib.resources import files

import yaml

from stablellava.core.ids import hash_id

_ENGINE_VERSION = 1
"""Raised when the code, not the rules, starts to write other texts."""


@dataclass(frozen=True)
class SharedTables:
    """What shared.yaml holds, in the shape the writer looks it up."""

    rules: dict[str, tuple[str, ...]]
    place_phrases: dict[str, str]
    similar_places: tuple[frozenset[str], ...]
    looks: dict[str, str]
    feature_links: dict[str, str]
    light_words: frozenset[str]
    feature_clashes: tuple[tuple[frozenset[str], frozenset[str]], ...]
    pronouns: dict[str, tuple[str, ...]]
    colors: frozenset[str]
    revision: str

    def say_place(self, name: str) -> str:
        """Return the place with its preposition."""
        return self.place_phrases.get(name, f"in the {name}")

    def say_look(self, style: str) -> str:
        """Return the style as a sentence says it."""
        return self.looks.get(style, f"in {style}" if style.endswith(" style") else f"in the {style} style")

    def link_of(self, feature: str) -> str | None:
        """Return the preposition that joins the feature to a sentence, or None if it is no noun ("highly detailed")."""
        return self.feature_links.get(feature.rsplit(" ", 1)[-1])

    def is_light(self, feature: str) -> bool:
        """Tell whether the feature says how the picture is lit."""
        return feature.rsplit(" ", 1)[-1] in self.light_words

    def clashes(self, feature: str, place_phrase: str) -> bool:
        """Tell whether the feature cannot be had in the place ("morning light" in space)."""
        return any(
            place_phrase in places and not words.isdisjoint(feature.split()) for places, words in self.feature_clashes
        )

    def are_similar_places(self, one: str, other: str) -> bool:
        """Tell whether a picture could leave open which of the two it shows."""
        return one == other or any(one in places and other in places for places in self.similar_places)


@lru_cache(maxsize=1)
def shared_tables() -> SharedTables:
    """Return the tables of shared.yaml."""
    source = files(__package__).joinpath("shared.yaml").read_bytes()
    raw = yaml.safe_load(source)
    return SharedTables(
        rules={symbol: tuple(texts) for symbol, texts in raw["rules"].items()},
        place_phrases=dict(raw["places"]),
        similar_places=tuple(frozenset(places) for places in raw["similar_places"]),
        looks=dict(raw["looks"]),
        feature_links={word: link for link, words in raw["feature_links"].items() for word in words},
        light_words=frozenset(raw["light_words"]),
        feature_clashes=tuple(
            (frozenset(clash["places"]), frozenset(clash["words"])) for clash in raw["feature_clashes"]
        ),
        pronouns={person: tuple(words) for person, words in raw["pronouns"].items()},
        colors=frozenset(raw["colors"]),
        revision=hash_id(_ENGINE_VERSION, source.decode()),
    )
