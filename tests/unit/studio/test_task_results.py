from dataclasses import replace
from pathlib import Path

import pytest

import benchmark_files as files
from stablellava.core.errors import RecordError
from stablellava.core.score import ContaminationNote, TaskLog
from stablellava.evaluation.benchmarks.loading import load_task
from stablellava.evaluation.benchmarks.registry import find_task
from stablellava.evaluation.benchmarks.running import score_recorded
from stablellava.evaluation.log import read_task_log, write_task_log
from stablellava.store.layout import RunLayout
from stablellava.studio.report import write_report
from stablellava.studio.task_results import view_tasks

SEEN = ContaminationNote(words="Contaminated: 1 of 12 items.", data_fingerprint="d", num_samples=9, item_ids=("1",))


def write_log(
    layout: RunLayout, task: str, model: str, text: str, contamination: ContaminationNote | None = None
) -> Path:
    """Have every question of a benchmark answered alike, but for the last one, which is not answered."""
    folder = layout.root.parent / "files" / task
    data = files.photos(folder) if task == "generated" else files.WRITERS[task](folder)
    loaded = replace(load_task(find_task(task), data, layout.root / "evaluation"), contamination=contamination)
    path = layout.root / "evaluation" / f"{task}.{loaded.variant}.{model}.jsonl"
    texts = {item.item_id: text for item in loaded.items[:-1]}
    score_recorded(loaded, texts, path, model=model, answers_from="llava")
    return path


def test_benchmarks_of_a_run_stand_in_its_report_generated_and_real_apart(full_run: RunLayout) -> None:
    for model, text in (("instruct", "No"), ("align", "perhaps")):
        write_log(full_run, "pope", model, text)
    write_log(full_run, "generated", "instruct", "a cat")
    write_log(full_run, "seedbench", "instruct", "A")
    write_log(full_run, "mmbench", "instruct", "I do not know", SEEN)
    page = write_report(full_run).read_text(encoding="utf-8")
    section = page[page.index('<section id="benchmarks">') : page.index('<section id="answers">')]
    generated, real = section.split("On real pictures")
    assert "generated:keywords" in generated and "pope:llava" not in generated
    assert "pope:llava" in real and "mmbench:llava" in real
    pope = real[real.index("<h4>pope:llava</h4>") :]
    assert pope.index(">align<") < pope.index(">instruct<")
    assert "unparsed" in pope and "unscored" in pope and "1 (8.3 %)" in pope
    assert "random/f1" in pope
    assert "L2/CP" in real
    assert "Published figures of seedbench:llava" in real
    assert "Published figures of pope:llava" not in real
    assert "No published figure of the same protocol" in generated
    assert f"instruct: {SEEN.words}" in real
    assert "on 11 paired items" in real


def test_the_report_of_a_run_without_benchmarks_says_how_to_ask_one(full_run: RunLayout) -> None:
    assert "stablellava evaluate --task NAME" in write_report(full_run).read_text(encoding="utf-8")


def test_logs_beside_a_model_and_those_that_are_named_are_shown_once(full_run: RunLayout, tmp_path: Path) -> None:
    moved = full_run.model_dir("instruct") / "pope.jsonl"
    moved.parent.mkdir(parents=True)
    write_log(full_run, "pope", "instruct", "No").rename(moved)
    (full_run.model_dir("instruct") / "notes.jsonl").write_text("{}\n")
    elsewhere = tmp_path / "vizwiz.jsonl"
    write_log(full_run, "vizwiz", "other", "red").rename(elsewhere)
    page = write_report(full_run, task_logs=(elsewhere, moved)).read_text(encoding="utf-8")
    assert page.count("<h4>pope:llava</h4>") == page.count("<h4>vizwiz:llava</h4>") == 1
    assert page.count('<th scope="row">instruct</th>') == 1


def test_a_damaged_log_is_named_and_a_wrong_name_stops(full_run: RunLayout, tmp_path: Path) -> None:
    path = write_log(full_run, "pope", "instruct", "No")
    path.write_bytes(b"\n".join(path.read_bytes().splitlines()[:-1]))
    assert "evaluation of pope.llava.instruct could not be read" in write_report(full_run).read_text(encoding="utf-8")
    with pytest.raises(RecordError, match="no evaluation log at"):
        write_report(full_run, task_logs=(tmp_path / "none.jsonl",))


def test_models_that_cannot_be_compared_are_shown_with_the_reason(layout: RunLayout) -> None:
    first = read_task_log(write_log(layout, "pope", "align", "No"))
    header = first.header.model_copy(update={"data_fingerprint": "other", "model": "instruct"})
    shown = view_tasks([first, TaskLog(header=header, entries=())])["real"]
    assert "cannot be compared" in shown[0].words
    assert len(shown[0].headline.rows) == 2


def test_what_a_model_said_cannot_break_the_page(layout: RunLayout) -> None:
    path = write_log(layout, "pope", "instruct", "No")
    log = read_task_log(path)
    header = log.header.model_copy(update={"model": "<script>alert(1)</script>"})
    write_task_log(TaskLog(header=header, entries=log.entries), path)
    assert "<script" not in write_report(layout).read_text(encoding="utf-8")
