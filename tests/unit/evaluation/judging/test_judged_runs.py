"""What a benchmark's figures say when its judge fails, wavers or reads nothing out of an answer."""

import contextlib
import json
from collections.abc import Callable, Sequence
from pathlib import Path

import pytest
from PIL import Image

from stablellava.backends.adapters.fake_chat import FakeChat
from stablellava.core.chat import ChatFailure, ChatRequest
from stablellava.core.score import Answer, EvalItem, TaskReport
from stablellava.evaluation.benchmarks.loading import load_task
from stablellava.evaluation.benchmarks.registry import find_task
from stablellava.evaluation.benchmarks.running import run_task
from stablellava.evaluation.judging.chat_judge import ChatJudge
from stablellava.evaluation.official.mmbench import Pass, report_with_chance, score_circular

NUM_ITEMS = 60
Reports = dict[str, TaskReport]


class Parrot:
    """Repeats the question."""

    name = "parrot"
    fingerprint = "parrot-1"

    def answer(self, items: Sequence[EvalItem], image_dir: str) -> list[Answer]:
        return [Answer(item_id=item.item_id, prompt=item.question, text=item.question) for item in items]


@pytest.fixture
def mmvet_dir(tmp_path: Path) -> Path:
    folder = tmp_path / "mm-vet"
    (folder / "images").mkdir(parents=True)
    Image.new("RGB", (8, 8), "teal").save(folder / "images" / "a.png")
    rows = {
        f"v1_{i}": {"imagename": "a.png", "question": f"What is number {i}?", "answer": "it", "capability": ["rec"]}
        for i in range(NUM_ITEMS)
    }
    (folder / "mm-vet.json").write_text(json.dumps(rows), encoding="utf-8")
    return folder


def run_mmvet(folder: Path, script: Callable[[ChatRequest], str | ChatFailure], num_runs: int = 1) -> Reports:
    loaded = load_task(find_task("mmvet"), folder, folder.parent / "pictures")
    with contextlib.closing(ChatJudge(FakeChat(script))) as judge:
        log = run_task(loaded, Parrot(), folder.parent / "log.jsonl", judge=judge, judge_runs=num_runs)
    return {report.name: report for report in log.header.reports}


def fails_on_a_fifth(request: ChatRequest) -> str | ChatFailure:
    if int(request.request_id.partition(" ")[0].removeprefix("v1_")) % 5 == 0:
        return ChatFailure(request_id=request.request_id, reason="server_error")
    return "0.6"


def test_calls_that_fail_are_unscored_in_every_figure_and_pull_none_down(mmvet_dir: Path) -> None:
    reports = run_mmvet(mmvet_dir, fails_on_a_fifth)
    assert {"mmvet:llava", "mmvet:llava/capability/rec", "mmvet:llava/integration/rec"} == set(reports)
    for report in reports.values():
        assert report.value == pytest.approx(0.6)
        assert (report.num_items, report.num_unscored) == (NUM_ITEMS, NUM_ITEMS // 5)


def test_when_every_call_fails_there_is_no_score(mmvet_dir: Path) -> None:
    reports = run_mmvet(mmvet_dir, lambda request: ChatFailure(request_id="x", reason="server_error"), num_runs=2)
    assert all(report.value is None for report in reports.values())
    assert reports["mmvet:llava"].num_unscored == NUM_ITEMS


def test_several_runs_give_their_mean_and_spread(mmvet_dir: Path) -> None:
    said = iter(["0.2"] * NUM_ITEMS + ["0.6"] * NUM_ITEMS)
    judged: dict[int | None, str] = {}
    reports = run_mmvet(mmvet_dir, lambda request: judged.setdefault(request.seed, next(said)), num_runs=2)
    runs = [report.value for name, report in reports.items() if "/run/" in name]
    assert len(runs) == 2
    mean = sum(value for value in runs if value is not None) / 2
    assert reports["mmvet:llava"].value == pytest.approx(mean)
    assert reports["mmvet:llava/spread"].value == pytest.approx(abs(runs[0] - runs[1]) / 2)  # type: ignore[operator]


def mmbench_pass(index: int, text: str, why_unscored: str = "") -> Pass:
    return Pass(index=index, answer="A", options={"A": "a dog", "B": "a cat"}, text=text, why_unscored=why_unscored)


def test_letters_are_drawn_only_where_a_judge_could_not_tell_and_are_counted() -> None:
    told = [mmbench_pass(i, "A") for i in range(50)]
    untold = [mmbench_pass(i, "who knows", "the judge's reply names no option") for i in range(50, 350)]
    (report,) = report_with_chance("m", [*told, *untold], is_circular=False)
    assert (report.name, report.num_items, report.num_unscored, report.num_unparsed) == ("m/with_chance", 350, 0, 300)
    # Two options and "none of them": a third of the drawn letters is right.
    assert report.value == pytest.approx((50 + 100) / 350, abs=0.06)
    assert report == report_with_chance("m", [*untold, *told], is_circular=False)[0].model_copy(
        update={"ci_low": report.ci_low, "ci_high": report.ci_high}
    )


def test_nothing_is_drawn_without_a_judge_or_where_an_answer_is_missing() -> None:
    unmatched = mmbench_pass(1, "who knows")
    missing = Pass(index=2, answer="A", options={"A": "a dog"}, text=None, why_unscored="timed out")
    assert report_with_chance("m", [unmatched, missing], is_circular=False) == ()


def test_a_question_that_luck_decided_on_is_counted_also_when_it_came_out_right() -> None:
    drawn = Pass(index=1, answer="A", options={"A": "x", "B": "y"}, text="?", judged="A", is_drawn=True)
    score = score_circular([drawn])[0].score
    assert (score.value, score.why) == (1.0, "unparsed")
