"""Texts that say nearly the same, found among millions: MinHash proposes, the words themselves decide.

The first of equals stays. A text is a near-duplicate when its word shingles overlap (Jaccard) with those of an
earlier text that stays by at least the threshold. What is reported was measured, not estimated.
"""

from array import array
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from itertools import islice, pairwise
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from stablellava.core.matching import split_words
from stablellava.filters.band_index import BandIndex, Proposed
from stablellava.filters.compact import SpillFile
from stablellava.filters.text_sketches import Sketches, choose_banding, may_overlap, sketch_texts

_FIRST_CHUNK, _LAST_CHUNK = 1 << 10, 1 << 14
"""Small ones first: what repeats an early text is found in the index and compared with no later one."""

Words = list[str]


@dataclass(frozen=True)
class NearDuplicateText:
    """One text that repeats an earlier one; positions count from 0."""

    position: int
    first: int
    overlap: float
    """Jaccard overlap of their word shingles."""


def shingle(text: str) -> list[str]:
    """Return the words of a text and its pairs of neighbouring words, in its order, repeats included."""
    return _shingle_words(split_words(text))


def measure_overlap(first: Sequence[str], second: Sequence[str]) -> float:
    """Return the Jaccard overlap of two sets of shingles; two empty ones are equal."""
    own, other = set(first), set(second)
    return len(own & other) / len(own | other) if own or other else 1.0


class NearDuplicateTexts:
    """An index that grows as texts come. Same texts in the same order, same findings, whatever the chunks.

    Takes some 350 bytes of memory per text at a threshold of 0.8; the texts that stay lie in a temporary file.

    Args:
        threshold: least overlap of a near-duplicate, above 0.
        folder: where the temporary file lies; the system's place for them if None.
    """

    def __init__(self, threshold: float = 0.8, folder: Path | None = None) -> None:
        self._threshold = threshold
        self._banding = choose_banding(threshold)
        self._index = BandIndex(self._banding.num_bands)
        self._known = _Known(folder)
        self._chunk_size = _FIRST_CHUNK
        self._num_texts = 0

    def add(self, texts: Iterable[str]) -> Iterator[NearDuplicateText]:
        """Take in texts and yield those that nearly repeat an earlier one that stays."""
        source = iter(texts)
        while chunk := [split_words(text) for text in islice(source, self._chunk_size)]:
            yield from self._add_chunk(chunk)
            self._chunk_size = min(2 * self._chunk_size, _LAST_CHUNK)

    def _add_chunk(self, chunk: list[Words]) -> list[NearDuplicateText]:
        start = self._num_texts
        self._num_texts += len(chunk)
        texts = [" ".join(words) for words in chunk]
        leaders: dict[str, int] = {}
        for offset, text in enumerate(texts):
            leaders.setdefault(text, offset)
        leaders.pop("", None)  # a text without words repeats nothing
        rows = list(leaders.values())
        distinct = [chunk[row] for row in rows]
        found = self._search(distinct, list(leaders), np.array(rows) + start) if rows else {}
        repeats = []
        for position, text in enumerate(texts, start=start):
            leader = start + leaders[text] if text else position
            if leader in found:  # the same words repeat the same text
                first, overlap = found[leader]
                repeats.append(NearDuplicateText(position, first, overlap))
            elif leader != position:
                repeats.append(NearDuplicateText(position, leader, 1.0))
        return repeats

    def _search(
        self, words: list[Words], texts: list[str], positions: NDArray[np.int64]
    ) -> dict[int, tuple[int, float]]:
        """Return position -> (first, overlap) of those that repeat an earlier text; index the others."""
        sketches = sketch_texts(words, self._banding)
        found: dict[int, tuple[int, float]] = {}
        for row, place in self._confirmable(sketches, self._index.propose(sketches.bands)):
            position = int(positions[row])
            if position not in found:
                first, text = self._known.read(place)
                overlap = _measure_texts(texts[row], text)
                if overlap >= self._threshold:
                    found[position] = first, overlap
        left = np.array([row for row, position in enumerate(positions.tolist()) if position not in found], dtype=int)
        found |= self._search_within(texts, positions, sketches, left)
        staying = np.array([row for row in left.tolist() if int(positions[row]) not in found], dtype=int)
        places = self._known.add(positions, texts, sketches, staying)
        self._index.add(places, sketches.bands[:, staying])
        return found

    def _search_within(
        self, texts: list[str], positions: NDArray[np.int64], sketches: Sketches, rows: NDArray[np.int64]
    ) -> dict[int, tuple[int, float]]:
        """Return what of these rows repeats an earlier one of them."""
        own = BandIndex(self._banding.num_bands)
        own.add(rows, sketches.bands[:, rows])
        proposed = ((rows[later], earlier) for later, earlier in own.propose(sketches.bands[:, rows]))
        ordered = ((later[earlier < later], earlier[earlier < later]) for later, earlier in proposed)
        found: dict[int, tuple[int, float]] = {}
        for later, earlier in _distinct(_rule_out(pair, sketches, sketches, self._threshold) for pair in ordered):
            position, first = int(positions[later]), int(positions[earlier])
            if position in found or first in found:
                continue
            overlap = _measure_texts(texts[later], texts[earlier])
            if overlap >= self._threshold:
                found[position] = first, overlap
        return found

    def _confirmable(self, sketches: Sketches, proposed: Iterator[Proposed]) -> list[tuple[int, int]]:
        known = self._known.sketches
        return _distinct(_rule_out(pair, sketches, known, self._threshold) for pair in proposed)


class _Known:
    """The texts that stay, by the order in which they came: their words on disk, what rules pairs out in memory."""

    def __init__(self, folder: Path | None) -> None:
        self._spill = SpillFile(folder)
        self._lines = array("Q")
        self._positions = array("Q")
        self._bits = np.empty((0, 4), dtype=np.uint64)
        self._num_shingles = np.empty(0, dtype=np.int64)

    @property
    def sketches(self) -> Sketches:
        """Bits and sizes by place; bands are the index's."""
        return Sketches(np.empty((0, 0), dtype=np.uint32), self._bits, self._num_shingles)

    def add(
        self, positions: NDArray[np.int64], texts: Sequence[str], sketches: Sketches, rows: NDArray[np.int64]
    ) -> NDArray[np.int64]:
        """Keep the texts of these rows with their positions and sketches; return their places."""
        begin, end = len(self._lines), len(self._lines) + len(rows)
        self._lines.extend(self._spill.add_all([texts[row] for row in rows.tolist()]))
        self._positions.extend(positions[rows].tolist())
        if end > len(self._bits):  # by half as much again, so that each is copied a few times only
            size = max(end, len(self._bits) * 3 // 2)
            self._bits = np.concatenate((self._bits[:begin], np.empty((size - begin, 4), dtype=np.uint64)))
            self._num_shingles = np.concatenate((self._num_shingles[:begin], np.empty(size - begin, dtype=np.int64)))
        self._bits[begin:end] = sketches.bits[rows]
        self._num_shingles[begin:end] = sketches.num_shingles[rows]
        return np.arange(begin, end)

    def read(self, place: int) -> tuple[int, str]:
        """Return the text's position and words."""
        return self._positions[place], self._spill.read(self._lines[place])


def _rule_out(proposed: Proposed, own: Sketches, other: Sketches, threshold: float) -> NDArray[np.uint64]:
    """Return the pairs that may overlap, each as one number: row, then place."""
    rows, places = proposed
    may = may_overlap(own, rows, other, places, threshold)
    return (rows[may].astype(np.uint64) << np.uint64(32)) | places[may].astype(np.uint64)


def _distinct(parts: Iterable[NDArray[np.uint64]]) -> list[tuple[int, int]]:
    """Return each pair once, in order."""
    joined = np.unique(np.concatenate([np.empty(0, dtype=np.uint64), *parts]))
    rows, places = joined >> np.uint64(32), joined & np.uint64((1 << 32) - 1)
    return list(zip(rows.tolist(), places.tolist(), strict=True))


def _shingle_words(words: Words) -> list[str]:
    return words + [f"{first} {second}" for first, second in pairwise(words)]


def _measure_texts(first: str, second: str) -> float:
    return measure_overlap(_shingle_words(first.split()), _shingle_words(second.split()))
