"""Finding words in text the way a reader would.

One place for the rule, so that filters (is the keyword in the answer?), scorers (is the answer
right?) and the held-out check agree on what counts as naming a thing.

Paper: 2308.10253v1, section 4 (reference keywords, several allowed, direct matching).
Departs: matches whole words and plain plurals; bare substring search finds "car" in "scarf".
"""

import re
from collections.abc import Iterable
from functools import lru_cache

_WORD = re.compile(r"[a-z0-9]+(?:'[a-z]+)?")
_IRREGULAR_PLURALS = {
    "person": "people", "man": "men", "woman": "women", "child": "children", "mouse": "mice",
    "goose": "geese", "tooth": "teeth", "foot": "feet", "ox": "oxen", "leaf": "leaves",
    "loaf": "loaves", "knife": "knives", "wolf": "wolves", "calf": "calves", "scarf": "scarves",
    "cactus": "cacti", "fungus": "fungi", "octopus": "octopuses", "shelf": "shelves",
}  # fmt: skip


def split_words(text: str) -> list[str]:
    """Return lower-case words; hyphens and punctuation separate."""
    return _WORD.findall(text.lower().replace("\u2019", "'"))


def plural_of(word: str) -> str:
    """Return the plain English plural of a lower-case word."""
    if word in _IRREGULAR_PLURALS:
        return _IRREGULAR_PLURALS[word]
    if word.endswith(("s", "x", "z", "ch", "sh")):
        return word + "es"
    if word.endswith("y") and word[-2:-1] not in "aeiou":
        return word[:-1] + "ies"
    if word.endswith(("to", "go")):
        return word + "es"
    return word + "s"


@lru_cache(maxsize=65536)
def _forms(phrase: str) -> tuple[tuple[str, ...], ...]:
    words = tuple(split_words(phrase))
    if not words:
        return ()
    forms = {words, (*words[:-1], plural_of(words[-1]))}
    for singular, plural in _IRREGULAR_PLURALS.items():
        if words[-1] == plural:
            forms.add((*words[:-1], singular))
    if words[-1].endswith("s") and len(words[-1]) > 3 and not words[-1].endswith("ss"):
        forms.add((*words[:-1], words[-1][:-1]))
    return tuple(sorted(forms))


def contains_phrase(text: str, phrase: str) -> bool:
    """Tell whether the phrase, in singular or plural, stands in the text as whole words."""
    return find_phrase(split_words(text), phrase) >= 0


def find_phrase(words: list[str], phrase: str) -> int:
    """Return the index of the phrase's first word in the words, or -1."""
    best = -1
    for form in _forms(phrase):
        width = len(form)
        for start in range(len(words) - width + 1):
            if tuple(words[start : start + width]) == form and (best < 0 or start < best):
                best = start
    return best


def first_match(text: str, phrases: Iterable[str]) -> str | None:
    """Return the phrase that stands earliest in the text (the longer one on a tie), or None."""
    words = split_words(text)
    found = [(position, -len(phrase), phrase) for phrase in phrases if (position := find_phrase(words, phrase)) >= 0]
    return min(found)[2] if found else None
