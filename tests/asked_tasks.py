"""Tasks of small files, asked of scripted models and judges."""

from collections.abc import Callable, Sequence
from pathlib import Path

import benchmark_files as files
from stablellava.core.score import Answer, EvalItem, Judgement, TaskLog, TaskReport
from stablellava.evaluation.benchmarks.base import JudgeRequest
from stablellava.evaluation.benchmarks.loading import LoadedTask, load_task
from stablellava.evaluation.benchmarks.registry import find_task
from stablellava.evaluation.benchmarks.running import run_task


class Scripted:
    """Says what a function of the item says, and remembers what it was asked."""

    def __init__(self, say: Callable[[EvalItem], str], fingerprint: str = "weights") -> None:
        self.name = "scripted"
        self.fingerprint = fingerprint
        self.say = say
        self.asked: list[str] = []

    def answer(self, items: Sequence[EvalItem], image_dir: str) -> list[Answer]:
        self.asked += [item.item_id for item in items]
        for item in items:
            assert all((Path(image_dir) / name).is_file() for name in item.images)
        return [Answer(item_id=i.item_id, prompt=f"USER: {i.question}", text=self.say(i)) for i in items]


class Losses:
    name = "losses"
    fingerprint = "weights"

    def option_losses(
        self, items: Sequence[EvalItem], options: Sequence[Sequence[str]], image_dir: str
    ) -> list[tuple[float, ...]]:
        return [tuple(abs(len(text) - 5) for text in texts) for texts in options]


class ScriptedJudge:
    name = "judge"
    fingerprint = "judge-1"

    def __init__(self, say: Callable[[JudgeRequest], str | None]) -> None:
        self.say = say
        self.asked: list[JudgeRequest] = []

    def judge(self, requests: Sequence[JudgeRequest]) -> list[Judgement]:
        self.asked += requests
        return [self._one(request) for request in requests]

    def _one(self, request: JudgeRequest) -> Judgement:
        text = self.say(request)
        why = "" if text is not None else "timed_out"
        return Judgement(
            request_id=request.request_id, text=text, why=why, run=request.run, is_swapped=request.is_swapped
        )


def load(name: str, folder: Path, variant: str = "") -> LoadedTask:
    return load_task(find_task(name), files.WRITERS[name](folder), folder / "out", variant=variant)


def run(name: str, folder: Path, say: Callable[[EvalItem], str], variant: str = "", **options: object) -> TaskLog:
    loaded = load(name, folder, variant)
    return run_task(loaded, Scripted(say), folder / "out" / "log.jsonl", **options)  # type: ignore[arg-type]


def figures(log: TaskLog) -> dict[str, tuple[float | None, int, int, int]]:
    prefix = f"{log.header.task}:{log.header.variant}"
    return {r.name.removeprefix(prefix): _figure(r) for r in log.header.reports}


def _figure(report: TaskReport) -> tuple[float | None, int, int, int]:
    value = None if report.value is None else round(report.value, 4)
    return value, report.num_items, report.num_unparsed, report.num_unscored
