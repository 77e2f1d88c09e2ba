import json
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import pytest
from PIL import Image

from stablellava.core.score import Answer, EvalItem, EvalLog, EvalLogEntry
from stablellava.evaluation.reporting import build_reports
from stablellava.evaluation.scoring import score_answer, unscored

SuiteWriter = Callable[[Sequence[dict[str, Any]]], Path]
LogBuilder = Callable[..., EvalLog]


@pytest.fixture
def write_suite(tmp_path: Path) -> SuiteWriter:
    """Write a suite folder with one small picture, ``images/a.png``."""

    def write(rows: Sequence[dict[str, Any]]) -> Path:
        folder = tmp_path / "suite"
        (folder / "images").mkdir(parents=True, exist_ok=True)
        Image.new("RGB", (8, 8), "teal").save(folder / "images" / "a.png")
        (folder / "items.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows), encoding="utf-8")
        return folder

    return write


@pytest.fixture
def build_log() -> LogBuilder:
    """Build a log from {capability: "1101-"}: right, wrong and unscored items."""

    def build(marks: dict[str, str], model: str = "model", suite: str = "generated", form: str = "wh") -> EvalLog:
        entries = []
        for capability, outcome in marks.items():
            for index, mark in enumerate(outcome):
                item = EvalItem(
                    item_id=f"{capability}-{index}",
                    capability=capability,
                    images=("a.png",),
                    question="What is it?",
                    accepted=("cat",) if form == "wh" else ("yes",),
                    form=form,  # type: ignore[arg-type]
                )
                right = "a cat" if form == "wh" else "yes"
                answer = Answer(item_id=item.item_id, prompt="", text=right if mark == "1" else "a dog")
                score = unscored(item, "no answer") if mark == "-" else score_answer(item, answer)
                entries.append(EvalLogEntry(item=item, answer=answer, score=score))
        return EvalLog(
            suite=suite,
            model=model,
            model_fingerprint=model,
            data_fingerprint=suite,
            created="2025-01-01T00:00:00+00:00",
            package_version="0",
            reports=build_reports(entries),
            entries=tuple(entries),
        )

    return build
