"""Two models side by side: what changed, in words, drawn, and as a table."""

from pathlib import Path

from stablellava import __version__
from stablellava.evaluation.comparing import Comparison, ComparisonRow
from stablellava.evaluation.tables import comparison_table
from stablellava.store.files import write_atomic
from stablellava.studio.charts import RadarSeries, radar_chart
from stablellava.studio.forest import ForestRow, forest_plot
from stablellava.studio.rendering import render_page


def write_comparison(comparison: Comparison, path: Path) -> Path:
    """Write a page with radar, forest plot and table; return its path.

    Raises: RecordError when the page cannot be written.
    """
    write_atomic(path, render_comparison(comparison).encode("utf-8"))
    return path


def render_comparison(comparison: Comparison) -> str:
    """Return the page. The radar needs three groups, and scores from 0 to 1."""
    rows = comparison.rows
    radar = radar_chart(
        [row.name for row in rows],
        [
            RadarSeries(comparison.before_model, tuple(row.before.value for row in rows), "before"),
            RadarSeries(comparison.after_model, tuple(row.after.value for row in rows), "after"),
        ],
    )
    forest = forest_plot(
        [*map(_forest_row, rows), _forest_row(comparison.mean, is_total=True)],
        f"{comparison.after_model} minus {comparison.before_model}, 95 % intervals",
    )
    return render_page(
        "comparison.html.j2",
        title=f"{comparison.before_model} and {comparison.after_model}",
        comparison=comparison,
        radar=radar,
        forest=forest,
        table=comparison_table(comparison),
        version=__version__,
    )


def _forest_row(row: ComparisonRow, *, is_total: bool = False) -> ForestRow:
    return ForestRow(row.name, row.gain.value, row.gain.low, row.gain.high, row.verdict, is_total)
