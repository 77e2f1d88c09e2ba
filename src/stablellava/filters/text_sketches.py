"""What is compared first of two texts: MinHash bands that propose, and bits that rule out.

Shingles are the words of a text and its pairs of neighbouring words. A band is a hash over a few minima of the
shingles' hashes under as many permutations: texts with the same band are worth a look. Every shingle also sets one
of 256 bits, so that texts that differ in n shingles differ in at most n bits: more differing bits rule a pair out
for certain.
"""

import math
import random
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache
from itertools import chain

import numpy as np
import xxhash
from numpy.typing import NDArray

_MAX_MISSED = 1e-5
"""Share of pairs of just the threshold's overlap that no band may propose."""
_MAX_ROWS = 8
_MAX_BANDS = 48
_SEED = 1
_NUM_WORDS_OF_BITS = 4
_FIRST_FACTOR, _SECOND_FACTOR, _BAND_FACTOR = (np.uint64(odd) for odd in (
    0x9E3779B97F4A7C15, 0xC2B2AE3D27D4EB4F, 0x100000001B3,
))  # fmt: skip
_HALF = np.uint64(32)
_SLACK = 1e-9
"""Against rounding: the bound may let a pair through for the exact comparison, never keep one back."""


@dataclass(frozen=True)
class Banding:
    """How many bands there are, and how many minima each is a hash over."""

    num_bands: int
    num_rows: int


def choose_banding(threshold: float) -> Banding:
    """Return the most selective bands that miss at most 1 pair of the threshold's overlap in 100,000.

    A threshold of 0.8 gives 38 bands of 6, which propose 14 of 100 pairs of overlap 0.4.
    """
    fitting = (Banding(_count_bands(threshold**rows), rows) for rows in range(_MAX_ROWS, 0, -1))
    return next(
        (banding for banding in fitting if banding.num_bands <= _MAX_BANDS), Banding(_count_bands(threshold), 1)
    )


def _count_bands(share_proposed: float) -> int:
    return math.ceil(math.log(_MAX_MISSED) / math.log1p(-share_proposed)) if share_proposed < 1 else 1


@cache
def _draw_permutations(num_rows: int) -> tuple[list[np.uint32], list[np.uint32]]:
    draw = random.Random(_SEED)  # noqa: S311
    factors = [np.uint32(draw.getrandbits(32) | 1) for _ in range(num_rows)]
    return factors, [np.uint32(draw.getrandbits(32)) for _ in range(num_rows)]


@dataclass(frozen=True)
class Sketches:
    """Of texts in a row, each of at least one word.

    Attributes:
        bands: uint32 [bands, texts].
        bits: uint64 [texts, 4].
        num_shingles: int64 [texts], repeats included.
    """

    bands: NDArray[np.uint32]
    bits: NDArray[np.uint64]
    num_shingles: NDArray[np.int64]


def sketch_texts(texts: Sequence[Sequence[str]], banding: Banding) -> Sketches:
    """Return the sketches of texts given as words, at least one each; the same whatever the company."""
    num_words = np.fromiter(map(len, texts), dtype=np.int64, count=len(texts))
    starts = np.concatenate((np.zeros(1, dtype=np.int64), np.cumsum(num_words)[:-1]))
    words = _hash_words(texts)
    following = np.roll(words, -1)
    pairs = _mix(words * _FIRST_FACTOR + following * _SECOND_FACTOR)
    last = starts + num_words - 1
    pairs[last] = words[last]  # no pair begins at a last word; its own hash stands twice and changes nothing
    return Sketches(
        bands=_band_hashes((words >> _HALF).astype(np.uint32), (pairs >> _HALF).astype(np.uint32), starts, banding),
        bits=_set_bits(words, starts) | _set_bits(pairs, starts),
        num_shingles=2 * num_words - 1,
    )


def may_overlap(
    own: Sketches, rows: NDArray[np.int64], other: Sketches, places: NDArray[np.int64], threshold: float
) -> NDArray[np.bool_]:
    """Return for pairs (row of own, place of other) whether they can overlap by the threshold; False is certain."""
    # An overlap of t leaves room for (1 - t) / (1 + t) of both sizes in shingles that only one of them has.
    num_shingles = own.num_shingles[rows] + other.num_shingles[places]
    allowed = num_shingles * ((1 - threshold) / (1 + threshold)) + _SLACK
    may: NDArray[np.bool_] = np.ones(len(rows), dtype=np.bool_)
    left = np.arange(len(rows))
    num_differing = np.zeros(len(rows), dtype=np.int64)
    for word in range(_NUM_WORDS_OF_BITS):  # most pairs are ruled out by the first ones
        num_differing += np.bitwise_count(own.bits[rows[left], word] ^ other.bits[places[left], word])
        stands = num_differing <= allowed[left]
        may[left[~stands]] = False
        left, num_differing = left[stands], num_differing[stands]
    return may


def _hash_words(texts: Sequence[Sequence[str]]) -> NDArray[np.uint64]:
    words = list(chain.from_iterable(texts))
    place_of = {word: place for place, word in enumerate(dict.fromkeys(words))}
    hashes = [xxhash.xxh3_64_intdigest(word.encode()) for word in place_of]
    places = np.fromiter(map(place_of.__getitem__, words), dtype=np.int64, count=len(words))
    return np.array(hashes, dtype=np.uint64)[places]


def _mix(hashes: NDArray[np.uint64]) -> NDArray[np.uint64]:
    return (hashes ^ (hashes >> np.uint64(29))) * _SECOND_FACTOR


def _band_hashes(
    words: NDArray[np.uint32], pairs: NDArray[np.uint32], starts: NDArray[np.int64], banding: Banding
) -> NDArray[np.uint32]:
    factors, offsets = _draw_permutations(banding.num_bands * banding.num_rows)
    bands = np.empty((banding.num_bands, len(starts)), dtype=np.uint32)
    of_words, of_pairs = np.empty_like(words), np.empty_like(pairs)
    for band in range(banding.num_bands):
        joined = np.full(len(starts), band, dtype=np.uint64)
        for row in range(band * banding.num_rows, (band + 1) * banding.num_rows):
            for hashes, permuted in ((words, of_words), (pairs, of_pairs)):
                np.multiply(hashes, factors[row], out=permuted)
                permuted += offsets[row]
            np.minimum(of_words, of_pairs, out=of_words)
            joined = _mix((joined ^ np.minimum.reduceat(of_words, starts)) * _BAND_FACTOR)
        bands[band] = joined >> _HALF
    return bands


def _set_bits(hashes: NDArray[np.uint64], starts: NDArray[np.int64]) -> NDArray[np.uint64]:
    places = hashes & np.uint64(64 * _NUM_WORDS_OF_BITS - 1)
    bits = np.empty((len(starts), _NUM_WORDS_OF_BITS), dtype=np.uint64)
    set_here = np.left_shift(np.uint64(1), places & np.uint64(63))
    for word in range(_NUM_WORDS_OF_BITS):
        mine = np.where(places >> np.uint64(6) == np.uint64(word), set_here, np.uint64(0))
        bits[:, word] = np.bitwise_or.reduceat(mine, starts)
    return bits
