"""The forest plot: differences with their intervals on one axis, a rule at zero."""

import math
from collections.abc import Sequence
from dataclasses import dataclass

from markupsafe import Markup

from stablellava.studio.svg import element, figure

_WIDTH, _ROW_HEIGHT, _TOP, _BOTTOM = 680.0, 26.0, 8.0, 40.0
_LEFT, _RIGHT = 180.0, 130.0
_STEPS = (0.01, 0.02, 0.05, 0.1, 0.2, 0.25, 0.5)
_MAX_TICKS = 8
_STATE = {"gain": "up", "loss": "down", "undecided": "flat"}


@dataclass(frozen=True)
class ForestRow:
    """One difference, in shares (0.05: five points)."""

    name: str
    value: float
    low: float
    high: float
    verdict: str
    """ "gain", "loss" or "undecided"; colors follow it, not the interval alone."""
    is_total: bool = False


def forest_plot(rows: Sequence[ForestRow], label: str) -> Markup:
    """Return the plot; the axis covers every interval and zero.

    Raises: ValueError without rows.
    """
    if not rows:
        raise ValueError("a forest plot needs at least one row")
    ticks = _ticks(min(0.0, *(row.low for row in rows)), max(0.0, *(row.high for row in rows)))
    bottom = _TOP + _ROW_HEIGHT * len(rows)
    drawn: list[Markup] = []
    for tick in ticks:
        x = _place(tick, ticks)
        drawn.append(element("line", x1=x, x2=x, y1=_TOP, y2=bottom, class_="zero" if tick == 0 else "ring"))
        drawn.append(element("text", f"{100 * tick:+g}", x=x, y=bottom + 16, text_anchor="middle", class_="tick"))
    middle = _place((ticks[0] + ticks[-1]) / 2, ticks)
    drawn.append(element("text", "points", x=middle, y=bottom + 32, text_anchor="middle", class_="tick"))
    for index, row in enumerate(rows):
        drawn += _row(row, _TOP + _ROW_HEIGHT * (index + 0.5), ticks)
    told = "; ".join(f"{row.name} {_words(row)}" for row in rows)
    return figure(_WIDTH, bottom + _BOTTOM, f"{label}. {told}", drawn, "forest")


def _row(row: ForestRow, y: float, ticks: Sequence[float]) -> list[Markup]:
    state = _STATE[row.verdict]
    low, high = _place(row.low, ticks), _place(row.high, ticks)
    return [
        element("text", row.name, x=_LEFT - 12, y=y + 4, text_anchor="end", class_="axis"),
        element("line", x1=low, x2=high, y1=y, y2=y, class_=f"whisker {state}"),
        element("circle", cx=_place(row.value, ticks), cy=y, r=6 if row.is_total else 4, class_=f"dot {state}"),
        element("text", _words(row), x=_WIDTH - _RIGHT + 10, y=y + 4, class_="tick"),
    ]


def _words(row: ForestRow) -> str:
    return f"{100 * row.value:+.1f} ({100 * row.low:+.1f} to {100 * row.high:+.1f})"


def _ticks(low: float, high: float) -> list[float]:
    """Return round places from the one below ``low`` to the one above ``high``."""
    step = next((step for step in _STEPS if (high - low) / step <= _MAX_TICKS - 2), 1.0)
    first, last = math.floor(low / step), math.ceil(high / step)
    return [place * step for place in range(first, max(last, first + 1) + 1)]


def _place(value: float, ticks: Sequence[float]) -> float:
    share = (value - ticks[0]) / (ticks[-1] - ticks[0])
    return _LEFT + share * (_WIDTH - _LEFT - _RIGHT)
