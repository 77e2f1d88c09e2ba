"""Which outputs join a pool: the most novel ones, spread over keywords. No chance: ties go by id."""

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise

import numpy as np
from numpy.typing import NDArray

from stablellava.core.matching import split_words
from stablellava.synthesis.diversity import Embed

Distances = NDArray[np.float64]


@dataclass(frozen=True)
class Entry:
    """Something that is in the pool or may join it."""

    entry_id: str
    keyword: str
    text: str


@dataclass(frozen=True)
class Limits:
    """How many may be chosen, and how alike.

    Attributes:
        max_grown: entries beside the seeds.
        max_joining: entries that may come in one round.
        max_per_keyword: entries of one keyword beside the seeds.
        min_novelty: distance of a new entry from everything that stays, 0 to 1.
    """

    max_grown: int
    max_joining: int
    max_per_keyword: int
    min_novelty: float


def measure_distances(left: Sequence[str], right: Sequence[str], embed: Embed | None = None) -> Distances:
    """Return how different texts are, 0 (equal) to 1 (nothing in common), [left, right].

    Without embeddings: 1 - Jaccard overlap of the sets of words and word pairs, exact (pools are small).
    """
    if not left or not right:
        return np.ones((len(left), len(right)))
    if embed is not None:
        return np.clip(1 - _unit(embed(left)) @ _unit(embed(right)).T, 0.0, 1.0)
    left_sets, right_sets = [_shingles(text) for text in left], [_shingles(text) for text in right]
    return np.array([[1 - _overlap(one, other) for other in right_sets] for one in left_sets])


def choose_grown(
    seeds: Sequence[str],
    grown: Sequence[Entry],
    candidates: Sequence[Entry],
    limits: Limits,
    embed: Embed | None = None,
) -> list[str]:
    """Return the ids of the entries that the pool holds beside its seeds after a round.

    While there is room, the candidate that is furthest from its nearest neighbour joins. Once it is full, that
    candidate takes the place of the grown entry that is nearest to another one, as long as it is further from what
    stays: no exemplar is ever replaced by a less novel one.
    """
    ordered = sorted(candidates, key=lambda entry: entry.entry_id)
    entries = [*grown, *ordered]
    texts = [entry.text for entry in entries]
    choosing = _Choosing(entries, measure_distances(texts, texts, embed), _nearest(texts, seeds, embed), limits)
    held, waiting = list(range(len(grown))), list(range(len(grown), len(entries)))
    for _ in range(limits.max_joining):
        leaving = choosing.least_novel(held) if len(held) >= limits.max_grown else None
        staying = [index for index in held if index != leaving]
        joining = choosing.most_novel(waiting, staying)
        if joining is None or (leaving is not None and not choosing.is_better(joining, leaving, staying)):
            break
        held, waiting = [*staying, joining], [index for index in waiting if index != joining]
    return [entries[index].entry_id for index in held]


@dataclass(frozen=True)
class _Choosing:
    entries: Sequence[Entry]
    distances: Distances
    from_seeds: NDArray[np.float64]
    limits: Limits

    def novelty(self, index: int, others: Sequence[int]) -> float:
        """Return the distance from the nearest of the seeds and the others."""
        nearest = min((self.distances[index, other] for other in others if other != index), default=1.0)
        return float(min(nearest, self.from_seeds[index]))

    def least_novel(self, held: Sequence[int]) -> int | None:
        return min(held, key=lambda index: (self.novelty(index, held), self.entries[index].entry_id), default=None)

    def most_novel(self, waiting: Sequence[int], staying: Sequence[int]) -> int | None:
        if len(staying) >= self.limits.max_grown:
            return None
        counts = Counter(self.entries[index].keyword for index in staying)
        free = [index for index in waiting if counts[self.entries[index].keyword] < self.limits.max_per_keyword]
        # max() keeps the first of equals, and those waiting are ordered by id.
        best = max(free, key=lambda index: self.novelty(index, staying), default=None)
        return best if best is not None and self.novelty(best, staying) >= self.limits.min_novelty else None

    def is_better(self, joining: int, leaving: int, staying: Sequence[int]) -> bool:
        return self.novelty(joining, staying) > self.novelty(leaving, staying)


def _nearest(texts: Sequence[str], others: Sequence[str], embed: Embed | None) -> NDArray[np.float64]:
    if not texts or not others:
        return np.ones(len(texts))
    return np.asarray(measure_distances(texts, others, embed).min(axis=1), dtype=np.float64)


def _unit(vectors: NDArray[np.float64]) -> NDArray[np.float64]:
    return np.asarray(vectors / np.linalg.norm(vectors, axis=1, keepdims=True), dtype=np.float64)


def _shingles(text: str) -> frozenset[tuple[str, ...]]:
    words = split_words(text)
    return frozenset([*((word,) for word in words), *pairwise(words)])


def _overlap(one: frozenset[tuple[str, ...]], other: frozenset[tuple[str, ...]]) -> float:
    union = len(one | other)
    return len(one & other) / union if union else 1.0
