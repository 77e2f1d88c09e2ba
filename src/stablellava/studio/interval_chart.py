"""Figures of several models as dots on their intervals, a row each."""

from collections.abc import Sequence
from dataclasses import dataclass

from markupsafe import Markup

from stablellava.studio.svg import element, figure

_LEFT, _SCALE, _RIGHT = 210.0, 360.0, 90.0
_ROW, _GAP, _TOP = 20.0, 14.0, 80.0
_NUM_TICKS = 5


@dataclass(frozen=True)
class ChartValue:
    """One model's figure; value and interval as shares of the row's scale."""

    series: int
    value: float
    low: float
    high: float
    label: str
    """The figure as it is read, in the row's unit."""


@dataclass(frozen=True)
class ChartRow:
    """One measure."""

    name: str
    values: tuple[ChartValue, ...]


def interval_chart(rows: Sequence[ChartRow]) -> Markup:
    """Return the chart; colors come from the classes ``series-0``, ``series-1``, ..."""
    parts: list[Markup] = []
    y = _TOP
    for row in rows:
        middle = y + _ROW * len(row.values) / 2
        parts.append(element("text", row.name, x=_LEFT - 12, y=middle + 4, text_anchor="end", class_="axis"))
        for value in row.values:
            parts += _draw_value(value, y + _ROW / 2)
            y += _ROW
        y += _GAP
    ticks = [index / (_NUM_TICKS - 1) for index in range(_NUM_TICKS)]
    rules = [_draw_tick(tick, y) for tick in ticks]
    label = "; ".join(f"{row.name}: {', '.join(value.label for value in row.values)}" for row in rows)
    return figure(_LEFT + _SCALE + _RIGHT, y + 24, f"Interval chart. {label}", [*rules, *parts], "intervals")


def _draw_value(value: ChartValue, y: float) -> list[Markup]:
    css = f"series-{value.series}"
    return [
        element("line", x1=_place(value.low), x2=_place(value.high), y1=y, y2=y, class_=f"whisker {css}"),
        element("circle", cx=_place(value.value), cy=y, r=4.5, class_=f"dot {css}"),
        element("text", value.label, x=_LEFT + _SCALE + 12, y=y + 4, class_="tick"),
    ]


def _draw_tick(share: float, bottom: float) -> Markup:
    x = _place(share)
    line = element("line", x1=x, x2=x, y1=_TOP - 8, y2=bottom, class_="rule")
    return line + element("text", f"{100 * share:.0f} %", x=x, y=bottom + 16, text_anchor="middle", class_="tick")


def _place(share: float) -> float:
    return _LEFT + min(max(share, 0.0), 1.0) * _SCALE
