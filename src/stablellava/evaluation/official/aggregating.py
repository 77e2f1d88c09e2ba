"""From scored items to figures with intervals.

An item that could not be scored is left out of the figure and counted; an item whose answer could not be
read counts as the official rule has it, and is counted as well.
"""

import math
from collections.abc import Callable, Iterable, Sequence
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from stablellava.core.ids import seed_from
from stablellava.core.score import ItemScore, TaskReport
from stablellava.evaluation.scoring import UNPARSED
from stablellava.evaluation.statistics import NUM_RESAMPLES, Interval, wilson_interval

_PERCENTILES = (2.5, 97.5)


class GroupedScore(NamedTuple):
    """A scored item and where it counts."""

    score: ItemScore
    groups: tuple[str, ...] = ()
    """Names of the figures it counts for, besides the overall one."""
    cluster: str = ""
    """Items of one name (as questions on one image) are resampled together; without a name, alone."""


def report_means(name: str, scores: Sequence[GroupedScore]) -> tuple[TaskReport, ...]:
    """Return the mean of all items (micro), then of each group under ``name/group`` in sorted order."""
    groups: dict[str, list[GroupedScore]] = {}
    for item in scores:
        for group in item.groups:
            groups.setdefault(group, []).append(item)
    members = [(name, scores), *((f"{name}/{group}", groups[group]) for group in sorted(groups))]
    return tuple(report_figure(key, [m.score for m in items], mean_interval(key, items)) for key, items in members)


def report_figure(name: str, scores: Sequence[ItemScore], figure: Interval | None) -> TaskReport:
    """Return the figure with the counts of the items behind it; None when there is no figure."""
    return TaskReport(
        name=name,
        value=figure.value if figure else None,
        ci_low=figure.low if figure else None,
        ci_high=figure.high if figure else None,
        num_items=len(scores),
        num_unscored=sum(score.value is None for score in scores),
        num_unparsed=sum(score.why == UNPARSED for score in scores),
    )


def mean_interval(name: str, scores: Iterable[GroupedScore]) -> Interval | None:
    """Return the mean of the scored items, None without any.

    Wilson for independent right-or-wrong items; else a bootstrap over clusters, seeded by ``name``.
    """
    values: list[float] = []
    clusters: dict[str, list[float]] = {}
    for position, item in enumerate(scores):
        if item.score.value is not None:
            values.append(item.score.value)
            # A null byte keeps unnamed items out of named clusters.
            clusters.setdefault(item.cluster or f"\0{position}", []).append(item.score.value)
    if not values:
        return None
    if set(values) <= {0.0, 1.0}:
        if len(clusters) == len(values):
            return wilson_interval(values.count(1.0), len(values))
        if len(set(values)) == 1:
            # All right or all wrong: a bootstrap would collapse to a point, so clusters count as items.
            return wilson_interval(len(clusters) if values[0] else 0, len(clusters))
    rows = [(sum(cluster), float(len(cluster))) for cluster in clusters.values()]
    return bootstrap_totals(name, rows, lambda totals: totals[:, 0] / totals[:, 1])


def bootstrap_totals(
    name: str,
    rows: Sequence[Sequence[float]],
    statistic: Callable[[NDArray[np.float64]], NDArray[np.float64]],
    upper: float | None = None,
) -> Interval:
    """Return a figure of column totals with its percentile interval; ``name`` seeds the resamples.

    ``statistic`` maps totals [resamples, columns] to figures [resamples].
    """
    table = np.asarray(rows, dtype=np.float64)
    return interval_of_totals(table, resample_totals(name, table), statistic, upper)


def interval_of_totals(
    table: NDArray[np.float64],
    totals: NDArray[np.float64],
    statistic: Callable[[NDArray[np.float64]], NDArray[np.float64]],
    upper: float | None = None,
) -> Interval:
    """Return a figure of a table's column totals with its percentile interval over resampled ``totals``.

    Resamples whose figure is undefined (nan) are left out. For figures from 0 to ``upper``
    the interval is never a point at either end: Wilson's over the rows that have a figure stands in.
    """
    value = float(statistic(table.sum(axis=0, keepdims=True))[0])
    figures = statistic(totals)
    defined = figures[~np.isnan(figures)]
    if math.isnan(value) or not len(defined):
        return Interval(value, value, value)
    low, high = (float(bound) for bound in np.percentile(defined, _PERCENTILES))
    if low == high and upper is not None and value in (0.0, upper):
        num_rows = int(np.count_nonzero(~np.isnan(statistic(table))))
        share = wilson_interval(num_rows if value else 0, num_rows)
        return Interval(value, upper * share.low, upper * share.high)
    return Interval(value, low, high)


def resample_totals(name: str, table: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return column totals of bootstrap resamples: [rows, columns] -> [resamples, columns]."""
    distinct, counts = np.unique(table, axis=0, return_counts=True)
    rng = np.random.default_rng(seed_from("interval", name))
    draws = rng.multinomial(len(table), counts / len(table), size=NUM_RESAMPLES)
    totals: NDArray[np.float64] = draws @ distinct
    return totals
