"""The verbs filter, negatives and calibrate, as a user types them."""

import base64
import io
import json
from pathlib import Path

import pytest
import yaml
from PIL import Image
from typer.testing import CliRunner, Result

import benchmark_files
from stablellava.cli.app import build_app
from stablellava.cli.calibrate import _snippet
from stablellava.cli.decontaminating import read_benchmarks
from stablellava.config.base import BackendSettings
from stablellava.filters.calibrating import pick_threshold
from stablellava.store.images import image_path
from stablellava.synthesis.calibrating import CalibrationReport

ROW = {
    "id": "1",
    "prompt": "((dog)), beach, soft light, film grain",
    "question": "<image>\nWhat is it?",
    "answer": "A dog.",
}


def run(*arguments: str) -> Result:
    return CliRunner().invoke(build_app(), list(arguments))


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("runs") / "made"
    settings = ["synthesis.capabilities=animal,color", "synthesis.samples_per_capability=12", "synthesis.size_px=64"]
    result = run("synthesize", "--run", str(folder), "synthesis.num_workers=1", *settings)
    assert result.exit_code == 0
    return folder


def test_rows_of_files_are_looked_through(tmp_path: Path) -> None:
    path = tmp_path / "animal.json"
    path.write_text(json.dumps([ROW, {**ROW, "id": "2"}]), encoding="utf-8")
    result = run("filter", str(path), "--json")
    assert result.exit_code == 0
    assert json.loads(result.stdout)["duplicates"] == {"exact_dialogue": 1, "exact_pair": 1, "exact_prompt": 1}


def test_files_cannot_be_filtered_into_a_run(tmp_path: Path) -> None:
    result = run("filter", str(tmp_path / "a.json"), "--out", str(tmp_path / "out"))
    assert result.exit_code == 2
    assert "stablellava import" in result.stderr


def test_a_filtered_run_is_a_run(made: Path, tmp_path: Path) -> None:
    out = tmp_path / "clean"
    assert run("filter", "--run", str(made), "--out", str(out)).exit_code == 0
    inspected = run("inspect", "samples", "--run", str(out), "--json", "-n", "100")
    assert len(json.loads(inspected.stdout)["samples"]) == 24


def test_negatives_are_a_run_of_their_own(made: Path, tmp_path: Path) -> None:
    out = tmp_path / "negatives"
    result = run("negatives", "--run", str(made), "--out", str(out), "--share", "0.2", "--json")
    assert json.loads(result.stdout)["num_negatives"] == 6
    assert run("inspect", "samples", "--run", str(out)).exit_code == 0


def test_a_threshold_that_needs_a_scorer_says_so(made: Path) -> None:
    result = run("calibrate", "image_text", "--run", str(made))
    assert result.exit_code == 2
    assert "needs a backend" in result.stderr


def test_pictures_are_looked_at_by_the_checks_that_are_named(made: Path, tmp_path: Path) -> None:
    result = run("filter", "--run", str(made), "--look", "not_blank", "--out", str(tmp_path / "out"))
    assert result.exit_code == 0
    assert "24 kept; asked: safe_prompt, " in result.stdout
    assert ", not_blank, duplicates" in result.stdout
    inspected = run("inspect", "samples", "--run", str(tmp_path / "out"), "--json", "-n", "1")
    verdicts = json.loads(inspected.stdout)["samples"][0]["verdicts"]
    assert verdicts[-1]["filter_name"] == "not_blank"


def test_samples_that_stand_in_a_benchmarks_own_files_are_dropped(made: Path, tmp_path: Path) -> None:
    sample = json.loads(run("inspect", "samples", "--run", str(made), "--json", "-n", "1").stdout)["samples"][0]
    picture = image_path(made / "data", sample["paintings"][0]["sha256"])
    again = io.BytesIO()
    Image.open(picture).convert("RGB").resize((96, 96)).save(again, format="JPEG")

    def plant(rows: benchmark_files.Rows) -> None:
        rows[0]["image"] = base64.b64encode(again.getvalue()).decode()

    data = benchmark_files.mmbench(tmp_path, plant)
    result = run("filter", "--run", str(made), "--against", f"mmbench:{{data: {data}}}", "--json")

    assert result.exit_code == 0, result.stderr
    found = [match[:3] for match in json.loads(result.stdout)["benchmark_matches"]]
    assert [sample["sample_id"], "benchmark_image", "mmbench/1"] in found


def test_a_question_that_is_asked_in_several_passes_is_one_benchmark_item(tmp_path: Path) -> None:
    question = "Which animal stands beside the old wooden fence?"

    def ask(rows: benchmark_files.Rows) -> None:
        for row in rows[:1] + rows[2:5]:
            row["question"] = question

    data = benchmark_files.mmbench_passes(tmp_path, ask)
    index = read_benchmarks([f"mmbench:{{data: {data}}}"], tmp_path / "shelf")
    assert index is not None
    assert index.num_questions == 1
    assert index.match_question(question) is not None


@pytest.mark.parametrize(
    ("against", "said"),
    [
        ("nowhere", "nowhere is no suite"),
        ("pope", "write TASK:{data: PATH, images: DIR}"),
        ("pope:{date: x}", "unknown option 'date'. Did you mean 'data'?"),
        ("pop:{data: x}", "no task named 'pop'. Did you mean 'pope'?"),
    ],
)
def test_items_that_cannot_be_read_are_one_line(against: str, said: str, made: Path) -> None:
    result = run("filter", "--run", str(made), "--against", against)
    assert result.exit_code == 2
    assert len(result.stderr.splitlines()) == 1
    assert said in result.stderr


@pytest.mark.parametrize(
    ("look", "said"),
    [
        ("not_blnk", "--look not_blnk: checks.0.check"),
        ("safe_picture", "needs a backend, such as {backend: image-classifier}"),
        ("safe_picture:{backend: {backend: image-clasifier}}", "no classifier named 'image-clasifier'"),
        ("not_blank:{", "cannot be read"),
    ],
)
def test_a_check_of_pictures_that_cannot_be_is_one_line(look: str, said: str, made: Path) -> None:
    result = run("filter", "--run", str(made), "--look", look)
    assert result.exit_code == 2
    assert len(result.stderr.splitlines()) == 1
    assert said in result.stderr


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (("image_text", "--backend", "image-text", "--labels", "no-such-file.jsonl"), "no such file; write lines of"),
        (("safe_picture", "--backend", "image-classifier"), "say with --labels which samples are unsafe"),
        (("judge", "--backend", "fake-cat"), "no chat named 'fake-cat'. Did you mean 'fake-chat'?"),
        (("pixels", "--backend", "image-text"), "no --labels, no --backend"),
    ],
)
def test_what_cannot_be_calibrated_is_one_line(arguments: tuple[str, ...], said: str, made: Path) -> None:
    result = run("calibrate", *arguments, "--run", str(made))
    assert result.exit_code == 2
    assert said in result.stderr.splitlines()[-1]


@pytest.mark.parametrize("check", ["judge", "image_text"])
def test_calibrating_prints_settings_that_can_be_used_as_they_are(check: str, tmp_path: Path) -> None:
    measured = pick_threshold([0.1, 0.2, 0.8, 0.9], [False, False, True, True])
    report = CalibrationReport(check=check, overall=measured, by_capability={"animal": measured}, is_planted=True)
    backend = BackendSettings(backend={"judge": "fake-chat", "image_text": "image-text"}[check])
    settings = tmp_path / "settings.yaml"
    settings.write_text(_snippet(report, backend).partition("\n\n")[2], encoding="utf-8")
    assert run("plan", "--config", str(settings)).exit_code == 0


@pytest.mark.parametrize("check", ["judge", "image_text"])
def test_calibrated_settings_keep_the_good_pairs_that_score_just_the_threshold(check: str) -> None:
    measured = pick_threshold([1 / 3, 2 / 3, 1.0], [False, True, True], 0.0)
    report = CalibrationReport(check=check, overall=measured, by_capability={"animal": measured}, is_planted=True)
    settings = yaml.safe_load(_snippet(report, None).partition("\n\n")[2])
    (found,) = settings["synthesis"]["verify"]["checks"]
    least = [found["options"]["min_share"]] if check == "judge" else [found["threshold"], found["thresholds"]["animal"]]
    assert all(threshold <= 2 / 3 for threshold in least)


def test_a_plan_refuses_checks_that_lack_something() -> None:
    result = run("plan", "synthesis.verify.checks=[{check: image_text}]")
    assert result.exit_code == 2
    assert "check 'image_text' needs a backend" in result.stderr


def test_a_run_without_pictures_has_none_to_swap(tmp_path: Path) -> None:
    result = run("study", "mismatch", "-n", "100", "--out", str(tmp_path / "out"), "synthesis.painter=null")
    assert result.exit_code == 2
    assert "synthesis.painter is null" in result.stderr
