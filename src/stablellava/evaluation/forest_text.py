"""The forest plot of a comparison for a terminal, in ASCII."""

from stablellava.evaluation.comparing import Comparison, ComparisonRow
from stablellava.evaluation.tables import Table, format_gain

_WIDTH = 41
_MARKS = {"gain": "+", "loss": "-", "undecided": "o"}


def forest_table(comparison: Comparison) -> Table:
    """Return every gain drawn on its interval; "|" is zero, "+" and "-" stand, "o" may be chance."""
    rows = (*comparison.rows, comparison.mean)
    low = min(0.0, *(row.gain.low for row in rows))
    high = max(0.0, *(row.gain.high for row in rows))
    ends = f"from {100 * low:+.0f} to {100 * high:+.0f} points"
    return Table(
        title=f"Gains {ends}",
        headers=("capability", "gain", "95 % interval, drawn"),
        rows=tuple((row.name, format_gain(row.gain), _draw(row, low, high)) for row in rows),
    )


def _draw(row: ComparisonRow, low: float, high: float) -> str:
    span = (high - low) or 1.0

    def place(value: float) -> int:
        return round((value - low) / span * (_WIDTH - 1))

    cells = [" "] * _WIDTH
    for column in range(place(row.gain.low), place(row.gain.high) + 1):
        cells[column] = "."
    cells[place(0.0)] = "|"
    cells[place(row.gain.value)] = _MARKS[row.verdict]
    return "".join(cells)
