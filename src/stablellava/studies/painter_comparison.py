"""The same drafts through two painters, scored alike.

Both get the same prompts and seeds, once, without repaints. A check that reads a painter's report has nothing to
say of a painter that reports nothing: such pictures are counted as unscored, not as passed.
"""

import time
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass

from stablellava.backends.catalog import build_backend
from stablellava.backends.protocols import Painter, Scorer, StreamingPainter
from stablellava.config.base import BackendSettings
from stablellava.config.tree import RunConfig
from stablellava.core.capability import Keyword
from stablellava.core.draft import Draft
from stablellava.core.errors import BackendFailed, ConfigError
from stablellava.core.sample import Painted, Painting, PaintJob, PaintRefusal, Rejected, Sample, Verdict
from stablellava.evaluation.tables import Table
from stablellava.filters.base import Candidate
from stablellava.filters.image_readable import judge_bytes
from stablellava.studies.painter_figures import compare_marks
from stablellava.synthesis.making import reject
from stablellava.synthesis.painting import describe_painting, paint_jobs
from stablellava.synthesis.planning import Tally, training_planner
from stablellava.synthesis.synthesizing import Material, load_material
from stablellava.synthesis.verifying import Checks, build_checks, judge_all

Shown = tuple[Sample | Rejected, tuple[bytes, ...]]
"""What became of a draft under one painter, and its encoded pictures."""
Marks = dict[str, float | None]
"""Measure -> 1 or 0, or a score; None where it has nothing to say."""
_READS_REPORT = frozenset({"keyword_drawn", "dialogue_grounded"})
_JOBS_PER_CALL = 16


@dataclass(frozen=True)
class PainterComparison:
    """What two painters made of the same drafts."""

    names: tuple[str, str]
    tables: tuple[Table, ...]
    pairs: tuple[tuple[Shown, Shown], ...]


@dataclass(frozen=True)
class _Trial:
    shown: Shown
    marks: Marks


def compare_painters(
    config: RunConfig,
    painters: tuple[BackendSettings, BackendSettings],
    scorers: Sequence[BackendSettings] = (),
    material: Material | None = None,
    note: Callable[[str], None] = lambda _: None,
) -> PainterComparison:
    """Write samples_per_capability drafts per capability, paint all with both painters and score them alike.

    Raises: ConfigError for unknown backends or options, or if no draft passes the checks of text; BackendMissing,
        BackendFailed.
    """
    material = material or load_material(config.synthesis.capabilities)
    checks = build_checks(material.lexicon)
    built: list[Painter] = [build_backend("painter", one.backend, one.options) for one in painters]
    judges: list[Scorer] = [build_backend("scorer", one.backend, one.options) for one in scorers]
    drafts = list(_write(config, material, checks))
    if not drafts:
        raise ConfigError("no draft passed the checks of its text, so there is nothing to paint; try another writer")
    names = _tell_apart(built)
    rounds = []
    for name, painter in zip(names, built, strict=True):
        note(f"painting {len(drafts)} drafts with {name}")
        rounds.append(_paint_all(painter, drafts, checks, judges, config.synthesis.size_px))
    (first, first_seconds), (second, second_seconds) = rounds
    timed = zip(names, (first_seconds, second_seconds), (first, second), strict=True)
    notes = [
        f"{name}: {seconds:.3f} seconds a picture with the reading of weights, {_tell_refusals(trials)}"
        for name, seconds, trials in timed
    ]
    tables = compare_marks(
        names,
        [draft.capability for draft, _ in drafts],
        [trial.marks for trial in first],
        [trial.marks for trial in second],
        seed=config.seed,
        notes=(*notes, f"Both: {len(drafts)} drafts, the same seeds, no repaints."),
    )
    return PainterComparison(names, tables, tuple((a.shown, b.shown) for a, b in zip(first, second, strict=True)))


def _write(config: RunConfig, material: Material, checks: Checks) -> Iterator[tuple[Draft, Keyword]]:
    """Yield the drafts whose text passes; those that do not are the writer's fault, not the painters'."""
    settings = config.synthesis
    writer = build_backend("writer", settings.writer.backend, settings.writer.options)
    for capability in material.capabilities:
        requests = training_planner(config, capability).plan_round(0, settings.samples_per_capability, Tally())
        for request, draft in zip(requests, writer.write(list(requests)), strict=True):
            if not isinstance(draft, Draft):
                continue
            _, refusing = judge_all(checks.of_text, Candidate(draft, request.keyword))
            if refusing is None:
                yield draft, request.keyword


def _paint_all(
    painter: Painter,
    drafts: Sequence[tuple[Draft, Keyword]],
    checks: Checks,
    scorers: Sequence[Scorer],
    size_px: int,
) -> tuple[list[_Trial], float]:
    """Return a trial per draft and the seconds a picture took."""
    jobs = [job for draft, _ in drafts for job in paint_jobs(draft, 0, size_px)]
    started = time.perf_counter()
    results = _paint(painter, jobs)
    seconds = (time.perf_counter() - started) / len(jobs)
    if len(results) != len(jobs):
        raise BackendFailed(f"painter {painter.name!r} gave {len(results)} results for {len(jobs)} jobs")
    pending = iter(zip(jobs, results, strict=True))
    trials = []
    for draft, keyword in drafts:
        of_draft = [next(pending) for _ in draft.prompts]
        trials.append(_judge(draft, keyword, of_draft, checks, scorers))
    return trials, seconds


def _paint(painter: Painter, jobs: list[PaintJob]) -> list[Painted | PaintRefusal]:
    batches = [jobs[start : start + _JOBS_PER_CALL] for start in range(0, len(jobs), _JOBS_PER_CALL)]
    painted = painter.paint_batches(batches) if isinstance(painter, StreamingPainter) else map(painter.paint, batches)
    return [result for batch in painted for result in batch]


def _judge(
    draft: Draft,
    keyword: Keyword,
    painted: Sequence[tuple[PaintJob, Painted | PaintRefusal]],
    checks: Checks,
    scorers: Sequence[Scorer],
) -> _Trial:
    images = tuple(result.image for _, result in painted if isinstance(result, Painted))
    paintings: list[Painting] = []
    for job, result in painted:
        verdict = _take(job, result, paintings)
        if not verdict.kept:
            rejected = reject(Candidate(draft, keyword, tuple(paintings)), (verdict,))
            stage = "paint" if isinstance(result, PaintRefusal) else "verify"
            return _Trial((rejected.model_copy(update={"stage": stage}), ()), {"painted": 0.0, "kept": 0.0})
    candidate = Candidate(draft, keyword, tuple(paintings))
    verdicts = {check.name: check.judge(candidate) for check in checks.of_picture}
    has_report = all(painting.drawn is not None for painting in paintings)
    found: Marks = {
        name: float(verdict.kept) if has_report or name not in _READS_REPORT else None
        for name, verdict in verdicts.items()
    }
    kept = 0.0 if 0.0 in found.values() else None if None in found.values() else 1.0
    marks: Marks = {"painted": 1.0, "kept": kept, **found}
    for scorer in scorers:
        scores = scorer.score(images, [(prompt.text,) for prompt in draft.prompts])
        marks[f"{scorer.name}, prompt"] = sum(score for [score] in scores) / len(scores)
    telling = tuple(verdict for name, verdict in verdicts.items() if found[name] is not None)
    return _Trial((_outcome(candidate, telling), images), marks)


def _take(job: PaintJob, result: Painted | PaintRefusal, paintings: list[Painting]) -> Verdict:
    """Add the picture to the paintings, or return why it is none."""
    if isinstance(result, PaintRefusal):
        return Verdict(filter_name="painter", kept=False, reason=result.reason, detail=result.phrase)
    verdict, picture = judge_bytes(result.image, job.width_px, job.height_px)
    if picture is not None:
        paintings.append(describe_painting(job, result, picture))
    return verdict


def _outcome(candidate: Candidate, verdicts: tuple[Verdict, ...]) -> Sample | Rejected:
    refusing = [index for index, verdict in enumerate(verdicts) if not verdict.kept]
    if refusing:
        return reject(candidate, verdicts[: refusing[0] + 1])
    draft = candidate.draft
    return Sample(sample_id=draft.draft_id, draft=draft, paintings=candidate.paintings, verdicts=verdicts)


def _tell_apart(painters: Sequence[Painter]) -> tuple[str, str]:
    first, second = (painter.name for painter in painters)
    return (first, second) if first != second else (f"{first} 1", f"{second} 2")


def _tell_refusals(trials: Sequence[_Trial]) -> str:
    reasons = Counter(
        outcome.reason
        for outcome, _ in (trial.shown for trial in trials)
        if isinstance(outcome, Rejected) and outcome.stage == "paint"
    )
    return "refused " + (", ".join(f"{reason} {count}" for reason, count in reasons.most_common()) or "nothing")
