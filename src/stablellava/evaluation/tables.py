"""Results as rows of text, ready for a terminal, a file or a page."""

from collections.abc import Sequence
from dataclasses import dataclass

from stablellava.core.score import EvalLog, TaskReport
from stablellava.evaluation.comparing import Comparison, ComparisonRow
from stablellava.evaluation.figures import Figure
from stablellava.evaluation.gap import Gap, GapRow
from stablellava.evaluation.reporting import capability_reports, form_reports, mean_report

_SHOWS = "shows: the smallest difference in points that so many items show four times out of five, before correction."


@dataclass(frozen=True)
class Table:
    """A title, headers and rows of cells; the first column is text, the others are right-aligned."""

    title: str
    headers: tuple[str, ...]
    rows: tuple[tuple[str, ...], ...]
    notes: tuple[str, ...] = ()

    def to_text(self) -> str:
        """Return the table in plain ASCII."""
        columns = list(zip(self.headers, *self.rows, strict=True))
        widths = [max(map(len, column)) for column in columns]
        rule = "  ".join("-" * width for width in widths)
        lines = [self.title, "", _line(self.headers, widths), rule]
        lines += [_line(row, widths) for row in self.rows]
        if self.notes:
            lines += ["", *self.notes]
        return "\n".join(lines) + "\n"


def log_table(log: EvalLog) -> Table:
    """Return one log: capabilities, their mean, question forms."""
    reports = [*capability_reports(log).values(), mean_report(log)]
    rows = [_report_row(report.name, report) for report in reports]
    rows += [_report_row(f"{form} questions", report) for form, report in form_reports(log).items()]
    return Table(
        title=f"{log.suite}: {log.model}",
        headers=("capability", "right %", "95 % interval", "items", "unparsed", "unscored"),
        rows=tuple(rows),
        notes=("Capabilities: Wilson intervals. Mean: every capability counts the same, bootstrap within them.",),
    )


def comparison_table(comparison: Comparison) -> Table:
    """Return two models on one suite, with the gain per capability and in the mean."""
    return Table(
        title=f"{comparison.suite}: {comparison.before_model} -> {comparison.after_model}",
        headers=("capability", "items", "before %", "after %", "gain", "95 % interval", "p, corrected", "shows"),
        rows=tuple(_comparison_row(row) for row in (*comparison.rows, comparison.mean)),
        notes=(comparison.words, _SHOWS, *_unpaired_note(comparison)),
    )


def gap_table(gap: Gap) -> Table:
    """Return one model on generated pictures and on photos."""
    return Table(
        title=f"Generated and real: {gap.model}",
        headers=("capability", "items", "generated %", "photos", "real %", "gap", "95 % interval"),
        rows=tuple(_gap_row(row) for row in (*gap.rows, gap.mean)),
        notes=(gap.words,),
    )


def format_percent(value: float | None) -> str:
    """Return a share as a percentage with one decimal."""
    return "-" if value is None else f"{100 * value:.1f}"


def format_interval(low: float | None, high: float | None, *, signed: bool = False) -> str:
    """Return the two ends of an interval in percent."""
    if low is None or high is None:
        return "-"
    return f"{100 * low:+.1f} to {100 * high:+.1f}" if signed else f"{100 * low:.1f} to {100 * high:.1f}"


def format_gain(figure: Figure) -> str:
    """Return a difference in points with its sign."""
    return f"{100 * figure.value:+.1f}"


def format_p_value(p_value: float | None) -> str:
    """Return a p-value with three decimals, very small ones as a bound."""
    if p_value is None:
        return "-"
    return "<0.001" if p_value < 0.001 else f"{p_value:.3f}"


def _report_row(name: str, report: TaskReport) -> tuple[str, ...]:
    counts = (report.num_items, report.num_unparsed, report.num_unscored)
    interval = format_interval(report.ci_low, report.ci_high)
    return (name, format_percent(report.value), interval, *map(str, counts))


def _comparison_row(row: ComparisonRow) -> tuple[str, ...]:
    return (
        row.name,
        str(row.num_items),
        format_percent(row.before.value),
        format_percent(row.after.value),
        format_gain(row.gain),
        format_interval(row.gain.low, row.gain.high, signed=True),
        format_p_value(row.p_adjusted),
        f"{100 * row.smallest_gain:.1f}",
    )


def _gap_row(row: GapRow) -> tuple[str, ...]:
    return (
        row.name,
        str(row.num_generated),
        format_percent(row.generated.value),
        str(row.num_real),
        format_percent(row.real.value),
        format_gain(row.gap),
        format_interval(row.gap.low, row.gap.high, signed=True),
    )


def _unpaired_note(comparison: Comparison) -> tuple[str, ...]:
    if not comparison.num_unpaired:
        return ()
    return (f"{comparison.num_unpaired} items are left out because one of the two models gave no answer to score.",)


def _line(cells: Sequence[str], widths: Sequence[int]) -> str:
    first, *rest = (
        cell.ljust(width) if index == 0 else cell.rjust(width)
        for index, (cell, width) in enumerate(zip(cells, widths, strict=True))
    )
    return "  ".join((first, *rest)).rstrip()
