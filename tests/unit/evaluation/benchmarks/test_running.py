import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

import benchmark_files as files
from asked_tasks import Losses, Scripted, figures, load, run
from stablellava.core.errors import BackendFailed, ConfigError, RecordError
from stablellava.core.score import EvalItem, TaskLog
from stablellava.evaluation.benchmarks.base import Task
from stablellava.evaluation.benchmarks.loading import load_task
from stablellava.evaluation.benchmarks.registry import find_task
from stablellava.evaluation.benchmarks.running import run_task, score_recorded
from stablellava.evaluation.benchmarks.scoring import rescore_log
from stablellava.evaluation.capability_benchmark import read_log
from stablellava.evaluation.log import read_task_log, write_task_log
from stablellava.evaluation.scoring import UNPARSED
from stablellava.evaluation.task_tables import reference_table, task_table

# (value, items, unparsed, unscored) of figures, when every item gets the same answer.
SAME_ANSWER = [
    ("mmbench", "", "B", {
        "": (0.0, 2, 0, 0), "/L2/CP": (0.0, 1, 0, 0), "/L3/future_prediction": (0.0, 1, 0, 0),
        "/vanilla": (0.5, 2, 0, 0),
    }),
    ("mmbench", "llava-vanilla", "hm", {"": (0.0, 2, 2, 0), "/L2/LR": (0.0, 1, 1, 0)}),
    ("mmmu", "", "(A)", {
        "": (0.3333, 3, 0, 0), "/domain/Art and Design": (0.3333, 3, 0, 0), "/subject/Art": (0.5, 2, 0, 0),
        "/type/open": (0.0, 1, 0, 0), "/without_chance": (0.3333, 3, 0, 0),
    }),
    ("ai2d", "", "B.", {"": (0.5, 2, 0, 0), "/vlmevalkit-rules": (0.5, 2, 0, 0)}),
    ("seedbench", "", "a", {
        "": (0.0, 3, 3, 0), "/type 01 Scene Understanding": (0.0, 1, 1, 0), "/video": (0.0, 1, 1, 0),
        "/first-character": (0.3333, 3, 0, 0),
    }),
    ("seedbench", "llava-image", "A", {"": (0.5, 2, 0, 0), "/image": (0.5, 2, 0, 0)}),
    ("mme", "", "Yes", {
        "/existence/acc": (0.5, 2, 0, 0), "/existence/acc+": (0.0, 1, 0, 0), "/posters/score": (50.0, 2, 0, 0),
    }),
    ("vizwiz", "", "Red", {"": (0.9, 2, 0, 0), "/type/other": (0.9, 2, 0, 0), "/evalai": (0.9, 2, 0, 0)}),
    ("pope", "", "Maybe.", {
        "/mean_f1": (0.6667, 12, 12, 0), "/random/accuracy": (0.5, 4, 4, 0), "/all/yes_ratio": (1.0, 12, 12, 0),
    }),
    ("scienceqa", "", "B", {
        "": (0.5, 2, 0, 0), "/IMG": (1.0, 1, 0, 0), "/NO": (0.0, 1, 0, 0), "/G1-6": (1.0, 1, 0, 0),
        "/lmms-eval": (0.5, 2, 0, 0),
    }),
    ("textvqa", "", "Nokia", {"": (0.5, 2, 0, 0), "/vqa-rule": (0.5, 2, 0, 0)}),
    ("textvqa", "no-ocr", "nan", {"": (0.5, 2, 0, 0)}),
    ("photos", "", "a cat", {"": (1.0, 3, 0, 0), "/animal": (1.0, 3, 0, 0), "/form/wh": (1.0, 3, 0, 0)}),
    ("mmvet", "", "x", {
        "": (None, 2, 0, 2), "/capability/ocr": (None, 1, 0, 1), "/integration/ocr_math": (None, 1, 0, 1),
    }),
    ("llavabench", "", "x", {"": (None, 2, 0, 2), "/conv": (None, 1, 0, 1)}),
]  # fmt: skip


@pytest.mark.parametrize(("name", "variant", "text", "expected"), SAME_ANSWER, ids=lambda value: str(value)[:12])
def test_figures_of_small_files_are_as_counted_by_hand(
    name: str, variant: str, text: str, expected: dict[str, tuple[float | None, int, int, int]], tmp_path: Path
) -> None:
    found = figures(run(name, tmp_path, lambda item: text, variant))
    assert {key: found.get(key) for key in expected} == expected


def test_a_circular_question_is_right_only_if_every_pass_is(tmp_path: Path) -> None:
    def say(item: EvalItem) -> str:
        # Always finds "dog", and sticks to A for the other question.
        lines = dict(line.split(". ", 1)[::-1] for line in item.question.split("\n") if line[1:3] == ". ")
        return lines.get("dog", "A")

    log = run("mmbench", tmp_path, say)
    found = figures(log)
    assert (found[""], found["/L2/CP"], found["/L2/LR"]) == ((0.5, 2, 0, 0), (1.0, 1, 0, 0), (0.0, 1, 0, 0))
    assert found["/vanilla"] == (1.0, 2, 0, 0)
    suite = read_log(tmp_path / "out" / "log.jsonl")
    assert [(entry.item.item_id, entry.score.value) for entry in suite.entries] == [("1", 1.0), ("2", 0.0)]


def test_seedbench_by_likelihood_takes_the_option_with_the_lowest_loss(tmp_path: Path) -> None:
    loaded = load("seedbench", tmp_path, "likelihood")
    log = run_task(loaded, Losses(), tmp_path / "out" / "log.jsonl")
    assert [entry.score.parsed for entry in log.entries] == ["C", "C", "C"]
    assert figures(log)[""] == (0.3333, 3, 0, 0)
    assert log.entries[0].answer is not None
    assert log.entries[0].answer.text == "[2,2,0,1]"
    with pytest.raises(ConfigError, match="gives answers, no losses"):
        run_task(loaded, Scripted(lambda item: ""), tmp_path / "out" / "other.jsonl")


def test_the_log_holds_every_sample_and_reads_back(tmp_path: Path) -> None:
    log = run("vizwiz", tmp_path, lambda item: "Red")
    path = tmp_path / "out" / "log.jsonl"
    assert read_task_log(path) == log
    header, *samples = (json.loads(line) for line in path.read_text().splitlines())
    assert (header["format"], header["schema_version"], header["num_items"]) == ("stablellava-evaluation", 2, 2)
    assert samples[0]["answer"]["prompt"].startswith("USER: What color 0?")
    assert samples[0]["item"]["images_sha256"][0] in samples[0]["item"]["images"][0]
    assert (samples[0]["score"]["parsed"], samples[0]["score"]["value"]) == ("red", pytest.approx(0.9))


def test_a_log_that_lost_samples_is_refused(tmp_path: Path) -> None:
    run("vizwiz", tmp_path, lambda item: "Red")
    path = tmp_path / "out" / "log.jsonl"
    path.write_bytes(b"\n".join(path.read_bytes().splitlines()[:2]) + b"\n")
    with pytest.raises(RecordError, match="holds 1 of 2 samples"):
        read_task_log(path)


def test_rescoring_needs_no_model_and_repairs_scores(tmp_path: Path) -> None:
    log = run("pope", tmp_path, lambda item: "Yes")
    spoilt = log.model_copy(
        update={
            "header": log.header.model_copy(update={"reports": ()}),
            "entries": tuple(
                entry.model_copy(update={"score": entry.score.model_copy(update={"value": None})})
                for entry in log.entries
            ),
        }
    )
    assert rescore_log(spoilt) == log


def test_a_finished_log_answers_again_and_new_items_alone_are_asked(tmp_path: Path) -> None:
    path = files.pope(tmp_path)
    log_path = tmp_path / "out" / "log.jsonl"
    first = load_task(find_task("pope"), path, tmp_path / "out", limit=5)
    run_task(first, Scripted(lambda item: "No"), log_path)
    again = Scripted(lambda item: "Yes")
    log = run_task(load_task(find_task("pope"), path, tmp_path / "out"), again, log_path)
    assert len(again.asked) == 7
    assert [entry.answer.text for entry in log.entries if entry.answer][:6] == ["No"] * 5 + ["Yes"]


def test_a_log_of_another_model_is_not_overwritten(tmp_path: Path) -> None:
    log_path = tmp_path / "out" / "log.jsonl"
    loaded = load_task(find_task("pope"), files.pope(tmp_path), tmp_path / "out", limit=5)
    run_task(loaded, Scripted(lambda item: "No"), log_path)
    held = log_path.read_bytes()
    other = Scripted(lambda item: "Yes", fingerprint="other weights")
    with pytest.raises(ConfigError, match=r"holds the answers of .* \(other weight\).*--out for a task"):
        run_task(loaded, other, log_path)
    with pytest.raises(ConfigError, match="move that log away"):
        score_recorded(loaded, {}, log_path, model="scripted", answers_from="llava")
    assert (other.asked, log_path.read_bytes()) == ([], held)


def test_a_corrected_file_of_answers_is_scored_into_the_same_log(tmp_path: Path) -> None:
    log_path = tmp_path / "out" / "log.jsonl"
    loaded = load_task(find_task("pope"), files.pope(tmp_path), tmp_path / "out", limit=5)
    item_id = loaded.items[0].item_id
    score_recorded(loaded, {}, log_path, model="theirs", answers_from="llava")
    log = score_recorded(loaded, {item_id: "Yes"}, log_path, model="theirs", answers_from="llava")
    assert [entry.answer.text for entry in log.entries if entry.answer] == ["Yes"]


def test_an_item_without_an_answer_is_unscored_and_asked_again(tmp_path: Path) -> None:
    def fail_on_first(item: EvalItem) -> str:
        if item.item_id == "VizWiz_val_00000000.jpg":
            raise BackendFailed("no light")
        return "red"

    log = run("vizwiz", tmp_path, fail_on_first)
    assert figures(log)[""] == (0.9, 2, 0, 1)
    assert (log.entries[0].answer, log.entries[0].failure, log.entries[0].score.why) == (None, "no light", "no light")
    assert figures(run("vizwiz", tmp_path, lambda item: "red"))[""] == (0.9, 2, 0, 0)


def test_questions_without_a_reference_are_unscored_and_say_so(tmp_path: Path) -> None:
    def drop_answer(rows: files.Rows) -> None:
        for row in rows:
            row.pop("answer")

    loaded = load_task(find_task("mmbench"), files.mmbench(tmp_path, drop_answer), tmp_path / "out")
    log = run_task(loaded, Scripted(lambda item: "A"), tmp_path / "out" / "log.jsonl")
    assert figures(log) == {"": (None, 6, 0, 6)}
    assert "write a submission file" in log.entries[0].score.why


def test_options_that_are_pictures_are_not_asked_but_drawn_and_wrong_without_chance(tmp_path: Path) -> None:
    def show_options(rows: files.Rows) -> None:
        rows[2] |= {"options": "['<image 1>', '<image 2>']", "image_2": rows[0]["image_1"]}

    loaded = load_task(find_task("mmmu"), files.mmmu(tmp_path, show_options), tmp_path / "out")
    scripted = Scripted(lambda item: "3" if "How many" in item.question else "(C)")
    log = run_task(loaded, scripted, tmp_path / "log.jsonl")
    assert sorted(scripted.asked) == ["validation_Art_2", "validation_Music_1"]
    drawn = next(entry for entry in log.entries if entry.item.form == "unasked")
    assert (drawn.score.parsed in ("A", "B"), drawn.score.why) == (True, UNPARSED)
    assert figures(log)["/without_chance"][0] == 0.6667
    assert rescore_log(log) == log


def test_tables_show_failures_beside_figures_and_published_ones_only_where_they_compare(tmp_path: Path) -> None:
    log = run("pope", tmp_path, lambda item: "Maybe.")
    text = task_table(log).to_text()
    assert "12 (100.0 %)" in text
    assert reference_table(log) is None
    reports = [report.model_copy(update={"num_items": 9000}) for report in log.header.reports]

    def change(**header: object) -> TaskLog:
        return log.model_copy(update={"header": log.header.model_copy(update={"reports": tuple(reports), **header})})

    published = reference_table(change())
    assert published is not None
    assert ("LLaVA-1.5-13B (LoRA)", "mean_f1", "86.7", "66.7") in published.rows
    assert reference_table(change(limit=5)) is None
    assert reference_table(change(variant="official")) is None


def test_a_third_party_task_is_one_module_and_an_entry_point(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "their_task.py").write_text(
        "from stablellava.evaluation.benchmarks.base import Task\n"
        "from stablellava.evaluation.benchmarks import vizwiz\n"
        "from dataclasses import replace\n"
        "TASK = replace(vizwiz.TASK, name='theirs')\n"
        "OTHER = 3\n"
    )
    info = tmp_path / "theirs-1.dist-info"
    info.mkdir()
    (info / "METADATA").write_text("Metadata-Version: 2.1\nName: theirs\nVersion: 1\n")
    points = "theirs = their_task:TASK\nbroken = their_task:OTHER\ngone = no_such_module:TASK\n"
    (info / "entry_points.txt").write_text(f"[stablellava.tasks]\n{points}")
    monkeypatch.syspath_prepend(tmp_path)
    task = find_task("theirs")
    assert isinstance(task, Task)
    loaded = load_task(task, files.vizwiz(tmp_path), tmp_path / "out")
    log = run_task(loaded, Scripted(lambda item: "red"), tmp_path / "out" / "log.jsonl")
    assert log.header.reports[0].name == "theirs:llava"
    assert rescore_log(log) == log
    with pytest.raises(ConfigError, match="which is no Task"):
        find_task("broken")


_KILLED = """
import sys, time
from pathlib import Path
sys.path[:0] = {paths!r}
from test_running import Scripted, load
from stablellava.evaluation.benchmarks.running import run_task

folder = Path({folder!r})
asked = folder / "asked.txt"

class Slow(Scripted):
    def answer(self, items, image_dir):
        answers = super().answer(items, image_dir)
        time.sleep({pause})
        with asked.open("a") as file:
            file.writelines(item.item_id + "\\n" for item in items)
        return answers

loaded = load("pope", folder)
slow = Slow(lambda item: "Yes" if item.item_id.endswith("1") else "No")
run_task(loaded, slow, folder / "out" / "log.jsonl", group_size=1)
"""


def _start(folder: Path, pause: float) -> "subprocess.Popen[bytes]":
    here = Path(__file__).resolve().parent
    paths = [str(here), str(here.parents[2])]
    code = _KILLED.format(paths=paths, folder=str(folder), pause=pause)
    return subprocess.Popen([sys.executable, "-c", code], start_new_session=True)


def test_a_killed_run_goes_on_asks_nothing_twice_and_writes_the_same_bytes(tmp_path: Path) -> None:
    whole, killed = tmp_path / "whole", tmp_path / "killed"
    for folder in (whole, killed):
        folder.mkdir()
    process = _start(killed, 0.2)
    journal = killed / "out" / "log.jsonl.journal"
    deadline = time.monotonic() + 30
    while not journal.exists() or journal.read_bytes().count(b"\n") < 3:
        assert time.monotonic() < deadline
        time.sleep(0.02)
    os.killpg(process.pid, signal.SIGKILL)
    process.wait()
    kept = journal.read_bytes().count(b"\n")
    assert 3 <= kept < 12
    for folder in (whole, killed):
        assert _start(folder, 0).wait() == 0
    # Only the item under way when the kill came may have been asked about without its answer being kept.
    asked = (killed / "asked.txt").read_text().split()
    assert len(asked) - len(set(asked)) <= 1
    first, second = (
        (folder / "out" / "log.jsonl").read_bytes().replace(str(folder).encode(), b"FOLDER")
        for folder in (whole, killed)
    )
    assert first == second
    assert not journal.exists()


def test_writing_a_log_is_deterministic(tmp_path: Path) -> None:
    log = run("mme", tmp_path, lambda item: "Yes")
    write_task_log(log, tmp_path / "copy.jsonl")
    assert (tmp_path / "copy.jsonl").read_bytes() == (tmp_path / "out" / "log.jsonl").read_bytes()
