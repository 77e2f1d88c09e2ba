import re
import xml.etree.ElementTree as ET

import pytest

from stablellava.studio.charts import RadarSeries, heat_strip, interval_glyph, radar_chart, share_bar
from stablellava.studio.curves import curve_chart

_SVG = "{http://www.w3.org/2000/svg}"


def _points(shape: ET.Element) -> list[tuple[float, float]]:
    return [(float(x), float(y)) for x, y in re.findall(r"(-?[\d.]+),(-?[\d.]+)", shape.attrib["points"])]


def test_a_radar_draws_one_polygon_per_series_from_the_middle_to_the_rim() -> None:
    chart = radar_chart(["a", "b", "c", "d"], [RadarSeries("x", (0.0, 1.0, 0.5, 1.0), "after")])
    root = ET.fromstring(str(chart))
    (area,) = [shape for shape in root.iter(f"{_SVG}polygon") if "area" in shape.attrib["class"]]
    top, right, bottom, left = _points(area)
    assert top == (280.0, 220.0)
    assert right == (438.0, 220.0)
    assert bottom == (280.0, 299.0)
    assert left == (122.0, 220.0)
    assert root.attrib["aria-label"] == "Radar chart. x: a 0 %, b 100 %, c 50 %, d 100 %"


def test_two_axes_make_no_radar() -> None:
    assert radar_chart(["a", "b"], []) is None


def test_names_are_escaped_in_charts() -> None:
    hostile = "<script>\"'&"
    chart = radar_chart([hostile, "b", "c"], [RadarSeries(hostile, (1.0, 1.0, 1.0), "after")])
    assert "<script>" not in str(chart)
    root = ET.fromstring(str(chart))
    assert hostile in [text.text for text in root.iter(f"{_SVG}text")]
    assert "<script>" not in str(heat_strip([(hostile, 1)], hostile))


@pytest.mark.parametrize(
    ("low", "high", "state"), [(0.1, 0.3, "up"), (-0.3, -0.1, "down"), (-0.1, 0.3, "flat"), (0.0, 0.3, "flat")]
)
def test_an_interval_is_colored_by_whether_it_excludes_zero(low: float, high: float, state: str) -> None:
    glyph = str(interval_glyph((low + high) / 2, low, high, (-0.5, 0.5)))
    assert f"whisker {state}" in glyph


def test_heat_grows_with_the_count_and_none_is_a_class_of_its_own() -> None:
    root = ET.fromstring(str(heat_strip([("many", 50), ("some", 20), ("one", 1), ("none", 0)], "label")))
    steps = [int(cell.attrib["class"].removeprefix("heat-")) for cell in root.iter(f"{_SVG}rect")]
    assert steps == sorted(steps, reverse=True)
    assert (steps[0], steps[-2], steps[-1]) == (5, 1, 0)
    assert [title.text for title in root.iter(f"{_SVG}title")] == ["many: 50", "some: 20", "one: 1", "none: 0"]


def test_bars_stay_inside_their_track() -> None:
    fills = [ET.fromstring(str(share_bar(share, "x")))[1].attrib["width"] for share in (0.0, 0.5, 1.0, 7.0)]
    assert fills == ["0", "100", "200", "200"]


def test_a_curve_falls_when_its_values_fall() -> None:
    root = ET.fromstring(str(curve_chart([(1, 4.0), (2, 2.0), (3, 1.0)], x_label="step", y_label="loss")))
    (line,) = [shape for shape in root.iter(f"{_SVG}polyline") if shape.attrib["class"] == "curve"]
    heights = [y for _, y in _points(line)]
    assert heights == sorted(heights)
    assert root.attrib["aria-label"] == "loss over step: 4 at the start, 1 at the end"


@pytest.mark.parametrize("values", [[], [(1.0, 2.0)], [(1.0, float("nan")), (2.0, float("inf")), (3.0, 1.0)]])
def test_without_two_finite_points_there_is_no_curve(values: list[tuple[float, float]]) -> None:
    assert curve_chart(values, x_label="step", y_label="loss") is None


def test_flat_and_long_curves_are_drawn_within_the_frame() -> None:
    for values in ([(float(x), 0.0) for x in range(5)], [(float(x), 1e-9 * x) for x in range(5000)]):
        root = ET.fromstring(str(curve_chart(values, x_label="step", y_label="loss", smooth=True)))
        for line in root.iter(f"{_SVG}polyline"):
            drawn = _points(line)
            assert 2 <= len(drawn) <= 400
            assert all(0 <= x <= 520 and 0 <= y <= 240 for x, y in drawn)
