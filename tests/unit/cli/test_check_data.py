import json
from collections.abc import Callable
from pathlib import Path

import pytest
from typer.testing import Result

from broken_rows import BROKEN, say, write_pictures, write_rows

Invoke = Callable[..., Result]


@pytest.fixture
def rows(tmp_path: Path) -> tuple[Path, dict[int, str]]:
    write_pictures(tmp_path / "images")
    return tmp_path / "rows.json", write_rows(tmp_path / "rows.json", per_kind=1)


def test_counts_are_shown_and_every_bad_row_is_written(
    invoke: Invoke, rows: tuple[Path, dict[int, str]], tmp_path: Path
) -> None:
    path, expected = rows
    result = invoke("data", "check", str(path), "--images", str(tmp_path / "images"), "--report", "bad.json", "-n", "2")
    assert result.exit_code == 0, result.stderr
    assert f"{path}, row 2: image_missing: no such file in" in result.stdout
    assert f"... and {len(BROKEN) - 2} more" in result.stdout
    report = json.loads(Path("bad.json").read_text())["sources"][0]
    assert {row["row"]: row["reason"] for row in report["bad"]} == expected
    assert report["num_good"] + len(expected) == report["num_rows"]


def test_strict_exits_with_2_if_any_row_is_bad(
    invoke: Invoke, rows: tuple[Path, dict[int, str]], tmp_path: Path
) -> None:
    images = str(tmp_path / "images")
    result = invoke("data", "check", str(rows[0]), "--images", images, "--strict", "--json", "--workers", "2")
    assert result.exit_code == 2
    assert len(json.loads(result.stdout)["sources"][0]["bad"]) == len(BROKEN)
    (tmp_path / "fine.json").write_text(json.dumps([{"conversations": say("Q", "A")}]))
    assert invoke("data", "check", str(tmp_path / "fine.json"), "--strict").exit_code == 0


def test_a_source_of_which_nothing_remains_exits_with_2(invoke: Invoke, tmp_path: Path) -> None:
    (tmp_path / "rows.json").write_text("[1, 2]")
    result = invoke("data", "check", str(tmp_path / "rows.json"))
    assert result.exit_code == 2
    assert "2 rows cannot be used" in result.stderr


def test_a_source_that_is_not_there_is_named(invoke: Invoke) -> None:
    result = invoke("data", "check", "gone.json")
    assert result.exit_code == 2
    assert "'gone.json' is not there" in result.stderr
