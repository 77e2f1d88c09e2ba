"""Finding words in text the way a reader would.

One place for the rule, so that filters (is the keyword in the answer?), scorers (is the answer
right?) and the held-out check agree on what counts as naming a thing.

Paper: 2308.10253v1, section 4 (reference keywords, several allowed, direct matching).
Departs: matches whole words and plain plurals; bare substring search finds "car" in "scarf".
A compound that is another thing ("hot dog") does not name its last word.
"""

import re
import unicodedata
from collections.abc import Iterable
from functools import lru_cache
from typing import NamedTuple

_WORD = re.compile(r"[^\W_]+(?:'[^\W\d_]+)?")
_IRREGULAR_PLURALS = {
    "person": "people", "man": "men", "woman": "women", "child": "children", "mouse": "mice",
    "goose": "geese", "tooth": "teeth", "foot": "feet", "ox": "oxen", "leaf": "leaves",
    "loaf": "loaves", "knife": "knives", "wolf": "wolves", "calf": "calves", "scarf": "scarves",
    "cactus": "cacti", "fungus": "fungi", "octopus": "octopuses", "shelf": "shelves",
}  # fmt: skip
_IRREGULAR_SINGULARS = {plural: singular for singular, plural in _IRREGULAR_PLURALS.items()}
_MAN_IS_NO_SUFFIX = frozenset({"human", "german", "roman", "norman", "ottoman", "talisman", "caiman", "shaman"})
_OTHER_THINGS = frozenset({
    ("hot", "dog"), ("corn", "dog"), ("prairie", "dog"), ("sea", "lion"), ("sea", "horse"), ("guinea", "pig"),
    ("teddy", "bear"), ("gummy", "bear"), ("rocking", "horse"), ("computer", "mouse"),
    ("gravy", "boat"), ("cable", "car"), ("horse", "chestnut"),
})  # fmt: skip
"""Compounds whose words, taken alone, name something else than what is there."""


class Span(NamedTuple):
    """Where a phrase stands in a list of words: [start, end)."""

    start: int
    end: int

    def lies_within(self, other: "Span") -> bool:
        """Tell whether this span is a proper part of the other."""
        return self != other and other.start <= self.start and self.end <= other.end


def split_words(text: str) -> list[str]:
    """Return lower-case words without accents; hyphens and punctuation separate."""
    if text.isascii():
        return _WORD.findall(text.lower())
    folded = unicodedata.normalize("NFKD", text.replace("\u2019", "'"))
    bare = "".join(char for char in folded if not unicodedata.combining(char))
    return _WORD.findall(bare.lower())


def plural_of(word: str) -> str:
    """Return the plain English plural of a lower-case word."""
    if word in _IRREGULAR_PLURALS:
        return _IRREGULAR_PLURALS[word]
    if word.endswith("man") and word not in _MAN_IS_NO_SUFFIX:
        return word[:-3] + "men"
    if word.endswith(("s", "x", "z", "ch", "sh")):
        return word + "es"
    if word.endswith("y") and word[-2:-1] not in "aeiou":
        return word[:-1] + "ies"
    if word.endswith(("to", "go")):
        return word + "es"
    return word + "s"


def _singulars_of(word: str) -> set[str]:
    """Return what the word may be the plural of; a guess too many ("bu" for "bus") matches nothing."""
    if word in _IRREGULAR_SINGULARS:
        return {_IRREGULAR_SINGULARS[word]}
    if word.endswith("men") and len(word) > 3:
        return {word[:-3] + "man"}
    if len(word) < 4 or not word.endswith("s") or word.endswith("ss"):
        return set()
    found = {word[:-1]}
    if word.endswith("ies"):
        found.add(word[:-3] + "y")
    if word.endswith(("ses", "xes", "zes", "ches", "shes", "toes", "goes")):
        found.add(word[:-2])
    return found


@lru_cache(maxsize=65536)
def _forms(phrase: str) -> frozenset[tuple[str, ...]]:
    words = split_words(phrase)
    if not words:
        return frozenset()
    *rest, last = words
    return frozenset((*rest, form) for form in {last, plural_of(last)} | _singulars_of(last))


def find_spans(words: list[str], phrase: str) -> list[Span]:
    """Return every place where the phrase, in singular or plural, stands in the words."""
    forms = _forms(phrase)
    if not forms:
        return []
    width = len(next(iter(forms)))
    bare = [word.removesuffix("'s") for word in words]
    windows = zip(*(bare[offset:] for offset in range(width)), strict=False)  # each starts one word later
    spans = [Span(start, start + width) for start, window in enumerate(windows) if window in forms]
    return [span for span in spans if not _names_another(bare, span)]


def _names_another(words: list[str], span: Span) -> bool:
    """Tell whether a single word is only half of a compound for something else."""
    if span.end - span.start != 1:
        return False
    around = (words[max(0, span.start - 1) : span.end], words[span.start : span.end + 1])
    for pair in around:
        if len(pair) == 2 and any((pair[0], last) in _OTHER_THINGS for last in {pair[1]} | _singulars_of(pair[1])):
            return True
    return False


def contains_phrase(text: str, phrase: str) -> bool:
    """Tell whether the phrase, in singular or plural, stands in the text as whole words."""
    return bool(find_spans(split_words(text), phrase))


def find_phrase(words: list[str], phrase: str) -> int:
    """Return the index of the phrase's first word in the words, or -1."""
    spans = find_spans(words, phrase)
    return spans[0].start if spans else -1


def first_match(text: str, phrases: Iterable[str]) -> str | None:
    """Return the phrase that stands earliest in the text (the longer one on a tie), or None."""
    words = split_words(text)
    found = [(position, -len(phrase), phrase) for phrase in phrases if (position := find_phrase(words, phrase)) >= 0]
    return min(found)[2] if found else None
