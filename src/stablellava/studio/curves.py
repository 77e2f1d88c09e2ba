"""Curves over training steps and rounds."""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise

from markupsafe import Markup

from stablellava.studio.svg import element, figure, points

Point = tuple[float, float]
_WIDTH, _HEIGHT = 520.0, 240.0
_LEFT, _RIGHT, _TOP, _BOTTOM = 52.0, 14.0, 30.0, 36.0
_MAX_POINTS = 400
_SMOOTHING = 0.9


def curve_chart(values: Sequence[Point], *, x_label: str, y_label: str, smooth: bool = False) -> Markup | None:
    """Return a line through (x, y) points with axes, or None without two finite points.

    With ``smooth`` the points stay visible in the background of their running mean.
    """
    known = [(x, y) for x, y in values if math.isfinite(x) and math.isfinite(y)]
    if len(known) < 2:
        return None
    scale = _Scale(known)
    parts = scale.axes(x_label, y_label)
    raw = points(scale.place(point) for point in _thin(known))
    if smooth:
        parts.append(element("polyline", points=raw, class_="raw"))
        raw = points(scale.place(point) for point in _thin(_running_mean(known)))
    parts.append(element("polyline", points=raw, class_="curve"))
    label = f"{y_label} over {x_label}: {known[0][1]:.4g} at the start, {known[-1][1]:.4g} at the end"
    return figure(_WIDTH, _HEIGHT, label, parts, "curves")


@dataclass(frozen=True)
class Line:
    """One line of a chart; ``css_class`` is "before" (dashed) or "after"."""

    name: str
    values: Sequence[Point]
    css_class: str


def rounds_chart(lines: Sequence[Line], *, y_label: str, marked: Sequence[float] = ()) -> Markup | None:
    """Return lines over whole rounds with a dot per round, or None without two rounds.

    Rounds in ``marked`` get an upright rule.
    """
    known = [point for line in lines for point in line.values]
    if len({x for x, _ in known}) < 2:
        return None
    scale = _Scale(known, whole_x=True)
    parts = scale.axes("round", y_label)
    for x in marked:
        place, _ = scale.place((x, 0.0))
        parts.append(element("line", x1=place, x2=place, y1=_TOP, y2=_HEIGHT - _BOTTOM, class_="mark"))
    for line in lines:
        placed = [scale.place(point) for point in line.values]
        parts.append(element("polyline", points=points(placed), class_=f"curve {line.css_class}"))
        parts += [element("circle", cx=x, cy=y, r=3, class_=f"dot {line.css_class}") for x, y in placed]
    told = "; ".join(f"{line.name}: " + ", ".join(f"{y:.3g}" for _, y in line.values) for line in lines)
    return figure(_WIDTH, _HEIGHT, f"{y_label} by round. {told}", parts, "curves")


class _Scale:
    """Maps data to the drawing, with round ticks."""

    def __init__(self, values: Sequence[Point], whole_x: bool = False) -> None:
        self._x_low, self._x_high = min(x for x, _ in values), max(x for x, _ in values)
        if self._x_low == self._x_high:
            self._x_high += 1
        ticks = _round_ticks(self._x_low, self._x_high)
        self._x_ticks = [
            tick for tick in ticks if self._x_low <= tick <= self._x_high and (not whole_x or tick == round(tick))
        ]
        self._y_ticks = _round_ticks(min(0.0, *(y for _, y in values)), max(y for _, y in values))

    def place(self, point: Point) -> Point:
        x_share = (point[0] - self._x_low) / (self._x_high - self._x_low)
        y_low, y_high = self._y_ticks[0], self._y_ticks[-1]
        return (
            _LEFT + x_share * (_WIDTH - _LEFT - _RIGHT),
            _HEIGHT - _BOTTOM - (point[1] - y_low) / (y_high - y_low) * (_HEIGHT - _TOP - _BOTTOM),
        )

    def axes(self, x_label: str, y_label: str) -> list[Markup]:
        parts = []
        for tick in self._y_ticks:
            _, y = self.place((self._x_low, tick))
            parts.append(element("line", x1=_LEFT, x2=_WIDTH - _RIGHT, y1=y, y2=y, class_="rule"))
            parts.append(element("text", f"{tick:g}", x=_LEFT - 7, y=y + 4, text_anchor="end", class_="tick"))
        for tick in self._x_ticks:
            x, _ = self.place((tick, self._y_ticks[0]))
            parts.append(element("text", f"{tick:g}", x=x, y=_HEIGHT - 17, text_anchor="middle", class_="tick"))
        parts.append(element("text", x_label, x=_WIDTH - _RIGHT, y=_HEIGHT - 3, text_anchor="end", class_="axis"))
        parts.append(element("text", y_label, x=4, y=12, class_="axis"))
        return parts


def _round_ticks(low: float, high: float) -> list[float]:
    """Return four to seven round numbers that enclose the range."""
    span = (high - low) or abs(high) or 1.0
    magnitude = 10 ** math.floor(math.log10(span / 4))
    step = next(magnitude * factor for factor in (1, 2, 5, 10) if magnitude * factor >= span / 5)
    first, last = math.floor(low / step), math.ceil(high / step)
    if first == last:
        last += 1
    return [round(index * step, 12) for index in range(first, last + 1)]


def _running_mean(values: Sequence[Point]) -> list[Point]:
    """Return the exponential mean, corrected for its start."""
    mean, weight = 0.0, 0.0
    smoothed = []
    for x, y in values:
        mean = _SMOOTHING * mean + (1 - _SMOOTHING) * y
        weight = _SMOOTHING * weight + (1 - _SMOOTHING)
        smoothed.append((x, mean / weight))
    return smoothed


def _thin(values: Sequence[Point]) -> list[Point]:
    """Return at most about ``_MAX_POINTS`` of the points, each the mean of its neighbourhood."""
    if len(values) <= _MAX_POINTS:
        return list(values)
    edges = [round(index * len(values) / _MAX_POINTS) for index in range(_MAX_POINTS + 1)]
    groups = [values[start:end] for start, end in pairwise(edges)]
    return [(sum(x for x, _ in group) / len(group), sum(y for _, y in group) / len(group)) for group in groups]
