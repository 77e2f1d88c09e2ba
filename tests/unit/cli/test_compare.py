import json
from pathlib import Path

import pytest
from typer.testing import CliRunner

from stablellava.cli.app import build_app
from stablellava.core.score import Answer, EvalItem, EvalLog, EvalLogEntry, ItemScore


def write_log(path: Path, model: str, values: str) -> Path:
    entries = []
    for i, mark in enumerate(values):
        item = EvalItem(item_id=str(i), capability="animal", images=("a.png",), question="?", accepted=("cat",))
        score = ItemScore(item_id=str(i), value=None if mark == "-" else float(mark))
        entries.append(EvalLogEntry(item=item, answer=Answer(item_id=str(i), prompt="", text="x"), score=score))
    log = EvalLog(
        suite="generated", model=model, model_fingerprint=model, data_fingerprint="d", created="2025-01-01",
        package_version="0", reports=(), entries=tuple(entries),
    )  # fmt: skip
    path.write_bytes(log.to_json())
    return path


@pytest.fixture
def logs(tmp_path: Path) -> tuple[str, str]:
    return str(write_log(tmp_path / "a.json", "old", "0" * 40)), str(
        write_log(tmp_path / "b.json", "new", "1" * 20 + "0" * 20)
    )


def test_it_prints_draws_and_says_what_stands(logs: tuple[str, str], tmp_path: Path) -> None:
    page = tmp_path / "page.html"
    result = CliRunner().invoke(build_app(), ["compare", *logs, "--page", str(page)])
    assert result.exit_code == 0
    assert "new stands above old by +50.0 points" in result.stdout.replace("\n", " ")
    assert "....+" in result.stdout
    assert "<svg" in page.read_text(encoding="utf-8")


def test_json_holds_the_rows_and_the_words(logs: tuple[str, str]) -> None:
    result = CliRunner().invoke(build_app(), ["compare", *logs, "--json", "--correction", "benjamini-hochberg"])
    found = json.loads(result.stdout)
    assert found["mean"]["gain"]["value"] == 0.5
    assert found["correction"] == "benjamini-hochberg"
    assert found["words"].startswith("new stands above old")


def test_logs_of_two_kinds_and_missing_ones_are_refused(logs: tuple[str, str], tmp_path: Path) -> None:
    task_log = tmp_path / "task.jsonl"
    task_log.write_text('{"format":"stablellava-evaluation"}\n', encoding="utf-8")
    for other in (str(task_log), str(tmp_path / "none.json")):
        assert CliRunner().invoke(build_app(), ["compare", logs[0], other]).exit_code == 2
