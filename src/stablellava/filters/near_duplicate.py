"""Is there a pair of the same keyword that looks the same and says almost the same?"""

from array import array
from dataclasses import dataclass, field
from functools import lru_cache
from pathlib import Path

import numpy as np
import xxhash
from numpy.typing import NDArray

from stablellava.core.draft import Draft
from stablellava.core.matching import split_words
from stablellava.core.sample import Verdict
from stablellava.filters.base import Candidate
from stablellava.filters.compact import SpillFile, view
from stablellava.store.images import hash_distance

_HALF_BITS = 64
_HALF = (1 << _HALF_BITS) - 1
_SLACK = 1e-9
"""Against rounding: a bound may let a pair through for the exact comparison, never keep one back."""


@dataclass(frozen=True, slots=True)
class _Seen:
    draft_id: str
    hashes: tuple[str, ...]
    words: frozenset[str]

    @property
    def first_hash(self) -> int:
        return int(self.hashes[0], 16) if self.hashes else 0

    @property
    def signature(self) -> int:
        """128 bits, each set by some word: sets that differ in n words differ in at most n bits."""
        bits = 0
        for word in self.words:
            bits |= _bit_of(word)
        return bits

    def to_line(self) -> str:
        return "\t".join((self.draft_id, " ".join(self.hashes), " ".join(self.words)))

    @classmethod
    def from_line(cls, line: str) -> "_Seen":
        draft_id, hashes, words = line.split("\t")
        return cls(draft_id, tuple(hashes.split()), frozenset(words.split()))


@dataclass(slots=True)
class _Group:
    """What is compared first of all admitted candidates of one keyword, in order."""

    low: "array[int]" = field(default_factory=lambda: array("Q"))
    high: "array[int]" = field(default_factory=lambda: array("Q"))
    first_hash: "array[int]" = field(default_factory=lambda: array("Q"))
    num_words: "array[int]" = field(default_factory=lambda: array("Q"))
    places: "array[int]" = field(default_factory=lambda: array("Q"))

    def add(self, seen: _Seen, place: int) -> None:
        signature = seen.signature
        self.low.append(signature & _HALF)
        self.high.append(signature >> _HALF_BITS)
        self.first_hash.append(seen.first_hash)
        self.num_words.append(len(seen.words))
        self.places.append(place)

    def candidates(self, seen: _Seen, max_hash_distance: int, min_overlap: float) -> NDArray[np.uint64]:
        """Return the places of all that may be near; those left out cannot be."""
        signature = seen.signature
        looks = np.bitwise_count(view(self.first_hash) ^ np.uint64(seen.first_hash)) <= max_hash_distance
        differing = np.bitwise_count(view(self.low) ^ np.uint64(signature & _HALF)).astype(np.int64)
        differing += np.bitwise_count(view(self.high) ^ np.uint64(signature >> _HALF_BITS))
        # An overlap of t leaves room for (1 - t) / (1 + t) of both sizes in words that only one of them has.
        allowed = (view(self.num_words) + len(seen.words)) * ((1 - min_overlap) / (1 + min_overlap)) + _SLACK
        return np.array(view(self.places)[looks & (differing <= allowed)])


class NearDuplicate:
    """Refuses: near_duplicate. Ask in planned order; the first of equals stays.

    Takes 40 bytes of memory per admitted candidate; the words lie in a temporary file.

    Args:
        max_hash_distance: pictures that differ in at most so many of 64 bits look the same.
        min_word_overlap: dialogues whose words overlap (Jaccard) at least so much say the same.
        folder: where the temporary file lies.
    """

    name = "near_duplicate"

    def __init__(self, max_hash_distance: int = 4, min_word_overlap: float = 0.9, folder: Path | None = None) -> None:
        self._max_hash_distance = max_hash_distance
        self._min_word_overlap = min_word_overlap
        self._groups: dict[tuple[str, str], _Group] = {}
        self._spill = SpillFile(folder)
        self._described: tuple[Draft, _Seen] | None = None

    def judge(self, candidate: Candidate) -> Verdict:
        """Return whether an admitted candidate of the same keyword is nearly the same pair."""
        group = self._groups.get(_keyword_key(candidate))
        if group is None:
            return Verdict(filter_name=self.name, kept=True)
        own = self._describe(candidate)
        for place in group.candidates(own, self._max_hash_distance, self._min_word_overlap):
            other = _Seen.from_line(self._spill.read(int(place)))
            overlap = _jaccard(own.words, other.words)
            if overlap >= self._min_word_overlap and self._looks_same(own, other):
                return Verdict(
                    filter_name=self.name, kept=False, reason="near_duplicate", detail=f"of {other.draft_id}",
                    score=overlap, threshold=self._min_word_overlap,
                )  # fmt: skip
        return Verdict(filter_name=self.name, kept=True)

    def admit(self, candidate: Candidate) -> None:
        """Remember a candidate that stays."""
        seen = self._describe(candidate)
        self._groups.setdefault(_keyword_key(candidate), _Group()).add(seen, self._spill.add(seen.to_line()))

    def _describe(self, candidate: Candidate) -> _Seen:
        # Whoever is judged is often admitted next.
        if self._described is None or self._described[0] is not candidate.draft:
            self._described = candidate.draft, _describe(candidate)
        return self._described[1]

    def _looks_same(self, own: _Seen, other: _Seen) -> bool:
        return len(own.hashes) == len(other.hashes) and all(
            hash_distance(first, second) <= self._max_hash_distance
            for first, second in zip(own.hashes, other.hashes, strict=True)
        )


def _keyword_key(candidate: Candidate) -> tuple[str, str]:
    return candidate.draft.capability, candidate.draft.keyword


def _describe(candidate: Candidate) -> _Seen:
    words = frozenset(word for turn in candidate.draft.turns for word in split_words(turn.text))
    hashes = tuple(painting.perceptual_hash for painting in candidate.paintings)
    return _Seen(candidate.draft.draft_id, hashes, words)


@lru_cache(maxsize=1 << 16)
def _bit_of(word: str) -> int:
    return 1 << (xxhash.xxh3_64_intdigest(word.encode()) % (2 * _HALF_BITS))


def _jaccard(first: frozenset[str], second: frozenset[str]) -> float:
    union = len(first | second)
    return len(first & second) / union if union else 1.0
