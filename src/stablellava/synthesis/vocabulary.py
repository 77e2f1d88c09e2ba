"""The phrases whose mention is a claim, collected from the capabilities' tables."""

from collections.abc import Iterable

from stablellava.core.capability import Capability, Place
from stablellava.filters.lexicon import Lexicon

_CLAIMING_CAPABILITIES = frozenset(
    {"animal", "plant", "vehicle", "food", "clothes", "furniture", "profession", "scene", "style"}
)
"""Capabilities whose keywords name something to be seen; actions and hair are verbs and adjectives elsewhere."""
_COLORS = (
    ("red",), ("orange",), ("yellow",), ("green",), ("blue",), ("purple", "violet"), ("pink",), ("brown",),
    ("black",), ("white",), ("gray", "grey"),
)  # fmt: skip
"""The 11 basic color terms of English."""


def build_lexicon(capabilities: Iterable[Capability], places: Iterable[Place]) -> Lexicon:
    """Return the lexicon of things, places, colors and styles."""
    groups: list[tuple[str, ...]] = list(_COLORS)
    groups.extend((place.name, *place.synonyms) for place in places)
    for capability in capabilities:
        if capability.name in _CLAIMING_CAPABILITIES:
            groups.extend((keyword.name, *keyword.synonyms) for keyword in capability.keywords)
    return Lexicon(groups)
