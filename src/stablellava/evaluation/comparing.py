"""What changed between two evaluations, and how sure that is."""

from collections.abc import Mapping, Sequence

from stablellava.core.capability import FormKind
from stablellava.core.errors import RecordError
from stablellava.core.record import Record
from stablellava.core.score import EvalLog
from stablellava.evaluation.statistics import (
    Interval,
    bootstrap_macro_difference,
    bootstrap_macro_mean,
    independent_difference,
    mcnemar_exact,
    paired_difference,
    wilson_interval,
)

_SEED = 2308


class Figure(Record):
    """A share, or a difference of shares, with its 95 % interval."""

    value: float
    low: float
    high: float

    @classmethod
    def from_interval(cls, interval: Interval) -> "Figure":
        return cls(value=interval.value, low=interval.low, high=interval.high)

    @property
    def is_above_zero(self) -> bool:
        return self.low > 0

    @property
    def is_below_zero(self) -> bool:
        return self.high < 0


class ComparisonRow(Record):
    """The same items answered before and after."""

    name: str
    num_items: int
    before: Figure
    after: Figure
    gain: Figure
    """Paired: after minus before on the same items."""
    num_gained: int
    """Items that turned right."""
    num_lost: int
    p_value: float | None
    """McNemar, exact, two-sided; None for the mean, where pooled items would weigh capabilities by size."""


class Comparison(Record):
    """Two models on one suite."""

    suite: str
    before_model: str
    after_model: str
    rows: tuple[ComparisonRow, ...]
    """One per capability, sorted by name."""
    mean: ComparisonRow
    """Every capability counts the same; its gain is resampled within capabilities."""
    num_unpaired: int
    """Items left out because one of the two was not scored."""

    @property
    def words(self) -> str:
        """Say in a sentence or two which differences stand."""
        gain = self.mean.gain
        points = format_points(gain)
        if gain.is_above_zero:
            verdict = f"{self.after_model} stands above {self.before_model} by {points}"
        elif gain.is_below_zero:
            verdict = f"{self.after_model} stands below {self.before_model} by {points}"
        else:
            verdict = f"{self.after_model} differs from {self.before_model} by {points}, which may be chance"
        gained = [row.name for row in self.rows if row.gain.is_above_zero]
        lost = [row.name for row in self.rows if row.gain.is_below_zero]
        return (
            f"{verdict}, on {self.mean.num_items} paired items. "
            f"By capability, {_count(gained, 'gain stands', 'gains stand')}, "
            f"{_count(lost, 'loss stands', 'losses stand')}, {len(self.rows) - len(gained) - len(lost)} undecided."
        )


class GapRow(Record):
    """One capability, or the mean over them, on two suites."""

    name: str
    num_generated: int
    num_real: int
    generated: Figure
    real: Figure
    gap: Figure
    """Generated minus real; the items differ, so the interval is that of independent samples."""


class Gap(Record):
    """One model on generated pictures and on photos."""

    model: str
    form: FormKind | None
    rows: tuple[GapRow, ...]
    mean: GapRow

    @property
    def words(self) -> str:
        """Name the gap, whatever it is."""
        mean = self.mean
        verdict = "differs from zero" if mean.gap.is_above_zero or mean.gap.is_below_zero else "may be zero"
        asked = {"wh": "wh-questions", "yes_no": "yes/no questions", "either_or": "either-or questions"}
        questions = asked[self.form] if self.form else "all questions"
        return (
            f"{self.model} answers {100 * mean.generated.value:.1f} % of the generated items and "
            f"{100 * mean.real.value:.1f} % of the real photos right ({questions}, {len(self.rows)} shared "
            f"capabilities): a gap of {format_points(mean.gap)}, which {verdict}."
        )


class Transfer(Record):
    """Whether what was gained on generated pictures shows on photos as well."""

    generated_gain: Figure
    real_gain: Figure
    is_overfit: bool
    """The gain stands on generated pictures and is not shown on photos."""

    @property
    def words(self) -> str:
        """Say what carried over."""
        gains = (
            f"{format_points(self.generated_gain)} on generated pictures and {format_points(self.real_gain)} on photos"
        )
        if self.is_overfit:
            return f"This looks like over-fitting to generated pictures: the gain is {gains}."
        if not self.generated_gain.is_above_zero:
            return f"No gain on generated pictures stands, so there is none to carry over: it is {gains}."
        return f"The gain carries over to photos: it is {gains}."


def compare_logs(before: EvalLog, after: EvalLog, *, form: FormKind | None = None) -> Comparison:
    """Compare two logs item by item, all of them or those of one question form.

    Raises: RecordError if the logs are not of the same items or share no scored one.
    """
    pairs = _paired_scores(before, after, form)
    scored = {name: kept for name, group in pairs.items() if (kept := [pair for pair in group if None not in pair])}
    if not scored:
        raise RecordError("the two logs share no scored item of this form; evaluate both models again")
    values = {name: [(float(b or 0), float(a or 0)) for b, a in group] for name, group in scored.items()}
    num_pairs = sum(len(group) for group in pairs.values())
    return Comparison(
        suite=after.suite,
        before_model=before.model,
        after_model=after.model,
        rows=tuple(_row(name, group) for name, group in values.items()),
        mean=_mean_row(values),
        num_unpaired=num_pairs - sum(len(group) for group in values.values()),
    )


def compare_suites(generated: EvalLog, real: EvalLog, *, form: FormKind | None = "wh") -> Gap:
    """Compare one model on two suites, over the capabilities both have.

    Photos are asked wh-questions, so the generated items are cut to those by default.

    Raises: RecordError if the logs are of different models or share no capability.
    """
    if generated.model_fingerprint != real.model_fingerprint:
        raise RecordError(f"the logs are of two models ({generated.model}, {real.model}); a gap is that of one model")
    scores = [_scores_by_capability(log, form) for log in (generated, real)]
    shared = sorted(scores[0].keys() & scores[1].keys())
    if not shared:
        raise RecordError(f"suites {generated.suite!r} and {real.suite!r} share no capability with scored items")
    on_generated, on_real = ({name: group[name] for name in shared} for group in scores)
    return Gap(
        model=generated.model,
        form=form,
        rows=tuple(_gap_row(name, on_generated[name], on_real[name]) for name in shared),
        mean=_mean_gap_row(on_generated, on_real),
    )


def assess_transfer(generated: Comparison, real: Comparison) -> Transfer:
    """Say whether a gain on generated pictures shows on photos."""
    return Transfer(
        generated_gain=generated.mean.gain,
        real_gain=real.mean.gain,
        is_overfit=generated.mean.gain.is_above_zero and not real.mean.gain.is_above_zero,
    )


def format_points(figure: Figure) -> str:
    """Return a difference in percentage points with its interval."""
    low, high = 100 * figure.low, 100 * figure.high
    return f"{100 * figure.value:+.1f} points (95 % interval {low:+.1f} to {high:+.1f})"


_Pair = tuple[float | None, float | None]


def _paired_scores(before: EvalLog, after: EvalLog, form: FormKind | None) -> dict[str, list[_Pair]]:
    earlier = {entry.item.item_id: entry for entry in before.entries}
    later = {entry.item.item_id: entry for entry in after.entries}
    if before.data_fingerprint != after.data_fingerprint or earlier.keys() != later.keys():
        num_alone = len(earlier.keys() ^ later.keys())
        raise RecordError(
            f"the logs of {before.model!r} and {after.model!r} are not of the same suite "
            f"({num_alone} items stand in one only); evaluate both models on one suite"
        )
    pairs: dict[str, list[_Pair]] = {}
    for item_id, entry in later.items():
        if form is None or entry.item.form == form:
            pair = (earlier[item_id].score.value, entry.score.value)
            pairs.setdefault(entry.item.capability, []).append(pair)
    return dict(sorted(pairs.items()))


def _row(name: str, pairs: Sequence[tuple[float, float]]) -> ComparisonRow:
    num_gained, num_lost = _count_changes(pairs)
    num_both = sum(pair == (1, 1) for pair in pairs)
    num_neither = len(pairs) - num_both - num_gained - num_lost
    return ComparisonRow(
        name=name,
        num_items=len(pairs),
        before=Figure.from_interval(wilson_interval(num_both + num_lost, len(pairs))),
        after=Figure.from_interval(wilson_interval(num_both + num_gained, len(pairs))),
        gain=Figure.from_interval(paired_difference(num_both, num_gained, num_lost, num_neither)),
        num_gained=num_gained,
        num_lost=num_lost,
        p_value=mcnemar_exact(num_gained, num_lost),
    )


def _mean_row(groups: Mapping[str, Sequence[tuple[float, float]]]) -> ComparisonRow:
    before, after, gain = (
        Figure.from_interval(bootstrap_macro_mean(values, seed=_SEED))
        for values in (
            {name: [before for before, _ in pairs] for name, pairs in groups.items()},
            {name: [after for _, after in pairs] for name, pairs in groups.items()},
            {name: [after - before for before, after in pairs] for name, pairs in groups.items()},
        )
    )
    pooled = [pair for pairs in groups.values() for pair in pairs]
    num_gained, num_lost = _count_changes(pooled)
    return ComparisonRow(
        name="mean",
        num_items=len(pooled),
        before=before,
        after=after,
        gain=gain,
        num_gained=num_gained,
        num_lost=num_lost,
        p_value=None,
    )


def _count_changes(pairs: Sequence[tuple[float, float]]) -> tuple[int, int]:
    return sum(after > before for before, after in pairs), sum(after < before for before, after in pairs)


def _scores_by_capability(log: EvalLog, form: FormKind | None) -> dict[str, list[float]]:
    scores: dict[str, list[float]] = {}
    for entry in log.entries:
        if entry.score.value is not None and (form is None or entry.item.form == form):
            scores.setdefault(entry.item.capability, []).append(entry.score.value)
    return scores


def _gap_row(name: str, generated: Sequence[float], real: Sequence[float]) -> GapRow:
    counts = (_count_right(generated), len(generated), _count_right(real), len(real))
    return GapRow(
        name=name,
        num_generated=len(generated),
        num_real=len(real),
        generated=Figure.from_interval(wilson_interval(*counts[:2])),
        real=Figure.from_interval(wilson_interval(*counts[2:])),
        gap=Figure.from_interval(independent_difference(*counts)),
    )


def _mean_gap_row(generated: Mapping[str, Sequence[float]], real: Mapping[str, Sequence[float]]) -> GapRow:
    return GapRow(
        name="mean",
        num_generated=sum(map(len, generated.values())),
        num_real=sum(map(len, real.values())),
        generated=Figure.from_interval(bootstrap_macro_mean(generated, seed=_SEED)),
        real=Figure.from_interval(bootstrap_macro_mean(real, seed=_SEED)),
        gap=Figure.from_interval(bootstrap_macro_difference(generated, real, seed=_SEED)),
    )


def _count_right(scores: Sequence[float]) -> int:
    return sum(score == 1 for score in scores)


def _count(names: Sequence[str], one: str, many: str) -> str:
    listed = f" ({', '.join(names)})" if names else ""
    return f"{len(names)} {one if len(names) == 1 else many}{listed}"
