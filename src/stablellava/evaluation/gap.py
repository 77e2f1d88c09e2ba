"""One model on generated pictures and on photos, and whether what it gained on the first shows on the second."""

from collections.abc import Mapping, Sequence

from stablellava.core.capability import FormKind
from stablellava.core.errors import RecordError
from stablellava.core.record import Record
from stablellava.core.score import EvalLog
from stablellava.evaluation.comparing import Comparison
from stablellava.evaluation.figures import Figure, format_points
from stablellava.evaluation.significance import LEVEL, adjust_holm, fisher_exact
from stablellava.evaluation.statistics import (
    bootstrap_macro_difference,
    bootstrap_macro_mean,
    independent_difference,
    subtract_independent,
    wilson_interval,
)

_SEED = 2308


class GapRow(Record):
    """One capability, or the mean over them, on two suites."""

    name: str
    num_generated: int
    num_real: int
    generated: Figure
    real: Figure
    gap: Figure
    """Generated minus real; the items differ, so the interval is that of independent samples."""
    p_adjusted: float | None = None
    """Fisher's exact test after Holm's correction for the number of capabilities; None for the mean."""

    @property
    def stands(self) -> bool:
        """Tell whether the gap is more than chance, the correction included."""
        differs = self.gap.is_above_zero or self.gap.is_below_zero
        return differs and (self.p_adjusted is None or self.p_adjusted < LEVEL)


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
        verdict = "differs from zero" if mean.stands else "may be zero"
        asked = {"wh": "wh-questions", "yes_no": "yes/no questions", "either_or": "either-or questions"}
        questions = asked[self.form] if self.form else "all questions"
        return (
            f"{self.model} answers {100 * mean.generated.value:.1f} % of the generated items and "
            f"{100 * mean.real.value:.1f} % of the real photos right ({questions}, {len(self.rows)} shared "
            f"capabilities): a gap of {format_points(mean.gap)}, which {verdict}." + self._single_gaps()
        )

    def _single_gaps(self) -> str:
        wide = [row.name for row in self.rows if row.stands and row.gap.is_above_zero]
        if not wide:
            return ""
        return f" Better on generated pictures than chance explains, capability by capability: {', '.join(wide)}."


class Transfer(Record):
    """Whether what was gained on generated pictures shows on photos as well."""

    generated_gain: Figure
    real_gain: Figure
    excess: Figure
    """Gain on generated pictures minus gain on photos."""
    is_overfit: bool
    """The gain stands on generated pictures, none is shown on photos, and the two gains differ."""

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
        if not self.real_gain.is_above_zero:
            return f"Whether the gain carries over cannot be told from so few photos: it is {gains}."
        share = "A part of the gain" if self.excess.is_above_zero else "The gain"
        return f"{share} carries over to photos: it is {gains}."


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
        rows=_gap_rows(on_generated, on_real),
        mean=_mean_gap_row(on_generated, on_real),
    )


def assess_transfer(generated: Comparison, real: Comparison) -> Transfer:
    """Say whether a gain on generated pictures shows on photos."""
    on_generated, on_real = generated.mean.gain, real.mean.gain
    excess = Figure.from_interval(subtract_independent(on_generated.to_interval(), on_real.to_interval()))
    return Transfer(
        generated_gain=on_generated,
        real_gain=on_real,
        excess=excess,
        is_overfit=on_generated.is_above_zero and not on_real.is_above_zero and excess.is_above_zero,
    )


def _scores_by_capability(log: EvalLog, form: FormKind | None) -> dict[str, list[float]]:
    scores: dict[str, list[float]] = {}
    for entry in log.entries:
        if entry.score.value is not None and (form is None or entry.item.form == form):
            scores.setdefault(entry.item.capability, []).append(entry.score.value)
    return scores


def _gap_rows(generated: Mapping[str, Sequence[float]], real: Mapping[str, Sequence[float]]) -> tuple[GapRow, ...]:
    rows = [_gap_row(name, generated[name], real[name]) for name in generated]
    adjusted = adjust_holm([_p_value(generated[name], real[name]) for name in generated])
    return tuple(row.model_copy(update={"p_adjusted": p}) for row, p in zip(rows, adjusted, strict=True))


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


def _p_value(generated: Sequence[float], real: Sequence[float]) -> float:
    return fisher_exact(_count_right(generated), len(generated), _count_right(real), len(real))


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
