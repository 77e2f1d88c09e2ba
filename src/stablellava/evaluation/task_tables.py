"""A task's log as a table: figures with intervals, failures beside them, published figures where they compare."""

from collections.abc import Sequence

from stablellava.core.score import TaskLog, TaskReport
from stablellava.evaluation.reference_rows import ReferenceRow, matching_rows
from stablellava.evaluation.tables import Table, format_interval, format_percent

_POINTS = "/score"
"""Names that end so are in points, not in percent."""


def task_table(log: TaskLog) -> Table:
    """Return every figure of a log."""
    rows = matching_rows(log)
    published = _columns(rows)
    headers = ("figure", "value", "95 % interval", "items", "unparsed", "unscored", *published)
    return Table(
        title=f"{log.header.task}:{log.header.variant}: {log.header.model}",
        headers=headers,
        rows=tuple((*_cells(report, log), *_look_up(report, log, published)) for report in log.header.reports),
        notes=tuple(_notes(log, rows)),
    )


def short_name(report: TaskReport, log: TaskLog) -> str:
    """Return the part of a figure's name after task and variant, "" for the headline."""
    return report.name.removeprefix(f"{log.header.task}:{log.header.variant}").removeprefix("/")


def is_points(report: TaskReport) -> bool:
    """Return whether a figure is in points instead of a share."""
    return report.name.endswith(_POINTS)


def format_count(count: int, num_items: int) -> str:
    """Return a count with its share of the items."""
    return f"{count} ({100 * count / num_items:.1f} %)" if count and num_items else str(count)


def _cells(report: TaskReport, log: TaskLog) -> tuple[str, ...]:
    if is_points(report):
        value = "-" if report.value is None else f"{report.value:.1f}"
        has_interval = report.ci_low is not None and report.ci_high is not None
        interval = f"{report.ci_low:.1f} to {report.ci_high:.1f}" if has_interval else "-"
    else:
        value, interval = format_percent(report.value), format_interval(report.ci_low, report.ci_high)
    counts = [format_count(count, report.num_items) for count in (report.num_unparsed, report.num_unscored)]
    return (short_name(report, log) or "all", value, interval, str(report.num_items), *counts)


def _columns(rows: Sequence[ReferenceRow]) -> dict[str, dict[str, float]]:
    """Return published figures by model and by figure; what is given first counts."""
    columns: dict[str, dict[str, float]] = {}
    for row in rows:
        column = columns.setdefault(row.name, {})
        for figure in row.figures:
            column.setdefault(figure.report, figure.value)
    return columns


def _look_up(report: TaskReport, log: TaskLog, published: dict[str, dict[str, float]]) -> list[str]:
    name = short_name(report, log)
    # Where the headline has a name of its own (mean_f1, Perception/score), the published one has it too.
    return [f"{column[name]:g}" if name in column else "-" for column in published.values()]


def _notes(log: TaskLog, rows: Sequence[ReferenceRow]) -> list[str]:
    header = log.header
    notes = ["Shares in percent; figures that end in /score are points."]
    if header.limit is not None:
        notes.append(f"Only the first {header.limit} questions were asked: no published figure compares.")
    if header.left_out:
        notes.append(f"{len(header.left_out)} rows of the file could not be used and are in no figure.")
    if header.answers_from != "asked":
        notes.append(f"The answers come from a file of the form {header.answers_from}.")
    if header.judge:
        notes.append(f"Judged by {header.judge}; figures of another judge do not compare.")
    for source in dict.fromkeys(row.source for row in rows):
        named = dict.fromkeys(row.name for row in rows if row.source == source)
        notes.append(f"Published: {', '.join(named)}: {source}.")
    return notes
