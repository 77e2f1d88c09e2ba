"""Small charts as inline SVG: colors come from the page's style sheet, so they follow light and dark."""

import math
from collections.abc import Sequence
from dataclasses import dataclass

from markupsafe import Markup

from stablellava.studio.svg import element, figure, points

_RADAR_WIDTH, _RADAR_HEIGHT, _RADAR_RADIUS = 560.0, 440.0, 158.0
_RINGS = (0.25, 0.5, 0.75, 1.0)
_GLYPH_WIDTH, _GLYPH_HEIGHT = 150.0, 18.0
_CELL, _CELL_GAP, _CELLS_PER_ROW = 15, 2, 60
_NUM_HEAT_STEPS = 5


@dataclass(frozen=True)
class RadarSeries:
    """One polygon; values from 0 to 1, one per axis."""

    name: str
    values: tuple[float, ...]
    css_class: str


def radar_chart(axes: Sequence[str], series: Sequence[RadarSeries]) -> Markup | None:
    """Return a radar chart, or None for fewer than three axes, which enclose nothing."""
    if len(axes) < 3:
        return None
    label = "; ".join(
        f"{one.name}: " + ", ".join(f"{axis} {100 * value:.0f} %" for axis, value in zip(axes, one.values, strict=True))
        for one in series
    )
    drawn = [_ring(len(axes), share) for share in _RINGS]
    drawn += [_spoke(index, axis, len(axes)) for index, axis in enumerate(axes)]
    drawn += [_ring_label(share) for share in _RINGS]
    for one in series:
        corners = [_at(index, len(axes), value) for index, value in enumerate(one.values)]
        drawn.append(element("polygon", points=points(corners), class_=f"area {one.css_class}"))
        drawn += [element("circle", cx=x, cy=y, r=3.2, class_=f"dot {one.css_class}") for x, y in corners]
    return figure(_RADAR_WIDTH, _RADAR_HEIGHT, f"Radar chart. {label}", drawn, "radar")


def interval_glyph(value: float, low: float, high: float, domain: tuple[float, float]) -> Markup:
    """Return a dot on its interval, on a scale shared by a column, with a rule at zero."""
    span = (domain[1] - domain[0]) or 1.0

    def place(number: float) -> float:
        share = (min(max(number, domain[0]), domain[1]) - domain[0]) / span
        return 4 + share * (_GLYPH_WIDTH - 8)

    middle = _GLYPH_HEIGHT / 2
    state = "up" if low > 0 else "down" if high < 0 else "flat"
    parts = [
        element("line", x1=place(0), x2=place(0), y1=1, y2=_GLYPH_HEIGHT - 1, class_="zero"),
        element("line", x1=place(low), x2=place(high), y1=middle, y2=middle, class_=f"whisker {state}"),
        element("circle", cx=place(value), cy=middle, r=4, class_=f"dot {state}"),
    ]
    label = f"{100 * value:+.1f} points, 95 % interval {100 * low:+.1f} to {100 * high:+.1f}"
    return figure(_GLYPH_WIDTH, _GLYPH_HEIGHT, label, parts, "glyph")


def heat_strip(counts: Sequence[tuple[str, int]], label: str) -> Markup:
    """Return one cell per name, darker for more; the name and count show on hover."""
    most = max((count for _, count in counts), default=0)
    cells = []
    for index, (name, count) in enumerate(counts):
        row, column = divmod(index, _CELLS_PER_ROW)
        step = 0 if count == 0 else 1 + min(_NUM_HEAT_STEPS - 1, int(_NUM_HEAT_STEPS * (count - 1) / max(most, 1)))
        cells.append(
            element(
                "rect",
                element("title", f"{name}: {count}"),
                x=column * (_CELL + _CELL_GAP),
                y=row * (_CELL + _CELL_GAP),
                width=_CELL,
                height=_CELL,
                rx=2,
                class_=f"heat-{step}",
            )
        )
    num_rows = max(1, math.ceil(len(counts) / _CELLS_PER_ROW))
    size = _CELL + _CELL_GAP
    return figure(_CELLS_PER_ROW * size - _CELL_GAP, num_rows * size - _CELL_GAP, label, cells, "heat")


def share_bar(share: float, label: str) -> Markup:
    """Return a horizontal bar that fills the given share of its width."""
    parts = [
        element("rect", x=0, y=0, width=200, height=8, rx=4, class_="track"),
        element("rect", x=0, y=0, width=round(200 * min(max(share, 0.0), 1.0), 1), height=8, rx=4, class_="fill"),
    ]
    return figure(200, 8, label, parts, "bar")


def _angle(index: int, num_axes: int) -> float:
    return 2 * math.pi * index / num_axes - math.pi / 2


def _at(index: int, num_axes: int, share: float) -> tuple[float, float]:
    angle = _angle(index, num_axes)
    return (
        _RADAR_WIDTH / 2 + _RADAR_RADIUS * share * math.cos(angle),
        _RADAR_HEIGHT / 2 + _RADAR_RADIUS * share * math.sin(angle),
    )


def _ring(num_axes: int, share: float) -> Markup:
    corners = [_at(index, num_axes, share) for index in range(num_axes)]
    return element("polygon", points=points(corners), class_="ring")


def _ring_label(share: float) -> Markup:
    x, y = _RADAR_WIDTH / 2, _RADAR_HEIGHT / 2 - _RADAR_RADIUS * share
    return element("text", f"{100 * share:.0f}", x=x + 4, y=y - 3, class_="tick")


def _spoke(index: int, name: str, num_axes: int) -> Markup:
    x, y = _at(index, num_axes, 1.0)
    label_x, label_y = _at(index, num_axes, 1.1)
    if index == 0:
        label_y -= 9  # clear of the outermost ring's figure
    cosine = math.cos(_angle(index, num_axes))
    anchor = "middle" if abs(cosine) < 0.2 else "start" if cosine > 0 else "end"
    line = element("line", x1=_RADAR_WIDTH / 2, y1=_RADAR_HEIGHT / 2, x2=x, y2=y, class_="spoke")
    text = element("text", name, x=label_x, y=label_y + 4, text_anchor=anchor, class_="axis")
    return line + text
