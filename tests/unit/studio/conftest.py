import io
import json
from collections.abc import Callable
from pathlib import Path

import pytest
from PIL import Image

from stablellava.core.draft import CallStamp, Draft, PaintPrompt, Turn
from stablellava.core.sample import Painting, Rejected, Sample, Verdict
from stablellava.core.score import Answer, EvalItem, EvalLog, EvalLogEntry
from stablellava.evaluation.capability_benchmark import write_log
from stablellava.evaluation.reporting import build_reports
from stablellava.evaluation.scoring import score_answer
from stablellava.store.images import decode_picture, store_image
from stablellava.store.layout import RunLayout
from stablellava.store.manifest import DataManifest, write_manifest
from stablellava.store.shards import commit_shard

_STAMP = CallStamp(backend="test")
SampleBuilder = Callable[..., tuple[Sample, list[bytes]]]


def _png(color: str) -> bytes:
    buffer = io.BytesIO()
    Image.new("RGB", (16, 16), color).save(buffer, "PNG")
    return buffer.getvalue()


@pytest.fixture
def build_sample() -> SampleBuilder:
    """Build a sample of "animal" whose texts can be chosen, and its picture."""

    def build(
        number: int = 0, keyword: str = "peacock", answer: str = "A peacock.", color: str = "teal"
    ) -> tuple[Sample, list[bytes]]:
        data = _png(color)
        picture = decode_picture(data, "test")
        draft = Draft(
            draft_id=f"draft-{number}",
            capability="animal",
            keyword=keyword,
            setting="beach",
            prompts=(PaintPrompt(text=f"{keyword}, on the beach, soft light", emphasis=((keyword, 1.2),)),),
            turns=(
                Turn(speaker="user", text="What do you see?", images=(0,)),
                Turn(speaker="assistant", text=answer),
            ),
            stamp=_STAMP,
        )
        painting = Painting(
            painting_id=f"p{number}",
            sha256=picture.sha256,
            width_px=16,
            height_px=16,
            seed=1,
            perceptual_hash=picture.perceptual_hash,
            drawn=None,
            ignored=("soft light",),
            stamp=_STAMP,
        )
        verdict = Verdict(filter_name="keyword_drawn", kept=True, score=1.0)
        sample = Sample(sample_id=f"s{number}", draft=draft, paintings=(painting,), verdicts=(verdict,))
        return sample, [data]

    return build


@pytest.fixture
def layout(tmp_path: Path) -> RunLayout:
    """An empty run directory."""
    (tmp_path / "run").mkdir()
    return RunLayout(tmp_path / "run")


@pytest.fixture
def full_run(layout: RunLayout, build_sample: SampleBuilder) -> RunLayout:
    """A small run in which every part is there."""
    outcomes: list[Sample | Rejected] = []
    for number, color in enumerate(("teal", "navy", "olive")):
        sample, (data,) = build_sample(number, keyword=("peacock", "dog", "cat")[number], color=color)
        store_image(layout.data_dir, data, decode_picture(data, "test"))
        outcomes.append(sample)
    outcomes.append(
        Rejected(
            draft_id="r", capability="animal", keyword="unicorn", stage="paint", reason="keyword_not_drawable",
            detail="no glyph",
        )
    )  # fmt: skip
    commit_shard(layout.data_dir, "animal/000", outcomes)
    manifest = DataManifest(fingerprint="f" * 32, inputs={}, complete=True, attribution="Drawn with Test Emoji.")
    write_manifest(layout.data_dir, manifest)
    for suite, stage, num_right in (
        ("generated", "align", 1), ("generated", "instruct", 9), ("photos", "align", 0), ("photos", "instruct", 1),
    ):  # fmt: skip
        _write_evaluation(layout, suite, stage, num_right)
    for stage in ("align", "instruct"):
        layout.training_dir(stage).mkdir(parents=True)
        rows = [{"step": step, "loss": 2 / step, "learning_rate": 1e-3, "seconds": float(step)} for step in (1, 2, 3)]
        layout.training_log_path(stage).write_text("".join(json.dumps(row) + "\n" for row in rows))
    layout.timing_path.write_text(json.dumps({"synthesize": 12.0, "train": {"align": 61.0}}))
    return layout


def _write_evaluation(layout: RunLayout, suite: str, stage: str, num_right: int) -> None:
    folder = layout.suite_dir(suite) / "images"
    folder.mkdir(parents=True, exist_ok=True)
    entries = []
    for capability in ("animal", "food", "plant"):
        for index in range(10):
            (folder / "a.png").write_bytes(_png("maroon"))
            item = EvalItem(
                item_id=f"{capability}-{index}",
                capability=capability,
                images=("images/a.png",),
                question=f"What {capability} is it?",
                accepted=("cat",),
            )
            text = "a cat" if index < num_right else "a tractor"
            answer = Answer(item_id=item.item_id, prompt="", text=text)
            entries.append(EvalLogEntry(item=item, answer=answer, score=score_answer(item, answer)))
    log = EvalLog(
        suite=suite,
        model=stage,
        model_fingerprint=stage,
        data_fingerprint=suite,
        created="2025-01-01T00:00:00+00:00",
        package_version="0",
        reports=build_reports(entries),
        entries=tuple(entries),
    )
    write_log(log, layout.eval_log_path(suite, stage))
