import re
import types
from pathlib import Path

import pytest

import benchmark_files as files
from stablellava.evaluation.benchmarks.base import Answered
from stablellava.evaluation.benchmarks.loading import load_task
from stablellava.evaluation.benchmarks.registry import list_tasks
from stablellava.evaluation.benchmarks.scoring import score_task

DOCS = Path(__file__).resolve().parents[4] / "docs" / "benchmarks.md"


def test_the_documented_task_reads_and_scores(tmp_path: Path) -> None:
    code = re.findall(r"```python\n(.*?)```", DOCS.read_text(encoding="utf-8"), re.DOTALL)[0]
    module = types.ModuleType("my_task")
    exec(code, module.__dict__)
    files.put_image(tmp_path / "a.png")
    said = ["red", "red", "red", "blue"]
    rows = [{"id": 1, "image": "a.png", "question": "What color?", "answers": said}]
    loaded = load_task(module.TASK, files.write_json_lines(tmp_path / "rows.jsonl", rows), tmp_path / "out")
    scored = score_task(loaded.task, loaded.variant, [Answered(loaded.items[0], "Red")])
    assert scored.scores[0].value == pytest.approx(0.75)
    assert scored.reports[0].name == "mytask:short"


@pytest.mark.parametrize("name", list_tasks())
def test_every_task_stands_in_the_table(name: str) -> None:
    assert f"`{name}`" in DOCS.read_text(encoding="utf-8")
