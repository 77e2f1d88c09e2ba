"""View models of how the data came about: gallery, rejects, coverage, training, timing."""

from dataclasses import dataclass
from pathlib import Path

from markupsafe import Markup

from stablellava.core.ids import seed_from
from stablellava.core.sample import Rejected
from stablellava.studio.charts import heat_strip, share_bar
from stablellava.studio.curves import curve_chart
from stablellava.studio.gallery import SampleView, read_stored, view_sample, view_stored_sample
from stablellava.studio.reading import RejectDigest, RunContents, SampleDigest, SolvedStage, stage_order
from stablellava.synthesis.coverage import Coverage

_SAMPLES_PER_CAPABILITY = 6


@dataclass(frozen=True)
class ReasonView:
    """One reason for dropping candidates, with examples."""

    reason: str
    count: int
    share: float
    bar: Markup
    capabilities: tuple[tuple[str, int], ...]
    """The most frequent ones."""
    examples: tuple["RejectView", ...]


@dataclass(frozen=True)
class RejectView:
    """A dropped candidate; ``card`` is None if it never became a draft."""

    rejected: Rejected
    card: SampleView | None


@dataclass(frozen=True)
class CoverageView:
    """One capability's keywords by number of samples."""

    coverage: Coverage
    num_covered: int
    fewest: int
    median: int
    most: int
    strip: Markup


@dataclass(frozen=True)
class StageView:
    """One stage of training."""

    name: str
    num_steps: int
    seconds: float | None
    """Of all steps together."""
    first_loss: float | None
    last_loss: float | None
    loss: Markup | None
    learning_rate: Markup | None
    solved: SolvedStage | None = None
    """Set for a stage without steps."""


@dataclass(frozen=True)
class PhaseView:
    """One phase of the run."""

    name: str
    seconds: float
    bar: Markup


def view_gallery(samples: SampleDigest, data_dir: Path) -> dict[str, tuple[SampleView, ...]]:
    """Return a few samples per capability, each of another keyword."""
    return {
        capability: tuple(
            view_stored_sample(sample, data_dir)
            for sample in sorted(chosen.values(), key=lambda one: seed_from("report", one.sample_id))[
                :_SAMPLES_PER_CAPABILITY
            ]
        )
        for capability, chosen in sorted(samples.one_per_keyword.items())
    }


def view_rejects(rejects: RejectDigest, data_dir: Path) -> tuple[ReasonView, ...]:
    """Return the reasons, the most frequent first."""
    total = rejects.num_rejected
    return tuple(
        ReasonView(
            reason=reason,
            count=count,
            share=count / total,
            bar=share_bar(count / total, f"{100 * count / total:.0f} % of the rejects"),
            capabilities=_most_frequent(rejects, reason),
            examples=tuple(_view_reject(rejected, data_dir) for rejected in rejects.examples[reason]),
        )
        for reason, count in sorted(rejects.by_reason.items(), key=lambda entry: (-entry[1], entry[0]))
    )


def view_coverage(coverage: tuple[Coverage, ...]) -> tuple[CoverageView, ...]:
    """Return one strip per capability, keywords from many samples to none."""
    return tuple(_view_coverage(entry) for entry in coverage if entry.keywords)


def view_training(run: RunContents) -> tuple[StageView, ...]:
    """Return the curves of every stage, and how long a stage took that was solved for."""
    stages = sorted({*run.steps, *run.solved}, key=stage_order)
    return tuple(_view_stage(stage, run.steps.get(stage, []), run.solved.get(stage)) for stage in stages)


def view_timing(seconds: dict[str, float]) -> tuple[PhaseView, ...]:
    """Return phases in the order they were noted, with bars relative to the longest."""
    longest = max(seconds.values(), default=0.0) or 1.0
    return tuple(
        PhaseView(name, value, share_bar(value / longest, f"{value:.1f} seconds")) for name, value in seconds.items()
    )


def _view_reject(rejected: Rejected, data_dir: Path) -> RejectView:
    if rejected.draft is None:
        return RejectView(rejected, None)
    uris = [read_stored(painting.sha256, data_dir) for painting in rejected.paintings]
    card = view_sample(
        rejected.draft,
        rejected.paintings,
        uris,
        rejected.verdicts,
        reason=rejected.reason,
        detail=rejected.detail,
    )
    return RejectView(rejected, card)


def _most_frequent(rejects: RejectDigest, reason: str) -> tuple[tuple[str, int], ...]:
    counts = [(name, counter[reason]) for name, counter in rejects.by_capability.items() if counter[reason]]
    return tuple(sorted(counts, key=lambda entry: (-entry[1], entry[0]))[:3])


def _view_coverage(coverage: Coverage) -> CoverageView:
    counts = sorted(coverage.keywords.items(), key=lambda entry: (-entry[1], entry[0]))
    values = [count for _, count in counts]
    num_covered = sum(count > 0 for count in values)
    label = f"{coverage.capability}: {num_covered} of {len(values)} keywords have samples"
    return CoverageView(
        coverage=coverage,
        num_covered=num_covered,
        fewest=values[-1],
        median=values[len(values) // 2],
        most=values[0],
        strip=heat_strip(counts, label),
    )


def _view_stage(name: str, rows: list[dict[str, float]], solved: SolvedStage | None) -> StageView:
    losses = _column(rows, "loss")
    rates = _column(rows, "learning_rate")
    seconds = _column(rows, "seconds")
    return StageView(
        name=name,
        num_steps=int(max((row.get("step", 0.0) for row in rows), default=0.0)),
        seconds=sum(value for _, value in seconds) if seconds else None,
        first_loss=losses[0][1] if losses else None,
        last_loss=losses[-1][1] if losses else None,
        loss=curve_chart(losses, x_label="step", y_label=f"{name}: loss", smooth=True),
        learning_rate=curve_chart(rates, x_label="step", y_label=f"{name}: learning rate"),
        solved=solved,
    )


def _column(rows: list[dict[str, float]], name: str) -> list[tuple[float, float]]:
    return [(row.get("step", float(index)), row[name]) for index, row in enumerate(rows) if name in row]
