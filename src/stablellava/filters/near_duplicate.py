"""Is there a pair of the same keyword that looks the same and says almost the same?"""

from collections.abc import Sequence
from functools import lru_cache
from pathlib import Path
from typing import NamedTuple

import numpy as np
import xxhash
from numpy.typing import NDArray

from stablellava.core.draft import Draft
from stablellava.core.matching import split_words
from stablellava.core.sample import Verdict
from stablellava.filters.base import Candidate
from stablellava.filters.compact import RowFile, SpillFile
from stablellava.store.images import hash_distance

_HALF_BITS = 64
_HALF = (1 << _HALF_BITS) - 1
_SIZE_BITS = 24
_MAX_SIZE = (1 << _SIZE_BITS) - 1
_SLACK = 1e-9
"""Against rounding: a bound may let a pair through for the exact comparison, never keep one back."""


class PairDigest(NamedTuple):
    """What of a pair is compared with others.

    Attributes:
        low, high: 128 bits, each set by some word: sets that differ in n words differ in at most n bits.
        first_hash: of its first picture; 0 without one.
        num_words: different words of its dialogue.
        line: its draft's id, its pictures' hashes and its words.
    """

    low: int
    high: int
    first_hash: int
    num_words: int
    line: str

    @property
    def draft_id(self) -> str:
        return self.line.partition("\t")[0]

    @property
    def hashes(self) -> tuple[str, ...]:
        return tuple(self.line.split("\t")[1].split())

    @property
    def words(self) -> frozenset[str]:
        return frozenset(self.line.split("\t")[2].split())


class NearDuplicate:
    """Refuses: near_duplicate. Ask in planned order; the first of equals stays.

    What was admitted lies in temporary files.

    Args:
        max_hash_distance: pictures that differ in at most so many of 64 bits look the same.
        min_word_overlap: dialogues whose words overlap (Jaccard) at least so much say the same.
        folder: where the temporary files lie; the system's place for them if None.
    """

    name = "near_duplicate"

    def __init__(self, max_hash_distance: int = 4, min_word_overlap: float = 0.9, folder: Path | None = None) -> None:
        self._max_hash_distance = max_hash_distance
        self._min_word_overlap = min_word_overlap
        self._rows: RowFile[tuple[str, str]] = RowFile(4, folder)
        """Of each admitted candidate, by capability and keyword: low, high, first_hash, place and num_words."""
        self._lines = SpillFile(folder)
        self._described: tuple[Draft, PairDigest] | None = None

    def judge(self, candidate: Candidate) -> Verdict:
        """Return whether an admitted candidate of the same keyword is nearly the same pair."""
        own: PairDigest | None = None
        for rows in self._rows.parts((candidate.draft.capability, candidate.draft.keyword)):
            own = own or self.describe(candidate)
            for place in self._places_near(own, rows):
                other = PairDigest(0, 0, 0, 0, self._lines.read(place))
                overlap = _jaccard(own.words, other.words)
                if overlap >= self._min_word_overlap and self._looks_same(own, other):
                    return Verdict(
                        filter_name=self.name, kept=False, reason="near_duplicate", detail=f"of {other.draft_id}",
                        score=overlap, threshold=self._min_word_overlap,
                    )  # fmt: skip
        return Verdict(filter_name=self.name, kept=True)

    def admit(self, candidate: Candidate) -> None:
        """Remember a candidate that stays."""
        draft = candidate.draft
        self.admit_digests(draft.capability, [draft.keyword], [self.describe(candidate)])

    def admit_digests(self, capability: str, keywords: Sequence[str], digests: Sequence[PairDigest]) -> None:
        """Remember candidates of a capability by what ``describe`` gave for them."""
        places = self._lines.add_all([digest.line for digest in digests])
        for keyword, digest, place in zip(keywords, digests, places, strict=True):
            place_and_size = place << _SIZE_BITS | digest.num_words
            self._rows.add((capability, keyword), (digest.low, digest.high, digest.first_hash, place_and_size))

    def describe(self, candidate: Candidate) -> PairDigest:
        """Return what of a candidate is compared."""
        # Whoever is judged is often admitted next.
        if self._described is None or self._described[0] is not candidate.draft:
            self._described = candidate.draft, _describe(candidate)
        return self._described[1]

    def let_go(self) -> None:
        """Give back memory that is not needed until the next candidate."""
        self._rows.let_go()

    def _places_near(self, own: PairDigest, rows: NDArray[np.uint64]) -> list[int]:
        """Return the places of all that may be near; those left out cannot be."""
        low, high, first_hash, place_and_size = rows
        differing = np.bitwise_count(low ^ np.uint64(own.low)).astype(np.int64)
        differing += np.bitwise_count(high ^ np.uint64(own.high))
        # An overlap of t leaves room for (1 - t) / (1 + t) of both sizes in words that only one of them has.
        share = (1 - self._min_word_overlap) / (1 + self._min_word_overlap)
        allowed = ((place_and_size & np.uint64(_MAX_SIZE)) + np.uint64(own.num_words)) * share + _SLACK
        near = differing <= allowed
        if not near.any():
            return []
        near &= np.bitwise_count(first_hash ^ np.uint64(own.first_hash)) <= self._max_hash_distance
        return [int(number) >> _SIZE_BITS for number in place_and_size[near]]

    def _looks_same(self, own: PairDigest, other: PairDigest) -> bool:
        return len(own.hashes) == len(other.hashes) and all(
            hash_distance(first, second) <= self._max_hash_distance
            for first, second in zip(own.hashes, other.hashes, strict=True)
        )


def _describe(candidate: Candidate) -> PairDigest:
    words = {word for turn in candidate.draft.turns for word in split_words(turn.text)}
    hashes = [painting.perceptual_hash for painting in candidate.paintings]
    bits = 0
    for word in words:
        bits |= _bit_of(word)
    line = "\t".join((candidate.draft.draft_id, " ".join(hashes), " ".join(sorted(words))))
    first_hash = int(hashes[0], 16) if hashes else 0
    return PairDigest(bits & _HALF, bits >> _HALF_BITS, first_hash, min(len(words), _MAX_SIZE), line)


@lru_cache(maxsize=1 << 16)
def _bit_of(word: str) -> int:
    return 1 << (xxhash.xxh3_64_intdigest(word.encode()) % (2 * _HALF_BITS))


def _jaccard(first: frozenset[str], second: frozenset[str]) -> float:
    union = len(first | second)
    return len(first & second) / union if union else 1.0
