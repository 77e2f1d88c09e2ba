from dataclasses import replace
from pathlib import Path

from asked_tasks import Scripted, load, run
from stablellava.core.score import ContaminationNote
from stablellava.evaluation.benchmarks.running import run_task
from stablellava.evaluation.benchmarks.scoring import rescore_log
from stablellava.evaluation.log import read_task_log
from stablellava.evaluation.task_tables import task_table


def test_what_training_has_seen_is_in_the_log_and_stays_there(tmp_path: Path) -> None:
    note = ContaminationNote(words="Contaminated: 1 of 2 items.", data_fingerprint="d", num_samples=9, item_ids=("1",))
    loaded = replace(load("mmvet", tmp_path), contamination=note)
    path = tmp_path / "log.jsonl"
    run_task(loaded, Scripted(lambda item: "x"), path)
    again = rescore_log(read_task_log(path))
    assert again.header.contamination == note
    assert note.words in task_table(again).notes


def test_a_log_of_before_contamination_was_kept_is_read_and_says_that_it_was_not_checked(tmp_path: Path) -> None:
    log = run("mmvet", tmp_path, lambda item: "x")
    path = tmp_path / "out" / "log.jsonl"
    path.write_bytes(path.read_bytes().replace(b'"contamination":null,', b""))
    assert b"contamination" not in path.read_bytes()
    assert read_task_log(path) == log
    assert any("not checked" in note for note in task_table(log).notes)
