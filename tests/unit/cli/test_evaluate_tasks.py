import json
from collections.abc import Callable
from pathlib import Path

import pytest
import yaml
from typer.testing import Result

import benchmark_files as files
import tiny_vlm
from stablellava.cli.benchmarking import TaskRequest
from stablellava.cli.task_chats import describe_asking
from stablellava.evaluation.benchmarks.registry import find_task
from stablellava.model.assembling import assemble

Invoke = Callable[..., Result]


ASKED = ("--task", "pope", "--data", "x", "--chat", "fake-chat")
HERE = ("--task", "pope", "--data", "x", "--model", "m")


def write_answers(folder: Path, text: str) -> Path:
    rows = [
        {"question_id": index, "prompt": f"Is there a {split} {index} in the image?", "text": text}
        for split in ("random", "popular", "adversarial")
        for index in range(1, 5)
    ]
    return files.write_json_lines(folder / "answers.jsonl", rows)


def test_answers_are_scored_shown_and_logged(invoke: Invoke, tmp_path: Path) -> None:
    data, answers = files.pope(tmp_path), write_answers(tmp_path, "Yes")
    result = invoke("evaluate", "--task", "pope", "--data", data, "--answers", answers, "--out", "out", "--json")
    assert result.exit_code == 0, result.stderr
    found = json.loads(result.stdout)
    assert found["reports"][0]["name"] == "pope:llava/mean_f1"
    assert (tmp_path / "out" / "pope.llava.answers.jsonl").is_file()
    shown = invoke("evaluate", "--rescore", "out/pope.llava.answers.jsonl")
    assert shown.exit_code == 0, shown.stderr
    assert "mean_f1" in shown.stdout
    # Twelve questions are not the benchmark.
    assert "Published figures" not in shown.stdout


def test_a_bad_row_ends_with_exit_code_2_and_is_left_out_with_keep_going(invoke: Invoke, tmp_path: Path) -> None:
    def spoil(rows: files.Rows) -> None:
        rows[0]["label"] = "perhaps"

    arguments = ("evaluate", "--task", "pope", "--data", files.pope(tmp_path, spoil), "--out", "out",
                 "--answers", write_answers(tmp_path, "Yes"))  # fmt: skip
    stopped = invoke(*arguments)
    assert stopped.exit_code == 2
    assert "coco_pope_random.json, line 1, column 'label': got 'perhaps'" in stopped.stderr
    assert len(stopped.stderr.splitlines()) == 1
    went_on = invoke(*arguments, "--keep-going", "--json")
    assert went_on.exit_code == 0, went_on.stderr
    assert "left out: " in went_on.stderr
    assert len(json.loads(went_on.stdout)["left_out"]) == 1


def test_a_submission_is_written_beside_the_scores(invoke: Invoke, tmp_path: Path) -> None:
    data = files.vizwiz(tmp_path)
    rows = [{"question_id": f"VizWiz_val_0000000{index}.jpg", "text": "The red"} for index in range(2)]
    answers = files.write_json_lines(tmp_path / "mine.jsonl", rows)
    arguments = ("evaluate", "--task", "vizwiz", "--data", data, "--answers", answers, "--out", "out")
    result = invoke(*arguments, "--submission", "upload.json")
    assert result.exit_code == 0, result.stderr
    assert [row["answer"] for row in json.loads(Path("upload.json").read_text())] == ["red", "red"]
    wrong = invoke(*arguments, "--submission", "upload.txt")
    assert wrong.exit_code == 2
    assert "name a file that ends in .json" in wrong.stderr


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("--task", "pop", "--data", "x"), "no task named 'pop'. Did you mean 'pope'?"),
        (("--task", "pope"), "--task pope needs --data: the folder with coco_pope_random.json"),
        (("--task", "pope", "--data", "x", "--hub", "default", "--chat", "openai"), "--data and --hub both say"),
        (("--hub", "default"), "--hub does not go here: it is about a task"),
        (("--task", "vizwiz", "--hub", "default", "--chat", "openai"), "'vizwiz' is not read from the hub"),
        (("--task", "pope", "--data", "x"), "--model, --chat, --answers says where answers come from; got none"),
        (("--task", "pope", "--data", "x", "--model", "m", "--chat", "openai"), "got --model and --chat"),
        (("--model-option", "device=cpu"), "--model-option does not go here: it is about a task"),
        (("--limit", "3"), "--limit does not go here: it is about a task"),
        (("--limit", "0"), "--limit does not go here: it is about a task"),
        (("--max-calls", "0"), "--max-calls does not go here: it is about a task"),
        (("--chat-option", "model=x"), "--chat-option does not go here: it is about a task"),
        (("--format", "lmms-eval"), "--format does not go here: it is about a task"),
        ((*ASKED, "--suite", "photos"), "--suite does not go here: it is about a suite"),
        ((*ASKED, "--run", "runs/demo"), "--run does not go here: it is about a suite"),
        ((*ASKED, "--format", "lmms-eval"), "--format does not go here: it is about --answers"),
        ((*ASKED, "--model-option", "device=cpu"), "--model-option does not go here: it is about --model"),
        ((*ASKED, "--judge-runs", "3"), "--judge-runs does not go here: it is about --judge"),
        ((*HERE, "--max-calls", "3"), "--max-calls does not go here: it is about --chat and --judge"),
        ((*HERE, "--limit", "0"), "a limit of 0: at least 1 question is needed"),
        (("--rescore", "log.jsonl", "--run", "runs/demo"), "--run does not go here: --rescore takes all"),
        (("--rescore", "log.jsonl", "--data", "x"), "--data does not go here: --rescore takes all"),
        (("--rescore", "log.jsonl", "--task", "pope"), "--task does not go here: --rescore takes all"),
        (("--rescore", "log.jsonl"), "no evaluation log at log.jsonl"),
        ((), "evaluate needs --model DIR, a trained model; or --task"),
        (("--task", "pope", "--data", "x", "--chat", "openai", "--chat-option", "model"), "KEY=VALUE is needed"),
        (
            ("--task", "pope", "--data", "x", "--chat", "openai", "--chat-option", "model={x"),
            "--chat-option model: '{x' cannot be read as YAML; put it in quotes",
        ),
    ],
)
def test_options_that_cannot_work_are_told_before_anything_is_done(
    arguments: tuple[str, ...], message: str, invoke: Invoke
) -> None:
    result = invoke("evaluate", *arguments)
    assert result.exit_code == 2
    assert message in result.stderr


def test_a_hub_out_of_reach_ends_with_exit_code_3_and_one_line(invoke: Invoke) -> None:
    result = invoke("evaluate", "--task", "mme", "--hub", "default", "--chat", "openai")
    assert result.exit_code == 3
    (line,) = result.stderr.splitlines()
    assert "the hub cannot be reached for lmms-lab/MME@test" in line


def test_unknown_options_of_a_model_are_named_before_it_is_loaded(invoke: Invoke, tmp_path: Path) -> None:
    arguments = ("evaluate", "--task", "pope", "--data", files.pope(tmp_path), "--model", "none", "--out", "out")
    result = invoke(*arguments, "--model-option", "precision=half")
    assert result.exit_code == 2
    assert "--model-option precision: known are device, dtype, num_threads, prompt_style" in result.stderr


def test_a_model_of_a_run_is_known_by_its_name_alone(
    invoke: Invoke, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "run" / "model" / "instruct").mkdir(parents=True)
    monkeypatch.chdir(tmp_path / "run" / "model")
    result = invoke("evaluate", "--model", "instruct")
    assert result.exit_code == 2
    assert f"{tmp_path}/run/suites/generated is no suite" in result.stderr


def test_tasks_are_listed_with_what_they_need(invoke: Invoke) -> None:
    listed = json.loads(invoke("tasks", "list", "--json").stdout)["tasks"]
    assert len(listed) == 15
    by_name = {task["name"]: task for task in listed}
    assert by_name["mmvet"]["judged"] is True
    assert by_name["pope"]["hub"] == "lmms-lab/POPE:Full@random,popular,adversarial"
    assert by_name["mmbench"]["submission"] == "XLSX for the MMBench server"
    assert next(iter(by_name["textvqa"]["variants"])) == "llava"


def test_a_task_that_cannot_be_used_hides_no_other(
    invoke: Invoke, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    info = tmp_path / "theirs-1.dist-info"
    info.mkdir()
    (info / "METADATA").write_text("Metadata-Version: 2.1\nName: theirs\nVersion: 1\n")
    (info / "entry_points.txt").write_text("[stablellava.tasks]\ngone = no_such_module:TASK\n")
    monkeypatch.syspath_prepend(tmp_path)
    result = invoke("tasks", "list", "--json")
    assert result.exit_code == 0, result.output
    assert len(json.loads(result.stdout)["tasks"]) == 15
    assert "left out: task 'gone' needs the package 'no_such_module'" in result.stderr


def test_an_endpoint_is_asked_and_a_judge_grades(invoke: Invoke, tmp_path: Path) -> None:
    data = files.mmvet(tmp_path)
    result = invoke("evaluate", "--task", "mmvet", "--data", data, "--chat", "fake-chat", "--judge", "fake-chat",
                    "--out", "out", "--judge-runs", "2", "--json")  # fmt: skip
    assert result.exit_code == 0, result.stderr
    found = json.loads(result.stdout)
    assert found["judge"] == "fake-chat, in our words"
    without = invoke("evaluate", "--task", "mmvet", "--data", data, "--chat", "fake-chat", "--out", "without")
    assert ": needs a judge and had none." in without.stdout
    assert found["reports"][0]["num_items"] == 2


def test_a_model_of_a_run_is_checked_against_its_data_and_its_log_stands_in_the_report(
    invoke: Invoke, tmp_path: Path
) -> None:
    synthesis = ("synthesis.capabilities=animal", "synthesis.samples_per_capability=3")
    assert invoke("synthesize", *synthesis, "--run", "run").exit_code == 0
    model = tmp_path / "run" / "model" / "instruct"
    assemble(tiny_vlm.tiny_settings(tiny_vlm.write_language_model(tmp_path / "lm")), seed=0).save(model)
    config = tmp_path / "run" / "config.yaml"
    settings = yaml.safe_load(config.read_text())
    settings["training"]["instruct"]["sources"] = [{"path": ""}, {"path": "llava.json"}]
    config.write_text(yaml.safe_dump(settings))
    data = files.pope(tmp_path)
    asked = invoke("evaluate", "--task", "pope", "--data", data, "--model", model, "--limit", "1", "--json")
    assert asked.exit_code == 0, asked.stderr
    found = json.loads(asked.stdout)["contamination"]
    assert (found["num_samples"], found["item_ids"]) == (3, [])
    assert found["words"].endswith("Trained on as well, and not looked through: llava.json.")
    log = tmp_path / "run" / "evaluation" / "pope.llava.instruct.jsonl"
    rescored = invoke("evaluate", "--rescore", log)
    assert "None of 1 items is among 3 training samples" in " ".join(rescored.stdout.split())
    invoke("evaluate", "--task", "pope", "--data", data, "--answers", write_answers(tmp_path, "No"), "--out", "out")
    report = invoke("report", "--run", "run", "--no-open", "--log", "out/pope.llava.answers.jsonl", "--json")
    assert report.exit_code == 0, report.stderr
    page = (tmp_path / "run" / "report.html").read_text(encoding="utf-8")
    assert "None of 1 items is among 3 training samples" in page
    assert "Contamination was not checked" in page


def test_a_limit_on_calls_stops_with_exit_code_3_and_the_same_command_goes_on(invoke: Invoke, tmp_path: Path) -> None:
    arguments = ("evaluate", "--task", "mmvet", "--data", files.mmvet(tmp_path), "--chat", "fake-chat", "--out", "out")
    stopped = invoke(*arguments, "--max-calls", "1")
    assert stopped.exit_code == 3
    assert "max_calls=1 is reached; what was said is kept" in stopped.stderr
    assert invoke(*arguments, "--max-calls", "1").exit_code == 0
    assert invoke(*arguments, "--max-calls", "0").exit_code == 0


def test_a_judge_is_paid_once_whichever_log_its_words_are_wanted_in(invoke: Invoke, tmp_path: Path) -> None:
    rows = [{"question_id": f"v1_{place}", "text": "4"} for place in range(2)]
    answers = files.write_json_lines(tmp_path / "mine.jsonl", rows)
    arguments = ("evaluate", "--task", "mmvet", "--data", files.mmvet(tmp_path), "--answers", answers,
                 "--judge", "fake-chat")  # fmt: skip
    assert invoke(*arguments, "--out", "one").exit_code == 0
    again = invoke(*arguments, "--out", "two", "--max-calls", "0")
    assert again.exit_code == 0, again.stderr
    logs = [(tmp_path / name / "mmvet.llava.mine.jsonl").read_bytes() for name in ("one", "two")]
    assert logs[0] == logs[1]


def test_the_log_tells_how_answers_were_got_but_no_keys(invoke: Invoke, tmp_path: Path) -> None:
    result = invoke("evaluate", "--task", "mmvet", "--data", files.mmvet(tmp_path), "--chat", "fake-chat",
                    "--judge", "fake-chat", "--judge-runs", "2", "--out", "out", "--json")  # fmt: skip
    assert json.loads(result.stdout)["asked_with"] == {
        "chat": "fake-chat", "judge": "fake-chat", "judge.runs": "2", "max_new_tokens": "1024",
    }  # fmt: skip
    request = TaskRequest("pope", None, chat="openai", chat_options=("model=m", "key_env=MY_KEY"))
    assert describe_asking(request, find_task("pope")) == {"chat": "openai", "max_new_tokens": "128", "model": "m"}
