from pathlib import Path

import pytest

import benchmark_files as files
from asked_tasks import ScriptedJudge, figures, run
from stablellava.evaluation.benchmarks.base import JudgeRequest
from stablellava.evaluation.benchmarks.loading import load_task
from stablellava.evaluation.benchmarks.registry import find_task


def test_judged_runs_are_averaged_and_a_failed_call_is_left_out_of_them(tmp_path: Path) -> None:
    def say(request: JudgeRequest) -> str | None:
        if request.question == "What is it?":
            return None if request.run else "1.0"
        return ("0.4", "0.8")[request.run]

    judge = ScriptedJudge(say)
    log = run("mmvet", tmp_path, lambda item: "five", judge=judge, judge_runs=2)
    assert [entry.score.value for entry in log.entries] == [pytest.approx(0.6), 1.0]
    assert figures(log)[""] == (0.8, 2, 0, 0)
    assert [(r.reference, r.prediction) for r in judge.asked[:1]] == [("-1<AND>-5", "five")]
    assert log.entries[1].judgements[1].why == "timed_out"
    assert log.header.judge == "judge"


def test_a_judge_that_always_fails_gives_no_figure_and_every_reason(tmp_path: Path) -> None:
    log = run("llavabench", tmp_path, lambda item: "A hill.", judge=ScriptedJudge(lambda request: None))
    assert figures(log)[""] == (None, 2, 0, 2)
    assert {entry.score.why for entry in log.entries} == {"timed_out"}


def test_judgements_are_kept_and_only_failed_ones_asked_again(tmp_path: Path) -> None:
    first = ScriptedJudge(lambda request: "8 6" if request.category == "conv" else None)
    run("llavabench", tmp_path, lambda item: "A hill.", judge=first)
    second = ScriptedJudge(lambda request: "8 4")
    log = run("llavabench", tmp_path, lambda item: "A hill.", judge=second)
    assert [request.category for request in second.asked] == ["detail"]
    assert figures(log)[""] == (0.625, 2, 0, 0)


def test_both_orders_are_read_back_to_reference_and_answer(tmp_path: Path) -> None:
    judge = ScriptedJudge(lambda request: "6 8" if request.is_swapped else "8 4")
    log = run("llavabench", tmp_path, lambda item: "A hill.", "llava-both-orders", judge=judge)
    found = figures(log)
    assert (found[""][0], found["/answer-first"][0], found["/both-orders"][0]) == (0.5, 0.75, 0.625)


def test_several_reviews_of_a_question_are_one_item_and_its_score_a_share_of_ten(tmp_path: Path) -> None:
    judge = ScriptedJudge(lambda request: ("8 6", "8 4", None)[request.run] if request.category == "conv" else None)
    log = run("llavabench", tmp_path, lambda item: "A hill.", "llava-both-orders", judge=judge, judge_runs=3)
    found = figures(log)
    assert {name: found[name] for name in ("", "/conv", "/detail")} == {
        "": (0.625, 2, 0, 1), "/conv": (0.625, 1, 0, 0), "/detail": (None, 1, 0, 1),
    }  # fmt: skip
    assert (found["/both-orders"][1], found["/run/3"]) == (2, (None, 2, 0, 2))
    assert [(entry.score.value, entry.score.parsed) for entry in log.entries] == [(0.5, "8 6, 8 4, -"), (None, "")]


def test_a_judge_reads_only_answers_that_the_rules_cannot(tmp_path: Path) -> None:
    judge = ScriptedJudge(lambda request: next(k for k, v in request.options.items() if v in ("dog", "yes")))
    log = run("mmbench", tmp_path, lambda item: "that one, of course", judge=judge)
    assert {request.kind for request in judge.asked} == {"mmbench"}
    assert figures(log)[""] == (1.0, 2, 0, 0)


def test_grades_of_capabilities_go_from_0_to_5(tmp_path: Path) -> None:
    judge = ScriptedJudge(lambda request: "4" if request.request_id != "p2" else "seven")
    log = run("photos", tmp_path, lambda item: f"a cat, {item.item_id}", "judged", judge=judge)
    assert [entry.score.value for entry in log.entries] == [0.8, 0.8, None]
    assert figures(log)[""] == (0.8, 3, 0, 1)


def test_a_description_of_several_sentences_is_shown_a_line_each(tmp_path: Path) -> None:
    def describe(rows: dict[str, files.Rows]) -> None:
        rows["context.jsonl"][0]["caption"] = ["A volcano.", "It smokes."]

    loaded = load_task(find_task("llavabench"), files.llavabench(tmp_path, describe), tmp_path / "out")
    assert loaded.items[0].fields["caption"] == "A volcano.\nIt smokes."
