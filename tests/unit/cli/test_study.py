import json
from collections.abc import Callable
from pathlib import Path

import pytest
from typer.testing import Result

Invoke = Callable[..., Result]


def test_two_painters_are_compared_on_a_page(invoke: Invoke, tmp_path: Path) -> None:
    arguments = ("openmoji", "fake-painter:{fail_share: 1.0}", "-k", "animal", "-n", "2", "synthesis.size_px=64")
    result = invoke("study", "painters", *arguments, "--json")
    assert result.exit_code == 0, result.stderr
    report = json.loads(result.stdout)
    assert (report["painters"], report["num_drafts"]) == (["openmoji", "fake-painter"], 2)
    assert (tmp_path / report["page"]).read_text(encoding="utf-8").count("data:image/webp") == 2


@pytest.mark.parametrize(
    ("painter", "message"),
    [
        ("openmojo", "Did you mean 'openmoji'"),
        ("fake-painter:{fail_share", "cannot be read"),
        ("fake-painter:0.5", "no mapping"),
        ("fake-painter:{stepz: 3}", "does not take these options"),
    ],
)
def test_painters_that_cannot_be_are_refused(painter: str, message: str, invoke: Invoke) -> None:
    result = invoke("study", "painters", "openmoji", painter, "-k", "animal")
    assert result.exit_code == 2
    assert message in result.stderr


def test_planted_mismatches_end_in_figures_and_a_page_of_pictures(invoke: Invoke, tmp_path: Path) -> None:
    small = ("synthesis.capabilities=animal,food", "synthesis.size_px=64", "synthesis.num_workers=1")
    result = invoke("study", "mismatch", "-n", "100", "--share", "0.2", "--json", *small)
    assert result.exit_code == 0, result.stderr
    report = json.loads(result.stdout)
    assert (report["num_samples"], report["num_swapped"]) == (100, 20)
    assert (report["by_report"]["recall"], report["by_report"]["false_drops"]) == (1.0, 0.0)
    page = (tmp_path / report["page"]).read_text(encoding="utf-8")
    assert page.count("data:image/webp") >= 6
    assert "20 of 100 samples had a foreign picture" in page
    assert "painter report, mismatch" in page
    assert "pictures for measuring: 100/100" in result.stderr
