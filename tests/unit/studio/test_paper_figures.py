import re
import xml.etree.ElementTree as ElementTree
from collections.abc import Sequence
from pathlib import Path

import pytest
from typer.testing import CliRunner

import benchmark_files as files
from stablellava.cli.app import build_app
from stablellava.core.errors import RecordError
from stablellava.evaluation.benchmarks.loading import load_task
from stablellava.evaluation.benchmarks.registry import find_task
from stablellava.evaluation.benchmarks.running import score_recorded
from stablellava.studio.paper_figures import draw_paper_figures, write_paper_figures

_ABILITIES = {
    "logic_reasoning": "future_prediction",
    "attribute_reasoning": "identity_reasoning",
    "relation_reasoning": "social_relation",
    "coarse_perception": "image_scene",
}


def spread_abilities(rows: files.Rows) -> None:
    """Ask the same question once per ability, and let the ability follow from the finer one half of the time."""
    first, *_ = rows
    rows[:] = [
        {**first, "index": index, "category": category, "l2-category": level if index % 2 else "nan"}
        for index, (level, category) in enumerate(_ABILITIES.items(), start=1)
    ]


def evaluate(name: str, model: str, folder: Path, right: int, change: files.Change | None = None) -> Path:
    """Log a model that answers the first ``right`` items rightly."""
    data = files.WRITERS[name](folder, change) if change else files.WRITERS[name](folder)
    loaded = load_task(find_task(name), data, folder / "out")
    texts = {item.item_id: item.reference[0] if n < right else "?" for n, item in enumerate(loaded.items)}
    path = folder / "out" / f"{name}.{model}.jsonl"
    score_recorded(loaded, texts, path, model=model, answers_from="llava")
    return path


def label_of(svg: str) -> str:
    return re.findall(r'aria-label="([^"]*)"', svg)[0]


@pytest.fixture
def logs(tmp_path: Path) -> Sequence[Path]:
    def three_kinds(rows: files.Rows) -> None:
        for row, capability in zip(rows, ("animal", "food", "scene"), strict=True):
            row["capability"] = capability

    return [
        evaluate("mmbench", "before", tmp_path, 4, spread_abilities),
        evaluate("mmbench", "after", tmp_path, 12, spread_abilities),
        evaluate("vizwiz", "after", tmp_path, 1),
        evaluate("photos", "before", tmp_path, 1, three_kinds),
        evaluate("photos", "after", tmp_path, 3, three_kinds),
    ]


def test_figures_say_what_the_logs_say(logs: Sequence[Path], tmp_path: Path) -> None:
    drawn = draw_paper_figures(logs)
    assert set(drawn.drawings) == {"mmbench_abilities", "capabilities_photos", "benchmarks"}
    assert drawn.missing == ("capabilities_generated: no log of it",)
    assert "before: LR 100 %, AR 0 %, RR 0 %, CP 0 %" in label_of(drawn.drawings["mmbench_abilities"])
    assert "after: LR 100 %, AR 100 %, RR 100 %, CP 0 %" in label_of(drawn.drawings["mmbench_abilities"])
    assert "after: animal 100 %, food 100 %, scene 100 %" in label_of(drawn.drawings["capabilities_photos"])
    assert "mmbench:llava: 25.0, 75.0; vizwiz:llava: 45.0" in label_of(drawn.drawings["benchmarks"])
    abilities = next(table for table in drawn.tables if table.title.startswith("MMBench by ability"))
    assert abilities.headers == ("model", "LR", "AR", "RR", "CP")
    assert abilities.rows[0][:3] == ("before", "100.0 (20.7 to 100.0)", "0.0 (0.0 to 79.3)")


def test_drawings_stand_alone_and_escape_names(tmp_path: Path) -> None:
    path = evaluate("vizwiz", "<b>&", tmp_path / "x", 1)
    written = write_paper_figures(draw_paper_figures([path]), tmp_path / "figures")
    assert {file.name for file in written} == {"benchmarks.svg", "tables.txt", "index.html"}
    root = ElementTree.parse(tmp_path / "figures" / "benchmarks.svg").getroot()
    assert root.tag == "{http://www.w3.org/2000/svg}svg"
    assert root.find("{http://www.w3.org/2000/svg}style") is not None
    assert "<b>" not in (tmp_path / "figures" / "index.html").read_text()


def test_the_command_draws_all_at_once_and_the_same_each_time(logs: Sequence[Path], tmp_path: Path) -> None:
    texts = []
    for folder in ("one", "two"):
        arguments = ["figures", *map(str, logs), "--out", str(tmp_path / folder)]
        result = CliRunner().invoke(build_app(), arguments)
        assert result.exit_code == 0, result.stderr
        texts.append({file.name: file.read_bytes() for file in (tmp_path / folder).iterdir()})
    assert texts[0] == texts[1]
    assert set(texts[0]) == {
        "mmbench_abilities.svg", "capabilities_photos.svg", "benchmarks.svg", "tables.txt", "index.html",
    }  # fmt: skip


def test_logs_that_do_not_compare_are_refused(logs: Sequence[Path], tmp_path: Path) -> None:
    with pytest.raises(RecordError, match="an earlier log is of 'mmbench' and model 'before' too"):
        draw_paper_figures([logs[0], logs[0]])
    other = evaluate("mmbench", "third", tmp_path / "other", 3)
    with pytest.raises(RecordError, match="are of other questions or another variant"):
        draw_paper_figures([logs[0], other])
