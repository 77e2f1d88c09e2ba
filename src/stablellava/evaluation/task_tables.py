"""A task's log as tables: figures with intervals, failures beside them, published figures where they compare."""

from collections import Counter
from collections.abc import Sequence

from stablellava.core.score import ASKED, TaskLog, TaskReport
from stablellava.evaluation.reference_rows import matching_rows, name_in_log
from stablellava.evaluation.tables import Table, format_interval, format_percent

_POINTS = "/score"
"""Names that end so are in points, not in percent."""
_FIGURE_HEADERS = ("value", "95 % interval", "items", "unparsed", "unscored")
_NOT_CHECKED = "Contamination was not checked: what the model was trained on is not known here."


def task_table(log: TaskLog) -> Table:
    """Return every figure of a log."""
    return Table(
        title=f"{log.header.task}:{log.header.variant}: {log.header.model}",
        headers=("figure", *_FIGURE_HEADERS),
        rows=tuple(_row(report, log) for report in log.header.reports),
        notes=tuple(_notes(log)),
    )


def headline_table(logs: Sequence[TaskLog]) -> Table:
    """Return the headline of several logs of one protocol, a row per model."""
    header = logs[-1].header
    name = name_in_log(header.reports[0].name, header) or "all"
    return Table(
        title=f"{header.task}:{header.variant}, {name}",
        headers=("model", *_FIGURE_HEADERS),
        rows=tuple((log.header.model, *_row(log.header.reports[0], log)[1:]) for log in logs),
    )


def reference_table(log: TaskLog) -> Table | None:
    """Return published figures of the same protocol beside ours, None where there are none."""
    ours = {name_in_log(report.name, log.header): report for report in log.header.reports}
    rows = matching_rows(log)
    cells = [
        (row.name, figure.report or "all", f"{figure.value:g}", format_value(ours[figure.report]))
        for row in rows
        for figure in row.figures
    ]
    if not cells:
        return None
    by_source: dict[str, dict[str, None]] = {}
    for row in rows:
        by_source.setdefault(row.source, {})[row.name] = None
    return Table(
        title=f"Published figures of {log.header.task}:{log.header.variant}",
        headers=("model", "figure", "published", log.header.model),
        rows=tuple(cells),
        notes=tuple(f"{', '.join(names)}: {source}" for source, names in by_source.items()),
    )


def is_points(report: TaskReport) -> bool:
    """Return whether a figure is in points instead of a share."""
    return report.name.endswith(_POINTS)


def format_value(report: TaskReport) -> str:
    """Return a figure in percent or points."""
    if is_points(report):
        return "-" if report.value is None else f"{report.value:.1f}"
    return format_percent(report.value)


def format_count(count: int, num_items: int) -> str:
    """Return a count with its share of the items."""
    return f"{count} ({100 * count / num_items:.1f} %)" if count and num_items else str(count)


def _row(report: TaskReport, log: TaskLog) -> tuple[str, ...]:
    interval = format_interval(report.ci_low, report.ci_high)
    if is_points(report) and report.ci_low is not None and report.ci_high is not None:
        interval = f"{report.ci_low:.1f} to {report.ci_high:.1f}"
    counts = [format_count(count, report.num_items) for count in (report.num_unparsed, report.num_unscored)]
    name = name_in_log(report.name, log.header) or "all"
    return (name, format_value(report), interval, str(report.num_items), *counts)


def _notes(log: TaskLog) -> list[str]:
    header = log.header
    notes = ["Shares in percent; figures that end in /score are points."]
    if header.limit is not None:
        notes.append(f"Only the first {header.limit} questions were asked: no published figure compares.")
    if header.left_out:
        notes.append(f"{len(header.left_out)} rows of the file could not be used and are in no figure.")
    if header.answers_from != ASKED:
        notes.append(f"The answers come from a file of the form {header.answers_from}.")
    if header.judge:
        notes.append(f"Judged by {header.judge}; figures of another judge do not compare.")
    notes += _unscored_note(log)
    notes.append(header.contamination.words if header.contamination else _NOT_CHECKED)
    return notes


def _unscored_note(log: TaskLog) -> list[str]:
    """Why answers are in no figure: the log says it of each, the reader of the table sees the most frequent reason."""
    reasons = Counter(entry.score.why for entry in log.entries if entry.score.value is None)
    if not reasons:
        return []
    why, count = reasons.most_common(1)[0]
    others = f"; {reasons.total() - count} for other reasons, see the log" if reasons.total() > count else ""
    return [f"Unscored: {count}: {why}{others}."]
