"""Results of the rooms below as tables for a terminal."""

import re
from collections.abc import Sequence
from typing import TYPE_CHECKING

from rich.console import Group, RenderableType
from rich.table import Table

if TYPE_CHECKING:  # pydantic records of rooms that cost time to import
    from stablellava.evaluation.tables import Table as Rows
    from stablellava.synthesis.reporting import SynthesisReport

_MAX_REASONS = 3
_MAX_REASONS_OF_ALL = 10
_FIGURE = re.compile(r"[-+<]?[\d,.]*( to [-+]?[\d.]+)?$")


def text_table(headers: Sequence[str], rows: Sequence[Sequence[str]], title: str = "") -> Table:
    """Return a table with columns of figures aligned to the right."""
    table = Table(title=title or None, title_justify="left")
    for index, header in enumerate(headers):
        is_figures = all(_FIGURE.match(row[index]) for row in rows)
        table.add_column(header, justify="right" if is_figures else "left")
    for row in rows:
        table.add_row(*row)
    return table


def result_table(rows: "Rows") -> RenderableType:
    """Return an evaluation's table with its notes below."""
    return Group(text_table(rows.headers, rows.rows, rows.title), *rows.notes, "")


def synthesis_table(report: "SynthesisReport") -> RenderableType:
    """Return what was kept and dropped per capability, and how fast."""
    rows = []
    for name, counts in report.counts.items():
        reasons = sorted(counts.rejected.items(), key=lambda entry: -entry[1])[:_MAX_REASONS]
        named = ", ".join(f"{reason} {count}" for reason, count in reasons)
        rows.append((name, f"{counts.accepted:,}", f"{sum(counts.rejected.values()):,}", named))
    done = (
        f"{report.num_accepted:,} samples kept, {report.num_rejected:,} dropped, {report.num_painted:,} painted "
        f"in {report.seconds:.1f} s ({report.samples_per_second:,.1f} samples/s) -> {report.data_dir}"
    )
    num_drafts = report.num_accepted + report.num_rejected
    common = [f"{reason} {count:,}" for reason, count in report.rejected_by_reason.items()][:_MAX_REASONS_OF_ALL]
    accepted = (
        f"{report.num_accepted / num_drafts:.0%} of {num_drafts:,} drafts accepted" if num_drafts else "no drafts"
    )
    told = f"{accepted}; dropped for: {', '.join(common)}" if common else accepted
    return Group(text_table(("capability", "kept", "dropped", "most frequent reasons"), rows), told, done)


def spending_table(report: "SynthesisReport") -> RenderableType:
    """Return what the chat model that writes was asked and what it cost, per capability, over all starts of the run."""
    entries = [*report.spending_by_capability.items()]
    if report.total_spending is not None:
        entries.append(("all", report.total_spending))
    rows = []
    for name, spent in entries:
        per_sample = report.cost_per_sample(None if name == "all" else name)
        rows.append(
            (
                name,
                f"{spent.num_calls:,}",
                f"{spent.num_from_cache:,}",
                f"{spent.tokens_in:,}",
                f"{spent.tokens_out:,}",
                "unknown" if spent.cost is None else f"{spent.cost:.4g}",
                "unknown" if per_sample is None else f"{per_sample:.3g}",
            )
        )
    headers = ("capability", "calls", "from cache", "tokens in", "tokens out", "cost", "per sample")
    return text_table(headers, rows, "asked of the chat model that writes")
