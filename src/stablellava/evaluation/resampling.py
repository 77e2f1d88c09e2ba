"""Bootstraps and permutation tests over clusters: items that share an image are drawn together.

Seeded, and vectorised over resamples: a table has a row a cluster, and a resample is a row of counts.
"""

from collections.abc import Mapping, Sequence

import numpy as np
from numpy.typing import NDArray

from stablellava.evaluation.statistics import NUM_RESAMPLES, Interval, bootstrap_macro_mean, mcnemar_exact

Array = NDArray[np.float64]

_PERCENTILES = (2.5, 97.5)
_CELLS_AT_ONCE = 1 << 22
"""Draws held in memory together."""
_MULTINOMIAL_COST = 6
"""What a distinct row costs to draw by the multinomial, in draws of single rows."""


def resample_totals(table: Array, rng: np.random.Generator, num_resamples: int = NUM_RESAMPLES) -> Array:
    """Return column totals of bootstrap resamples: [rows, columns] -> [resamples, columns].

    Rows that are equal are drawn as counts of each kind where that is cheaper; the distribution is the same.
    """
    distinct, counts = np.unique(table, axis=0, return_counts=True)
    if _MULTINOMIAL_COST * len(distinct) < len(table):
        drawn: Array = rng.multinomial(len(table), counts / len(table), size=num_resamples) @ distinct
        return drawn
    num_rows = len(table)
    chunk = max(1, _CELLS_AT_ONCE // num_rows)
    totals = []
    for start in range(0, num_resamples, chunk):
        size = min(chunk, num_resamples - start)
        picked = rng.integers(num_rows, size=(size, num_rows), dtype=np.int32)
        picked += np.arange(size, dtype=np.int32)[:, None] * np.int32(num_rows)
        times = np.bincount(picked.ravel(), minlength=size * num_rows).reshape(size, num_rows)
        totals.append(times.astype(np.float64) @ table)
    return np.concatenate(totals)


def clustered_mean(values: Sequence[float], clusters: Sequence[str], *, seed: int) -> Interval:
    """Return the mean of the values with its bootstrap interval over clusters.

    ``clusters`` names each value's cluster. Paired differences are values as well.

    Raises: ValueError without values.
    """
    table = sum_clusters(values, clusters)
    if not len(table):
        raise ValueError("a mean of no items has no interval")
    totals = resample_totals(table, np.random.default_rng(seed))
    return percentile_interval(float(table[:, 0].sum() / table[:, 1].sum()), totals[:, 0] / totals[:, 1])


def clustered_macro_mean(
    groups: Mapping[str, Sequence[float]], clusters: Mapping[str, Sequence[str]], *, seed: int
) -> Interval:
    """Return the mean over groups of the groups' means; clusters are resampled within their group.

    Raises: ValueError without groups or with an empty one.
    """
    if all(len(set(names)) == len(names) for names in clusters.values()):
        return bootstrap_macro_mean(groups, seed=seed)
    rng = np.random.default_rng(seed)
    figures, value = np.zeros(NUM_RESAMPLES), 0.0
    for name in sorted(groups):
        table = sum_clusters(groups[name], clusters[name])
        totals = resample_totals(table, rng)
        figures += totals[:, 0] / totals[:, 1]
        value += float(table[:, 0].sum() / table[:, 1].sum())
    return percentile_interval(value / len(groups), figures / len(groups))


def sign_flip_p_value(differences: Sequence[float], clusters: Sequence[str], *, seed: int) -> float:
    """Return the two-sided p-value of a mean difference of 0, by permutation.

    Were there no difference, before and after could be swapped in any cluster. Exact for changes of one size,
    else over drawn permutations, of which the observed order is one: the p-value is never 0.
    """
    sums = sum_clusters(differences, clusters)[:, 0]
    changed = sums[sums != 0]
    if not len(changed) or np.ptp(np.abs(changed)) <= 1e-12 * np.abs(changed[0]):
        # Changes of one size can only be counted: the permutations are known without drawing any.
        num_gained = int(np.count_nonzero(changed > 0))
        return mcnemar_exact(num_gained, len(changed) - num_gained)
    rng = np.random.default_rng(seed)
    observed = abs(changed.sum())
    chunk = max(1, _CELLS_AT_ONCE // len(changed))
    num_as_far = 0
    for start in range(0, NUM_RESAMPLES, chunk):
        size = min(chunk, NUM_RESAMPLES - start)
        signs = rng.integers(2, size=(size, len(changed)), dtype=np.int8) * np.int8(2) - np.int8(1)
        # Rounding must not tell apart sums that are equal.
        num_as_far += int(np.count_nonzero(np.abs(signs.astype(np.float64) @ changed) >= observed * (1 - 1e-12)))
    return (num_as_far + 1) / (NUM_RESAMPLES + 1)


def sum_clusters(values: Sequence[float], clusters: Sequence[str]) -> Array:
    """Return a row a cluster: the sum of its values and their number."""
    _, places = np.unique(np.asarray(clusters, dtype=str), return_inverse=True)
    sums = np.bincount(places, weights=np.asarray(values, dtype=np.float64)) if len(places) else np.empty(0)
    return np.column_stack((sums, np.bincount(places).astype(np.float64))) if len(places) else np.empty((0, 2))


def percentile_interval(value: float, figures: Array) -> Interval:
    """Return the figure with the middle 95 % of its resamples."""
    low, high = np.percentile(figures, _PERCENTILES)
    return Interval(value, float(low), float(high))
