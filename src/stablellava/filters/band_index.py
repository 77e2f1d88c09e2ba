"""Which earlier texts share a band with a text: sorted arrays, 8 bytes for each band of a text."""

from collections.abc import Iterator

import numpy as np
from numpy.typing import NDArray

_HALF = np.uint64(32)
_LOW = np.uint64((1 << 32) - 1)
_MAX_PAIRS = 1 << 16
"""Proposed at a time, so that memory stays bounded where very many texts share a band."""

Proposed = tuple[NDArray[np.int64], NDArray[np.int64]]
"""Rows of the question and positions of indexed texts, a pair in each place; pairs may come more than once."""


class BandIndex:
    """Holds texts by their positions, below 2 ** 32.

    Per band it keeps a few sorted runs of (hash, position), each at least twice as long as the next one, so that
    adding a million texts sorts none of them more often than some twenty times.
    """

    def __init__(self, num_bands: int) -> None:
        self._runs: list[list[NDArray[np.uint64]]] = [[] for _ in range(num_bands)]

    def add(self, positions: NDArray[np.int64], bands: NDArray[np.uint32]) -> None:
        """Take in texts with their bands [bands, texts]."""
        if not len(positions):
            return
        for runs, hashes in zip(self._runs, bands, strict=True):
            runs.append(np.sort(_pack(hashes, positions)))
            while len(runs) > 1 and len(runs[-2]) < 2 * len(runs[-1]):
                last = runs.pop()
                # A stable sort merges two sorted halves in one pass.
                runs[-1] = np.sort(np.concatenate((runs[-1], last)), kind="stable")

    def propose(self, bands: NDArray[np.uint32]) -> Iterator[Proposed]:
        """Yield the indexed texts that share a band with those asked for, by [bands, texts]."""
        for runs, hashes in zip(self._runs, bands, strict=True):
            # Sorted questions walk through a run once, from left to right.
            asked = np.sort(_pack(hashes, np.arange(len(hashes))))
            for run in runs:
                yield from _look_up(run, asked & ~_LOW, (asked & _LOW).astype(np.int64))


def _pack(hashes: NDArray[np.uint32], numbers: NDArray[np.int64]) -> NDArray[np.uint64]:
    return (hashes.astype(np.uint64) << _HALF) | numbers.astype(np.uint64)


def _look_up(run: NDArray[np.uint64], wanted: NDArray[np.uint64], rows: NDArray[np.int64]) -> Iterator[Proposed]:
    begins = np.searchsorted(run, wanted)
    is_found = (run[np.minimum(begins, len(run) - 1)] ^ wanted) <= _LOW
    is_found &= begins < len(run)
    if not is_found.any():
        return
    begins, rows = begins[is_found], rows[is_found]
    counts = np.searchsorted(run, wanted[is_found] | _LOW, side="right") - begins
    totals = np.cumsum(counts)
    first = 0
    while first < len(rows):
        done = int(totals[first - 1]) if first else 0
        # A single text with more than that many is taken whole.
        end = max(int(np.searchsorted(totals, done + _MAX_PAIRS, side="right")), first + 1)
        yield _expand(run, rows[first:end], begins[first:end], counts[first:end])
        first = end


def _expand(
    run: NDArray[np.uint64], rows: NDArray[np.int64], begins: NDArray[np.int64], counts: NDArray[np.int64]
) -> Proposed:
    skipped = np.repeat(begins - np.cumsum(counts) + counts, counts)
    places = skipped + np.arange(len(skipped))
    return np.repeat(rows, counts), (run[places] & _LOW).astype(np.int64)
