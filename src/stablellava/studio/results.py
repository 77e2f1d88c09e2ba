"""What changed: view models of comparisons, gaps and single answers."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from markupsafe import Markup

from stablellava.core.errors import RecordError
from stablellava.core.ids import seed_from
from stablellava.core.score import EvalItem, EvalLog, EvalLogEntry, TaskReport
from stablellava.evaluation.comparing import Comparison, ComparisonRow, compare_logs
from stablellava.evaluation.gap import Gap, Transfer, assess_transfer, compare_suites
from stablellava.evaluation.reporting import capability_reports, mean_report
from stablellava.evaluation.tables import Table, log_table
from stablellava.store.images import resolve_inside
from stablellava.store.layout import RunLayout
from stablellava.studio.charts import RadarSeries, interval_glyph, radar_chart
from stablellava.studio.gallery import PictureView
from stablellava.studio.pictures import read_data_uri

GENERATED = "generated"
_EXAMPLES_PER_OUTCOME = 2


@dataclass(frozen=True)
class GainRow:
    """A row of a comparison with its drawn interval."""

    row: ComparisonRow
    glyph: Markup


@dataclass(frozen=True)
class SuiteView:
    """One suite: the comparison if two stages were measured, else the single table."""

    name: str
    logs: tuple[EvalLog, ...]
    tables: tuple[Table, ...]
    radar: Markup | None
    comparison: Comparison | None
    gains: tuple[GainRow, ...]
    problem: str = ""
    """Why two stages could not be compared."""


@dataclass(frozen=True)
class AnswerView:
    """What one stage said, and whether it was right (None: unscored)."""

    stage: str
    text: str
    value: float | None
    why: str


@dataclass(frozen=True)
class ExampleView:
    """A question with its pictures, what counts as right and what was answered."""

    item: EvalItem
    pictures: tuple[PictureView, ...]
    answers: tuple[AnswerView, ...]
    is_right: bool


@dataclass(frozen=True)
class GapView:
    """Generated against real, and whether gains carry over."""

    gap: Gap | None
    transfer: Transfer | None
    problem: str = ""


def view_suite(name: str, logs: Mapping[str, EvalLog]) -> SuiteView:
    """Return a suite's figures; first and last stage are compared."""
    ordered = tuple(logs.values())
    comparison, problem = None, ""
    if len(ordered) > 1:
        try:
            comparison = compare_logs(ordered[0], ordered[-1])
        except RecordError as exc:
            problem = str(exc)
    rows = (*comparison.rows, comparison.mean) if comparison else ()
    low = min([0.0, *(row.gain.low for row in rows)])
    high = max([0.0, *(row.gain.high for row in rows)])
    return SuiteView(
        name=name,
        logs=ordered,
        tables=tuple(log_table(log) for log in ordered),
        radar=_draw_radar(logs),
        comparison=comparison,
        gains=tuple(
            GainRow(row, interval_glyph(row.gain.value, row.gain.low, row.gain.high, (low, high))) for row in rows
        ),
        problem=problem,
    )


def view_gap(generated: Mapping[str, EvalLog], real: Mapping[str, EvalLog]) -> GapView:
    """Return the gap of the last stage measured on both suites, and the transfer of its gain."""
    shared = [stage for stage in generated if stage in real]
    if not shared:
        return GapView(None, None, "no stage was measured on both suites")
    first, last = shared[0], shared[-1]
    try:
        gap = compare_suites(generated[last], real[last])
        if first == last:
            return GapView(gap, None)
        gains = [compare_logs(suite[first], suite[last]) for suite in (generated, real)]
    except RecordError as exc:
        return GapView(None, None, str(exc))
    return GapView(gap, assess_transfer(*gains))


def view_examples(logs: Mapping[str, EvalLog], layout: RunLayout) -> dict[str, tuple[ExampleView, ...]]:
    """Return right and wrong answers of the last stage per capability, beside what earlier stages said."""
    *_, last = logs.values()
    answers = {stage: {entry.item.item_id: entry for entry in log.entries} for stage, log in logs.items()}
    groups: dict[str, list[EvalLogEntry]] = {}
    for entry in last.entries:
        groups.setdefault(entry.item.capability, []).append(entry)
    return {
        capability: tuple(_view_example(entry, answers, last, layout) for entry in _choose(groups[capability]))
        for capability in sorted(groups)
    }


def headline(logs: Mapping[str, EvalLog]) -> tuple[tuple[str, TaskReport], ...]:
    """Return the mean over capabilities of every stage."""
    return tuple((stage, mean_report(log)) for stage, log in logs.items())


def _draw_radar(logs: Mapping[str, EvalLog]) -> Markup | None:
    """Draw the first and the last stage on the capabilities for which both have a figure."""
    stages = list(dict.fromkeys((next(iter(logs)), [*logs][-1])))
    shares = [
        {name: report.value for name, report in capability_reports(logs[stage]).items() if report.value is not None}
        for stage in stages
    ]
    axes = [name for name in shares[0] if all(name in share for share in shares)]
    css_classes = ("before", "after")[-len(stages) :]
    return radar_chart(
        axes,
        [
            RadarSeries(stage, tuple(share[axis] for axis in axes), css_class)
            for stage, share, css_class in zip(stages, shares, css_classes, strict=True)
        ],
    )


def _choose(entries: Sequence[EvalLogEntry]) -> list[EvalLogEntry]:
    """Pick wrong and right ones by their ids, not by how good they look."""
    shuffled = sorted(entries, key=lambda entry: seed_from("report", entry.item.item_id))
    wrong = [entry for entry in shuffled if entry.score.value is not None and entry.score.value < 1]
    right = [entry for entry in shuffled if entry.score.value == 1]
    return [*wrong[:_EXAMPLES_PER_OUTCOME], *right[:_EXAMPLES_PER_OUTCOME]]


def _view_example(
    entry: EvalLogEntry, answers: Mapping[str, Mapping[str, EvalLogEntry]], log: EvalLog, layout: RunLayout
) -> ExampleView:
    item = entry.item
    said = [(stage, found[item.item_id]) for stage, found in answers.items() if item.item_id in found]
    return ExampleView(
        item=item,
        pictures=tuple(
            PictureView(_embed(image, log, layout), f"Asked about: {item.question}") for image in item.images
        ),
        answers=tuple(AnswerView(stage, one.answer.text, one.score.value, one.score.why) for stage, one in said),
        is_right=entry.score.value == 1,
    )


def _embed(image: str, log: EvalLog, layout: RunLayout) -> str:
    """Return the picture from the run's own suite, else from where it lay when it was asked about."""
    folders = [layout.suite_dir(log.suite), *([Path(log.suite_dir)] if log.suite_dir else [])]
    for folder in folders:
        try:
            return read_data_uri(resolve_inside(folder, image, where=log.suite))
        except RecordError:
            continue
    return ""
