"""Prompts, dialogues and whole pairs that were there before, exactly or nearly.

A pair is a duplicate when one earlier row has both its prompt and its dialogue; prompts alone often recur with
other questions, and questions with other prompts, which is no fault.
"""

from array import array
from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Literal

from xxhash import xxh3_128_intdigest

from stablellava.core.draft import Draft
from stablellava.core.matching import split_words
from stablellava.core.record import Record
from stablellava.filters.text_near_duplicates import NearDuplicateTexts

DuplicateKind = Literal[
    "exact_prompt", "near_prompt", "exact_dialogue", "near_dialogue", "exact_pair", "near_pair", "near_image"
]


@dataclass(frozen=True)
class TextPair:
    """What is compared of a sample or row."""

    name: str
    """Names it in reports: a sample id, or file and row."""
    prompt: str
    dialogue: str

    @classmethod
    def from_draft(cls, name: str, draft: Draft) -> "TextPair":
        """Return the draft's words, pictures aside."""
        prompt = " . ".join(prompt.text for prompt in draft.prompts)
        return cls(name, prompt, " . ".join(turn.text for turn in draft.turns))


class Duplicate(Record):
    """One row that repeats an earlier one."""

    kind: DuplicateKind
    name: str
    first: str
    """The earliest row it repeats."""
    overlap: float
    """Jaccard overlap of word shingles: 1 for exact ones; of a pair, the smaller of its two."""


class DuplicateFinder:
    """Takes rows in order and says what of each was there before.

    Args:
        threshold: least overlap of a near-duplicate.
    """

    def __init__(self, threshold: float = 0.8) -> None:
        self._sides = {"prompt": _Side(threshold), "dialogue": _Side(threshold)}
        self._names: list[str] = []
        self._exact_pairs: dict[int, int] = {}
        self._near_pairs: dict[int, int] = {}

    def add(self, pairs: Sequence[TextPair]) -> list[Duplicate]:
        """Return the duplicates among the given rows, in their order."""
        start = len(self._names)
        self._names.extend(pair.name for pair in pairs)
        sides = (
            self._sides["prompt"].add([pair.prompt for pair in pairs]),
            self._sides["dialogue"].add([pair.dialogue for pair in pairs]),
        )
        found: list[Duplicate] = []
        for offset in range(len(pairs)):
            own = [matches[offset] for matches in sides]
            for what, match in zip(("prompt", "dialogue"), own, strict=True):
                found.extend(self._describe(what, start + offset, match))
            found.extend(self._find_pair(start + offset, own))
        return found

    def _describe(self, what: str, position: int, match: "_Match") -> Iterable[Duplicate]:
        if match.exact != position:
            yield self._duplicate(f"exact_{what}", position, match.exact, 1.0)
        elif match.near != position:
            yield self._duplicate(f"near_{what}", position, match.near, match.overlap)

    def _find_pair(self, position: int, own: Sequence["_Match"]) -> Iterable[Duplicate]:
        exact = self._exact_pairs.setdefault(_join([match.exact for match in own]), position)
        near = self._near_pairs.setdefault(_join([match.near for match in own]), position)
        if exact != position:
            yield self._duplicate("exact_pair", position, exact, 1.0)
        elif near != position:
            yield self._duplicate("near_pair", position, near, min(match.overlap for match in own))

    def _duplicate(self, kind: str, position: int, first: int, overlap: float) -> Duplicate:
        names = {"kind": kind, "name": self._names[position], "first": self._names[first]}
        return Duplicate.model_validate({**names, "overlap": overlap})


@dataclass(frozen=True)
class _Match:
    """The earliest positions with the same words and with nearly the same; the own position if there are none."""

    exact: int
    near: int
    overlap: float


class _Side:
    """One text of each row."""

    def __init__(self, threshold: float) -> None:
        self._near = NearDuplicateTexts(threshold)
        self._first: dict[int, int] = {}
        self._nearest = array("Q")
        self._overlap = array("d")

    def add(self, texts: Sequence[str]) -> list[_Match]:
        start = len(self._nearest)
        self._nearest.extend(range(start, start + len(texts)))
        self._overlap.extend([1.0] * len(texts))
        for repeat in self._near.add(texts):
            self._nearest[repeat.position], self._overlap[repeat.position] = repeat.first, repeat.overlap
        matches = []
        for position, text in enumerate(texts, start=start):
            exact = self._first.setdefault(xxh3_128_intdigest(" ".join(split_words(text)).encode()), position)
            # What repeats a text word for word belongs wherever that text belongs.
            matches.append(_Match(exact, self._nearest[exact], self._overlap[exact]))
        return matches


def _join(positions: Sequence[int]) -> int:
    """Return one number for two positions, which takes a fifth of a tuple's memory."""
    prompt, dialogue = positions
    return prompt << 32 | dialogue


def count_kinds(duplicates: Iterable[Duplicate]) -> dict[str, int]:
    """Return kind -> rows, the most frequent first."""
    counts = Counter[str](duplicate.kind for duplicate in duplicates)
    return dict(sorted(counts.items(), key=lambda entry: (-entry[1], entry[0])))
