"""Which sample comes when, from several sources in exact proportions.

The order is a function of the seed and the position alone: it is the same for any number of processes or
workers, and going on from a position draws nothing twice. Within a source no row comes twice before all came
once. Up to any position, a source has been drawn within a few samples of its share.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property

import numpy as np
from numpy.typing import NDArray

from stablellava.config.training import SourceSettings, StageConfig
from stablellava.core.errors import ConfigError
from stablellava.core.ids import seed_from
from stablellava.training.batching import draw_examples


@dataclass(frozen=True)
class MixedSource:
    """The rows of a source that can be drawn, and how many draws there are to be."""

    name: str
    rows: NDArray[np.int64]
    """Any numbers that stand for the rows; the draws are made of them."""
    num_draws: int

    @property
    def num_epochs(self) -> float:
        return self.num_draws / len(self.rows)


class Mixture:
    """All draws of a stage. Going on needs the seed and the position, nothing else."""

    def __init__(self, sources: Sequence[MixedSource], seed: int):
        self.sources = tuple(sources)
        self.seed = seed

    def __len__(self) -> int:
        return sum(source.num_draws for source in self.sources)

    def draw(self, start: int = 0, stop: int | None = None) -> NDArray[np.int64]:
        """Return the rows drawn at the positions from ``start`` up to ``stop``."""
        chosen = self.source_order[start:stop]
        before = np.bincount(self.source_order[:start], minlength=len(self.sources))
        drawn = np.empty(len(chosen), dtype=np.int64)
        for number, source in enumerate(self.sources):
            places = np.flatnonzero(chosen == number)
            drawn[places] = _draw_from(source, int(before[number]), len(places), self.seed)
        return drawn

    @cached_property
    def source_order(self) -> NDArray[np.int32]:
        """Which source each position is drawn from.

        Draw k of the n of a source stands at a random point of the k-th of n equal parts of the stage, so no
        source runs ahead of its share by more than about as many draws as there are sources.
        """
        points = [
            (np.arange(source.num_draws) + _jitter(source, self.seed)) / max(source.num_draws, 1)
            for source in self.sources
        ]
        numbers = np.repeat(np.arange(len(points), dtype=np.int32), [len(own) for own in points])
        order: NDArray[np.int32] = numbers[np.argsort(np.concatenate(points), kind="stable")]
        return order


def draw_samples(
    stage: StageConfig, source_of: NDArray[np.int64], taught: NDArray[np.int64], seed: int
) -> NDArray[np.int64]:
    """Return the samples of all steps in order: numbers of ``taught``, which says what may be drawn.

    ``source_of`` gives the source of every sample. Raises: as ``count_draws``.
    """
    if not stage.sources:
        return taught[draw_examples(len(taught), stage.num_samples, stage.num_epochs, seed)]
    rows = [taught[source_of[taught] == number] for number in range(len(stage.sources))]
    counts = count_draws(stage.sources, [len(own) for own in rows], stage.num_samples, stage.num_epochs)
    named = zip(name_sources(stage.sources), rows, counts, strict=True)
    return Mixture([MixedSource(*entry) for entry in named], seed).draw()


def count_draws(
    asked: Sequence[SourceSettings], sizes: Sequence[int], num_samples: int | None, num_epochs: float
) -> list[int]:
    """Return how many samples each source gives, for ``sizes`` usable rows.

    With shares, ``num_samples`` is their sum; without it, it is the largest number for which no source
    is drawn more often than allowed.

    Raises: ConfigError if a source is empty or would have to be repeated more often than allowed.
    """
    names = name_sources(asked)
    for name, size in zip(names, sizes, strict=True):
        if not size:
            raise ConfigError(f"source {name!r} has no row to learn from; see 'stablellava data check'")
    if all(source.share is None for source in asked):
        return [
            source.samples or max(round((source.epochs or num_epochs) * size), 1)
            for source, size in zip(asked, sizes, strict=True)
        ]
    limits = [(source.max_epochs or num_epochs) * size for source, size in zip(asked, sizes, strict=True)]
    weights = np.array([source.share for source in asked], dtype=np.float64)
    shares = weights / weights.sum()
    total = num_samples or max(math.floor(min(limits / shares) + 1e-9), 1)
    counts = _round_to_sum(shares * total, total)
    for name, count, limit, size in zip(names, counts, limits, sizes, strict=True):
        if count > math.ceil(limit):
            raise ConfigError(
                f"source {name!r}: its share of {total:,} samples is {count:,}, {count / size:.2f} times its {size:,} "
                f"rows, but {limit / size:g} are allowed. Set max_epochs={math.ceil(100 * count / size) / 100:g}, "
                "a smaller share or a smaller num_samples"
            )
    return counts


def name_sources(asked: Sequence[SourceSettings]) -> list[str]:
    """Return one name per source, as given or from its path, numbered where two would be equal."""
    names: list[str] = []
    for source in asked:
        plain = source.name or source.path.rstrip("/").rpartition("/")[2] or "own"
        taken = sum(name == plain or name.startswith(f"{plain}#") for name in names)
        names.append(f"{plain}#{taken + 1}" if taken else plain)
    return names


def _draw_from(source: MixedSource, start: int, count: int, seed: int) -> NDArray[np.int64]:
    """Return draws ``start`` to ``start + count`` of a source: pass after pass, each in an order of its own."""
    size = len(source.rows)
    passes = range(start // size, math.ceil((start + count) / size)) if count else range(0)
    drawn = [source.rows[_generator(seed, source.name, "pass", index).permutation(size)] for index in passes]
    first = start % size
    return np.concatenate([source.rows[:0], *drawn])[first : first + count]


def _jitter(source: MixedSource, seed: int) -> NDArray[np.float64]:
    return _generator(seed, source.name, "points").random(source.num_draws)


def _generator(*parts: object) -> np.random.Generator:
    return np.random.default_rng(seed_from(*parts))


def _round_to_sum(wanted: NDArray[np.float64], total: int) -> list[int]:
    """Return whole numbers that add up to the total, each less than one away from what was wanted."""
    counts = np.floor(wanted + 1e-9).astype(np.int64)
    largest_rest_first = np.argsort(counts - wanted, kind="stable")
    counts[largest_rest_first[: total - int(counts.sum())]] += 1
    return [int(count) for count in counts]
