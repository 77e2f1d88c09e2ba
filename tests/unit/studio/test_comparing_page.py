import re
import xml.etree.ElementTree as ET
from pathlib import Path

import pytest

from stablellava.evaluation.comparing import Comparison, compare_pairs
from stablellava.evaluation.pairing import PairedItem, Pairing
from stablellava.studio.comparing_page import write_comparison
from stablellava.studio.forest import ForestRow, forest_plot

HOSTILE = "<script>alert(1)</script>"


def compare_groups(gains: dict[str, tuple[int, int]], after: str = "new") -> Comparison:
    """Compare 60 items a group, of which some are gained and some lost."""
    items = [
        PairedItem(
            item_id=f"{name}{i}",
            group=name,
            cluster=f"{name}{i}",
            before=float(num_gained <= i < num_gained + num_lost),
            after=float(i < num_gained),
        )
        for name, (num_gained, num_lost) in gains.items()
        for i in range(60)
    ]
    return compare_pairs(Pairing(tuple(items), 0), "suite", "old", after)


def test_the_page_draws_radar_and_forest_and_says_what_stands(tmp_path: Path) -> None:
    comparison = compare_groups({"animal": (20, 0), "color": (0, 20), "food": (3, 2)})
    page = write_comparison(comparison, tmp_path / "page.html").read_text(encoding="utf-8")
    assert comparison.words in page.replace("&#39;", "'")
    drawn = {svg.get("class"): svg for svg in map(ET.fromstring, re.findall(r"<svg.*?</svg>", page, re.DOTALL))}
    assert set(drawn) == {"radar", "forest"}
    whiskers = [line.get("class") for line in drawn["forest"].iter() if "whisker" in str(line.get("class"))]
    assert whiskers == ["whisker up", "whisker down", "whisker flat", "whisker flat"]


def test_names_of_models_and_groups_are_text_on_the_page(tmp_path: Path) -> None:
    comparison = compare_groups({HOSTILE: (20, 0), "b": (1, 0), "c": (0, 0)}, after=HOSTILE)
    page = write_comparison(comparison, tmp_path / "page.html").read_text(encoding="utf-8")
    assert HOSTILE not in page
    assert "&lt;script&gt;" in page


def test_two_groups_have_no_radar(tmp_path: Path) -> None:
    page = write_comparison(compare_groups({"a": (1, 0), "b": (0, 1)}), tmp_path / "page.html").read_text("utf-8")
    assert 'class="forest"' in page
    assert 'class="radar"' not in page


@pytest.mark.parametrize(("low", "high"), [(-0.001, 0.001), (0.2, 0.9), (-1.0, -0.3), (0.0, 0.0)])
def test_the_axis_covers_zero_and_every_interval(low: float, high: float) -> None:
    plot = ET.fromstring(forest_plot([ForestRow("a", (low + high) / 2, low, high, "undecided")], "label"))
    width = float(plot.attrib["viewBox"].split()[2])
    lines = [line for line in plot.iter() if line.tag.endswith("line")]
    places = [float(line.attrib[end]) for line in lines for end in ("x1", "x2")]
    assert all(0 < place < width for place in places)
    (zero,) = (line for line in lines if line.attrib["class"] == "zero")
    whisker = lines[-1]
    if low <= 0 <= high:
        assert float(whisker.attrib["x1"]) <= float(zero.attrib["x1"]) <= float(whisker.attrib["x2"])
    assert len(lines) <= 12


def test_a_plot_of_nothing_is_refused() -> None:
    with pytest.raises(ValueError, match="at least one row"):
        forest_plot([], "label")
