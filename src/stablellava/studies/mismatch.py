"""Do the checks find pictures that belong to another dialogue? Faults are planted, so the truth is known.

Twice: by what the painter reports, and with that report withheld, by pixels alone. The pixel check is fitted on one
run, its threshold is picked on held-back samples of that run, and both are measured on a run of another seed.
"""

import random
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from stablellava.backends.catalog import build_backend
from stablellava.backends.protocols import FeatureReader
from stablellava.capabilities import load_known
from stablellava.config.tree import RunConfig
from stablellava.core.capability import Capability, Keyword
from stablellava.core.errors import ConfigError
from stablellava.core.record import Record
from stablellava.core.sample import Sample, Verdict
from stablellava.filters.base import Candidate
from stablellava.filters.calibrating import Calibration, measure_threshold
from stablellava.filters.pixel_agreement import AgreementModel
from stablellava.store.images import image_path
from stablellava.store.layout import RunLayout
from stablellava.store.shards import read_samples
from stablellava.studies.timing import ShowPhase
from stablellava.synthesis.calibrating import PixelFit, fit_pixel_check
from stablellava.synthesis.planting import LabelledSample, swap_pictures
from stablellava.synthesis.synthesizing import load_material, synthesize
from stablellava.synthesis.verifying import build_checks, judge_all

MEASURING_SEED_OFFSET = 1_000
_NUM_SHOWN = 6
Note = Callable[[str], None]


class MismatchReport(Record):
    """What was planted and what was found."""

    num_samples: int
    num_swapped: int
    by_report: Calibration
    """By the painter's report; 1: kept, 0: refused."""
    by_pixels: Calibration
    """With the report withheld."""
    calibration: Calibration
    """How the threshold of the pixel check did where it was picked."""
    num_fitted: int
    """Pictures that the pixel check was fitted on."""
    worst_missed: tuple[tuple[str, str, float], ...]
    """Swapped samples that look most as if they belonged: (sample, picture sha256, score)."""


@dataclass(frozen=True)
class MismatchStudy:
    """The figures, and samples to look at.

    Attributes:
        data_dir: where the samples' pictures lie.
        examples: what they show -> samples with what the checks said of them, the most telling first.
    """

    report: MismatchReport
    data_dir: Path
    examples: Mapping[str, tuple[Sample, ...]]


def run_mismatch_study(
    config: RunConfig,
    out_dir: Path,
    num_samples: int = 2000,
    share: float = 0.1,
    max_false_drops: float = 0.05,
    note: Note = lambda _: None,
    show: ShowPhase | None = None,
) -> MismatchStudy:
    """Synthesize one run to fit on and one to measure on, plant swaps, and judge them both ways.

    ``note`` is told each part before it begins; ``show`` shows how far the two runs are.

    Raises: ConfigError, BackendMissing, RecordError (folders of other settings, full disk).
    """
    if config.synthesis.painter is None:
        raise ConfigError("synthesis.painter is null, so there are no pictures to swap; name a painter")
    fitting = _synthesize(config, out_dir / "fitting", config.seed, num_samples, show)
    measuring = _synthesize(config, out_dir / "measuring", config.seed + MEASURING_SEED_OFFSET, num_samples, show)
    reader: FeatureReader = build_backend("features", "efficientnet-lite0")
    note("fitting the pixel check")
    fit = fit_pixel_check(fitting.data_dir, reader, config.seed, max_false_drops)
    fit.model.save(out_dir / "pixels.npz")
    samples = list(read_samples(measuring.data_dir))
    chosen = random.Random(config.seed).sample(samples, min(num_samples, len(samples)))  # noqa: S311
    planted = swap_pictures(chosen, share, config.seed)
    note("judging by the painter's report")
    by_report = _judge_by_report(config, planted)
    note("judging by pixels")
    scores = _score_pixels(measuring.data_dir, planted, reader, fit.model)
    examples = _choose_examples(planted, by_report, scores, fit.calibration.threshold)
    return MismatchStudy(_measure(planted, by_report, scores, fit), measuring.data_dir, examples)


def _measure(
    planted: Sequence[LabelledSample], by_report: Sequence[float], scores: Sequence[float | None], fit: PixelFit
) -> MismatchReport:
    threshold = fit.calibration.threshold
    is_own = [labelled.is_own for labelled in planted]
    return MismatchReport(
        num_samples=len(planted),
        num_swapped=is_own.count(False),
        by_report=measure_threshold(by_report, is_own, threshold=0.5),
        by_pixels=measure_threshold(scores, is_own, threshold),
        calibration=fit.calibration,
        num_fitted=fit.num_fitted,
        worst_missed=_worst_missed(planted, scores, threshold),
    )


def _synthesize(config: RunConfig, folder: Path, seed: int, num_samples: int, show: ShowPhase | None) -> RunLayout:
    layout = RunLayout(folder)
    per_capability = -(-num_samples // len(config.synthesis.capabilities))
    synthesis = config.synthesis.model_copy(update={"samples_per_capability": per_capability})
    wanted = config.model_copy(update={"seed": seed, "synthesis": synthesis})
    if show is None:
        synthesize(wanted, layout)
        return layout
    with show(f"pictures for {folder.name}") as display:
        synthesize(wanted, layout, display.show_synthesis)
    return layout


def _judge_by_report(config: RunConfig, planted: Sequence[LabelledSample]) -> list[float]:
    material = load_material(config.synthesis.capabilities)
    known = load_known(config.synthesis.capabilities)
    checks = build_checks(material.lexicon)
    scores = []
    for labelled in planted:
        _, refusing = judge_all(checks.of_picture, _candidate(labelled.sample, known))
        scores.append(0.0 if refusing else 1.0)
    return scores


def _candidate(sample: Sample, known: Mapping[str, Capability]) -> Candidate:
    keyword = known[sample.draft.capability].find_keyword(sample.draft.keyword)
    return Candidate(sample.draft, keyword or Keyword(name=sample.draft.keyword), sample.paintings)


def _score_pixels(
    data_dir: Path, planted: Sequence[LabelledSample], reader: FeatureReader, model: AgreementModel
) -> list[float | None]:
    scores: list[float | None] = [None] * len(planted)
    single = [index for index, labelled in enumerate(planted) if len(labelled.sample.paintings) == 1]
    images = [image_path(data_dir, planted[index].sample.paintings[0].sha256).read_bytes() for index in single]
    scored = model.score(reader.read(images), [planted[index].sample.draft for index in single])
    for index, score in zip(single, scored, strict=True):
        scores[index] = score
    return scores


def _choose_examples(
    planted: Sequence[LabelledSample], by_report: Sequence[float], scores: Sequence[float | None], threshold: float
) -> dict[str, tuple[Sample, ...]]:
    shown = [
        _with_verdicts(labelled.sample, reported, score, threshold)
        for labelled, reported, score in zip(planted, by_report, scores, strict=True)
    ]
    scored = sorted((score, place) for place, score in enumerate(scores) if score is not None)
    found = [place for score, place in scored if not planted[place].is_own and score < threshold]
    missed = [place for score, place in reversed(scored) if not planted[place].is_own and score >= threshold]
    lost = [place for score, place in scored if planted[place].is_own and score < threshold]
    unreported = [place for place, labelled in enumerate(planted) if not labelled.is_own and by_report[place]]
    chosen = {
        "Foreign pictures that pixels alone gave away": found,
        "Foreign pictures that pixels alone let pass": missed,
        "Good pairs that pixels alone would drop": lost,
        "Foreign pictures that the painter's report let pass": unreported,
    }
    return {title: tuple(shown[place] for place in places[:_NUM_SHOWN]) for title, places in chosen.items()}


def _with_verdicts(sample: Sample, reported: float, score: float | None, threshold: float) -> Sample:
    is_kept = score is None or score >= threshold
    verdicts = (
        Verdict(filter_name="painter_report", kept=bool(reported), reason="" if reported else "mismatch"),
        Verdict(
            filter_name="pixels", kept=is_kept, reason="" if is_kept else "picture_disagrees",
            score=score, threshold=threshold,
        ),
    )  # fmt: skip
    return sample.model_copy(update={"verdicts": verdicts})


def _worst_missed(
    planted: Sequence[LabelledSample], scores: Sequence[float | None], threshold: float
) -> tuple[tuple[str, str, float], ...]:
    missed: list[tuple[str, str, float]] = [
        (labelled.sample.sample_id, labelled.sample.paintings[0].sha256, score)
        for labelled, score in zip(planted, scores, strict=True)
        if not labelled.is_own and score is not None and score >= threshold
    ]
    return tuple(sorted(missed, key=lambda entry: -entry[2])[:10])


def describe_mismatch(report: MismatchReport) -> list[tuple[Any, ...]]:
    """Return table rows: check, found, interval, false drops, interval, precision."""
    rows = []
    for name, measured in (("painter's report", report.by_report), ("pixels alone", report.by_pixels)):
        low, high = measured.recall_interval
        false_low, false_high = measured.false_drops_interval
        rows.append(
            (
                name,
                f"{100 * measured.recall:.1f} %",
                f"{100 * low:.1f}-{100 * high:.1f}",
                f"{100 * measured.false_drops:.1f} %",
                f"{100 * false_low:.1f}-{100 * false_high:.1f}",
                "-" if measured.precision is None else f"{100 * measured.precision:.1f} %",
            )
        )
    return rows
