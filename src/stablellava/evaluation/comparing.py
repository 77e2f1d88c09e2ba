"""What changed between two evaluations, and how sure that is.

A difference stands when its 95 % interval excludes zero and its p-value, corrected for how many groups are
compared at once, lies below 5 %. Both are paired: the same items, before and after.
"""

from collections import Counter
from collections.abc import Mapping, Sequence
from typing import Literal

from stablellava.core.capability import FormKind
from stablellava.core.errors import RecordError
from stablellava.core.ids import seed_from
from stablellava.core.record import Record
from stablellava.core.score import EvalLog, ItemScore, TaskLog
from stablellava.evaluation.figures import Figure, format_points
from stablellava.evaluation.official.aggregating import GroupedScore, mean_interval
from stablellava.evaluation.pairing import PairedItem, Pairing, pair_suite_logs, pair_task_logs
from stablellava.evaluation.resampling import clustered_macro_mean, clustered_mean, sign_flip_p_value
from stablellava.evaluation.significance import (
    LEVEL,
    adjust_benjamini_hochberg,
    adjust_holm,
    smallest_paired_difference,
)
from stablellava.evaluation.statistics import Interval, mcnemar_exact, paired_difference

MEAN = "mean"
Correction = Literal["holm", "benjamini-hochberg"]
"""Against any false alarm, or against too large a share of them."""
_SEED = 2308
_OUTCOMES = ((1.0, 1.0), (0.0, 1.0), (1.0, 0.0), (0.0, 0.0))
"""Both right, gained, lost, neither."""
_ADJUST = {"holm": adjust_holm, "benjamini-hochberg": adjust_benjamini_hochberg}
_NAME_OF = {"holm": "Holm's", "benjamini-hochberg": "Benjamini and Hochberg's"}


class ComparisonRow(Record):
    """The same items answered before and after."""

    name: str
    num_items: int
    before: Figure
    after: Figure
    gain: Figure
    """Paired: after minus before on the same items."""
    num_gained: int
    """Items whose score rose."""
    num_lost: int
    p_value: float
    """Two-sided: McNemar's exact test for right or wrong, else a permutation test; of the mean, always the latter."""
    p_adjusted: float
    """Corrected for the number of groups; of the mean, which is one comparison, the p-value itself."""
    smallest_gain: float
    """What this many items show with 80 % power at the 95 % level, uncorrected, given how often the two differ."""

    @property
    def verdict(self) -> Literal["gain", "loss", "undecided"]:
        """What can be said of the difference, the correction included."""
        if self.p_adjusted >= LEVEL:
            return "undecided"
        return "gain" if self.gain.is_above_zero else "loss" if self.gain.is_below_zero else "undecided"


class Comparison(Record):
    """Two models on one suite or benchmark."""

    suite: str
    before_model: str
    after_model: str
    rows: tuple[ComparisonRow, ...]
    """One per capability or subtask, sorted by name."""
    mean: ComparisonRow
    """Every group counts the same; its gain is resampled within groups."""
    num_unpaired: int
    """Items left out because one of the two was not scored."""
    correction: Correction = "holm"

    @property
    def words(self) -> str:
        """Say in a few sentences which differences stand."""
        mean, points = self.mean, format_points(self.mean.gain)
        told = {
            "gain": f"{self.after_model} stands above {self.before_model} by {points}",
            "loss": f"{self.after_model} stands below {self.before_model} by {points}",
            "undecided": f"{self.after_model} differs from {self.before_model} by {points}, which may be chance",
        }
        verdicts = {row.name: row.verdict for row in self.rows}
        gained = [name for name, verdict in verdicts.items() if verdict == "gain"]
        lost = [name for name, verdict in verdicts.items() if verdict == "loss"]
        corrected = f" after {_NAME_OF[self.correction]} correction for {len(verdicts)}" if len(verdicts) > 1 else ""
        return (
            f"{told[mean.verdict]}, on {mean.num_items} paired items. "
            f"By capability{corrected}, {_count(gained, 'gain stands', 'gains stand')}, "
            f"{_count(lost, 'loss stands', 'losses stand')}, {len(verdicts) - len(gained) - len(lost)} undecided. "
            f"This many items show a difference of {100 * mean.smallest_gain:.1f} points four times out of five."
        )


def compare_logs(
    before: EvalLog, after: EvalLog, *, form: FormKind | None = None, correction: Correction = "holm"
) -> Comparison:
    """Compare two capability logs item by item, all items or those of one question form.

    Raises: RecordError if the logs are not of the same items or share no scored one.
    """
    pairing = pair_suite_logs(before, after, form)
    return compare_pairs(pairing, after.suite, before.model, after.model, correction=correction)


def compare_task_logs(before: TaskLog, after: TaskLog, *, correction: Correction = "holm") -> Comparison:
    """Compare two logs of one benchmark and protocol question by question.

    What is compared is the mean score of the questions, also where the benchmark's own figure is another
    (F1, points, a ratio).

    Raises: RecordError if the logs are not of the same items or share no scored one.
    """
    name = f"{after.header.task}:{after.header.variant}"
    models = (before.header.model, after.header.model)
    return compare_pairs(pair_task_logs(before, after), name, *models, correction=correction)


def compare_pairs(
    pairing: Pairing, suite: str, before_model: str, after_model: str, *, correction: Correction = "holm"
) -> Comparison:
    """Compare paired items, by group and over groups.

    Raises: RecordError if no item is scored on both sides.
    """
    groups: dict[str, list[PairedItem]] = {}
    for pair in sorted(pairing.items, key=lambda pair: pair.group):
        groups.setdefault(pair.group, []).append(pair)
    if not groups:
        raise RecordError("the two logs share no scored item of this form; evaluate both models again")
    rows = [_row(name, group) for name, group in groups.items()]
    adjusted = _ADJUST[correction]([row.p_value for row in rows])
    return Comparison(
        suite=suite,
        before_model=before_model,
        after_model=after_model,
        rows=tuple(row.model_copy(update={"p_adjusted": p}) for row, p in zip(rows, adjusted, strict=True)),
        mean=_mean_row(groups),
        num_unpaired=pairing.num_unpaired,
        correction=correction,
    )


def _row(name: str, pairs: Sequence[PairedItem]) -> ComparisonRow:
    before = _share(f"{name}/before", [(pair, pair.before) for pair in pairs])
    after = _share(f"{name}/after", [(pair, pair.after) for pair in pairs])
    gain = _unchanged(pairs) or _gain_by_counts(pairs)
    if gain is not None:
        num_gained, num_lost = _count_changes(pairs)
        return _build_row(name, pairs, (before, after, gain), mcnemar_exact(num_gained, num_lost))
    gains, clusters = [pair.gain for pair in pairs], [pair.cluster for pair in pairs]
    seed = seed_from("gain", name)
    drawn = clustered_mean(gains, clusters, seed=seed)
    return _build_row(name, pairs, (before, after, drawn), sign_flip_p_value(gains, clusters, seed=seed))


def _mean_row(groups: Mapping[str, Sequence[PairedItem]]) -> ComparisonRow:
    clusters = {name: [pair.cluster for pair in pairs] for name, pairs in groups.items()}
    before, after, gain = (
        clustered_macro_mean(values, clusters, seed=_SEED)
        for values in (
            {name: [pair.before for pair in pairs] for name, pairs in groups.items()},
            {name: [pair.after for pair in pairs] for name, pairs in groups.items()},
            {name: [pair.gain for pair in pairs] for name, pairs in groups.items()},
        )
    )
    pooled = [pair for pairs in groups.values() for pair in pairs]
    # In a mean over groups, an item of a small group weighs more.
    weighted = [pair.gain / len(groups[pair.group]) for pair in pooled]
    p_value = sign_flip_p_value(weighted, [pair.cluster for pair in pooled], seed=_SEED)
    return _build_row(MEAN, pooled, (before, after, _unchanged(pooled) or gain), p_value)


def _gain_by_counts(pairs: Sequence[PairedItem]) -> Interval | None:
    """Return the score interval of independent items that are right or wrong; None for others."""
    outcomes = Counter((pair.before, pair.after) for pair in pairs)
    is_independent = len({pair.cluster for pair in pairs}) == len(pairs)
    if not is_independent or not outcomes.keys() <= set(_OUTCOMES):
        return None
    return paired_difference(*(outcomes[kind] for kind in _OUTCOMES))


def _unchanged(pairs: Sequence[PairedItem]) -> Interval | None:
    """Return an interval for items of which none changed: a bootstrap would collapse to a point, however few."""
    if any(pair.gain for pair in pairs):
        return None
    return paired_difference(0, 0, 0, len({pair.cluster for pair in pairs}))


def _build_row(
    name: str, pairs: Sequence[PairedItem], figures: tuple[Interval, Interval, Interval], p_value: float
) -> ComparisonRow:
    before, after, gain = figures
    num_gained, num_lost = _count_changes(pairs)
    return ComparisonRow(
        name=name,
        num_items=len(pairs),
        before=Figure.from_interval(before),
        after=Figure.from_interval(after),
        gain=Figure.from_interval(gain),
        num_gained=num_gained,
        num_lost=num_lost,
        p_value=p_value,
        p_adjusted=p_value,
        smallest_gain=smallest_paired_difference(len(pairs), (num_gained + num_lost) / len(pairs)),
    )


def _count_changes(pairs: Sequence[PairedItem]) -> tuple[int, int]:
    return sum(pair.gain > 0 for pair in pairs), sum(pair.gain < 0 for pair in pairs)


def _share(name: str, scores: Sequence[tuple[PairedItem, float]]) -> Interval:
    share = mean_interval(
        name,
        [GroupedScore(ItemScore(item_id=pair.item_id, value=value), cluster=pair.cluster) for pair, value in scores],
    )
    assert share is not None, "a group holds at least one scored item"
    return share


def _count(names: Sequence[str], one: str, many: str) -> str:
    listed = f" ({', '.join(names)})" if names else ""
    return f"{len(names)} {one if len(names) == 1 else many}{listed}"
