"""Intervals and tests for shares of right answers.

All intervals are two-sided at 95 %. Single shares and differences of two have score intervals, which
hold for few items and never collapse to a point; means over capabilities are bootstrapped.

Bootstraps are seeded and draw counts instead of items: a resample of n scores that take few distinct
values is one multinomial draw, which gives the same distribution at a fraction of the time and memory.
"""

import math
from collections.abc import Mapping, Sequence
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from stablellava.core.shares import wilson_bounds

_PERCENTILES = (2.5, 97.5)
NUM_RESAMPLES = 10_000


class Interval(NamedTuple):
    """A figure with its 95 % interval."""

    value: float
    low: float
    high: float


def wilson_interval(num_right: int, num_items: int) -> Interval:
    """Return the Wilson score interval of a share.

    Raises: ValueError without items.
    """
    if num_items < 1:
        raise ValueError(f"a share of {num_items} items has no interval")
    return Interval(num_right / num_items, *wilson_bounds(num_right, num_items))


def paired_difference(num_both: int, num_gained: int, num_lost: int, num_neither: int) -> Interval:
    """Return the gain in the share of right answers on the same items, before to after.

    Newcombe's score interval for paired proportions (1998, Statistics in Medicine 17:2635, method 10).
    """
    num_items = num_both + num_gained + num_lost + num_neither
    before = wilson_interval(num_both + num_lost, num_items)
    after = wilson_interval(num_both + num_gained, num_items)
    return _join_score_intervals(after, before, _phi(num_both, num_gained, num_lost, num_neither))


def independent_difference(num_right: int, num_items: int, other_right: int, other_items: int) -> Interval:
    """Return the first share minus the second, of different items.

    Newcombe's score interval for independent proportions (1998, Statistics in Medicine 17:873, method 10).
    """
    return _join_score_intervals(wilson_interval(num_right, num_items), wilson_interval(other_right, other_items), 0.0)


def subtract_independent(first: Interval, second: Interval) -> Interval:
    """Return first minus second with the interval that the two intervals imply (Zou and Donner 2008)."""
    return _join_score_intervals(first, second, 0.0)


def _phi(num_both: int, num_gained: int, num_lost: int, num_neither: int) -> float:
    """Return the correlation of two answers to an item, drawn towards 0 when few items speak for it."""
    margins = (num_both + num_gained) * (num_lost + num_neither) * (num_both + num_lost) * (num_gained + num_neither)
    if margins == 0:
        return 0.0
    num_items = num_both + num_gained + num_lost + num_neither
    cross = float(num_both * num_neither - num_gained * num_lost)
    if cross > 0:
        cross = max(cross - num_items / 2, 0.0)
    return cross / math.sqrt(margins)


def _join_score_intervals(first: Interval, second: Interval, phi: float) -> Interval:
    value = first.value - second.value
    down, other_up = first.value - first.low, second.high - second.value
    up, other_down = first.high - first.value, second.value - second.low
    return Interval(
        value,
        value - math.sqrt(down**2 - 2 * phi * down * other_up + other_up**2),
        value + math.sqrt(up**2 - 2 * phi * up * other_down + other_down**2),
    )


def resample_means(
    scores: Sequence[float], rng: np.random.Generator, num_resamples: int = NUM_RESAMPLES
) -> NDArray[np.float64]:
    """Return the means of bootstrap resamples, shape [num_resamples]."""
    values, counts = np.unique(np.asarray(scores, dtype=np.float64), return_counts=True)
    total = int(counts.sum())
    draws = rng.multinomial(total, counts / total, size=num_resamples)
    means: NDArray[np.float64] = draws @ values / total
    return means


def bootstrap_macro_mean(
    groups: Mapping[str, Sequence[float]], *, seed: int, num_resamples: int = NUM_RESAMPLES
) -> Interval:
    """Return the mean over groups of the groups' means; items are resampled within their group.

    Raises: ValueError without groups or with an empty one.
    """
    means = _macro_means(groups, np.random.default_rng(seed), num_resamples)
    return _interval(_macro_mean(groups), means)


def bootstrap_macro_difference(
    first: Mapping[str, Sequence[float]],
    second: Mapping[str, Sequence[float]],
    *,
    seed: int,
    num_resamples: int = NUM_RESAMPLES,
) -> Interval:
    """Return first minus second for independent sets of items, each a mean over groups."""
    rng = np.random.default_rng(seed)
    means = _macro_means(first, rng, num_resamples) - _macro_means(second, rng, num_resamples)
    return _interval(_macro_mean(first) - _macro_mean(second), means)


def mcnemar_exact(num_gained: int, num_lost: int) -> float:
    """Return the two-sided exact p-value for paired right/wrong outcomes.

    ``num_gained`` items turned right, ``num_lost`` turned wrong; unchanged items carry no evidence.
    """
    num_changed = num_gained + num_lost
    if num_changed == 0:
        return 1.0
    smaller = min(num_gained, num_lost)
    tail = sum(math.comb(num_changed, count) for count in range(smaller + 1))
    # Integers up to the division: 2**num_changed overflows a float beyond 1,023 changes.
    num_outcomes: int = 1 << num_changed
    return min(1.0, 2 * tail / num_outcomes)


def _interval(value: float, means: NDArray[np.float64]) -> Interval:
    low, high = np.percentile(means, _PERCENTILES)
    return Interval(value, float(low), float(high))


def _macro_mean(groups: Mapping[str, Sequence[float]]) -> float:
    return math.fsum(math.fsum(scores) / len(scores) for scores in groups.values()) / len(groups)


def _macro_means(
    groups: Mapping[str, Sequence[float]], rng: np.random.Generator, num_resamples: int
) -> NDArray[np.float64]:
    if not groups or not all(len(scores) for scores in groups.values()):
        raise ValueError("a mean over groups needs at least one group and no empty one")
    means = np.zeros(num_resamples)
    for name in sorted(groups):
        means += resample_means(groups[name], rng, num_resamples)
    return means / len(groups)
