"""Texts that say nearly the same, found among millions: MinHash proposes, the words themselves decide.

The first of equals stays. A text is a near-duplicate when its word shingles overlap (Jaccard) with those of an
earlier text that stays by at least the threshold. What is reported was measured, not estimated.
"""

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from itertools import islice, pairwise
from typing import Any

from stablellava.core.errors import BackendMissing
from stablellava.core.matching import split_words

_NUM_PERMUTATIONS = 120
_NUM_BANDS = 20
"""20 bands of 6 rows propose a pair of overlap 0.8 in 998 of 1,000 cases, 0.4 in 8 of 100."""
_SEED = 1
_CHUNK = 20_000


@dataclass(frozen=True)
class NearDuplicateText:
    """One text that repeats an earlier one; positions count from 0."""

    position: int
    first: int
    overlap: float
    """Jaccard overlap of their word shingles."""


def shingle(text: str) -> list[str]:
    """Return the words of a text and its pairs of neighbouring words, in its order, repeats included."""
    words = split_words(text)
    return words + [f"{first} {second}" for first, second in pairwise(words)]


def measure_overlap(first: Sequence[str], second: Sequence[str]) -> float:
    """Return the Jaccard overlap of two sets of shingles; two empty ones are equal."""
    own, other = set(first), set(second)
    return len(own & other) / len(own | other) if own or other else 1.0


class NearDuplicateTexts:
    """An index that grows as texts come. Same texts in the same order, same findings, whatever the chunks.

    Args:
        threshold: least overlap of a near-duplicate, above 0.

    Raises: BackendMissing without the package rensa.
    """

    def __init__(self, threshold: float = 0.8) -> None:
        try:
            import rensa
        except ImportError as exc:
            raise BackendMissing("finding near-duplicates needs rensa: pip install 'stablellava[dedup]'") from exc
        self._threshold = threshold
        self._minhash = rensa.RMinHash
        self._index = rensa.RMinHashLSH(threshold=threshold, num_perm=_NUM_PERMUTATIONS, num_bands=_NUM_BANDS)
        self._texts: list[str] = []
        self._dropped: set[int] = set()

    def add(self, texts: Iterable[str]) -> Iterator[NearDuplicateText]:
        """Take in texts and yield those that nearly repeat an earlier one that stays."""
        source = iter(texts)
        while chunk := list(islice(source, _CHUNK)):
            yield from self._add_chunk(chunk)

    def _add_chunk(self, chunk: list[str]) -> Iterator[NearDuplicateText]:
        start = len(self._texts)
        self._texts.extend(chunk)
        shingles = [shingle(text) for text in chunk]
        digests = self._minhash.digest_matrix_from_token_sets(shingles, _NUM_PERMUTATIONS, _SEED)
        flags = self._index.insert_matrix_and_query_duplicate_flags(digests, start)
        suspects = [offset for offset, flag in enumerate(flags) if flag and shingles[offset]]
        sketches = self._minhash.from_token_sets([shingles[offset] for offset in suspects], _NUM_PERMUTATIONS, _SEED)
        for offset, sketch in zip(suspects, sketches, strict=True):
            found = self._find_first(start + offset, shingles[offset], sketch)
            if found is not None:
                self._dropped.add(found.position)
                yield found

    def _find_first(self, position: int, shingles: Sequence[str], sketch: Any) -> NearDuplicateText | None:
        for other in sorted(self._index.query(sketch)):
            if other >= position:
                return None
            if other in self._dropped:
                continue
            overlap = measure_overlap(shingles, shingle(self._texts[other]))
            if overlap >= self._threshold:
                return NearDuplicateText(position, other, overlap)
        return None
