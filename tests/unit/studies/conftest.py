import io
from collections.abc import Sequence
from pathlib import Path

import pytest
from PIL import Image

from stablellava.core.draft import CallStamp, Draft, PaintPrompt, Turn
from stablellava.core.sample import Painting, Rejected, Sample, Verdict, turn_down
from stablellava.store.images import decode_picture, store_image
from stablellava.store.layout import RunLayout
from stablellava.store.shards import commit_shard

_STAMP = CallStamp(backend="test")
_CAPABILITIES = ("animal", "food", "plant")


def _sample(data_dir: Path, capability: str, number: int, score: float) -> Sample:
    buffer = io.BytesIO()
    Image.new("RGB", (8, 8), (number, len(capability), 7)).save(buffer, "PNG")
    picture = decode_picture(buffer.getvalue(), "test")
    store_image(data_dir, buffer.getvalue(), picture)
    keyword = f"{capability} {number}"
    painting = Painting(
        painting_id=keyword, sha256=picture.sha256, width_px=8, height_px=8, seed=1,
        perceptual_hash=picture.perceptual_hash, drawn=None, stamp=_STAMP,
    )  # fmt: skip
    draft = Draft(
        draft_id=f"draft {keyword}",
        capability=capability,
        keyword=keyword,
        setting="",
        prompts=(PaintPrompt(text=keyword),),
        turns=(Turn(speaker="user", text="What is it?", images=(0,)), Turn(speaker="assistant", text=f"{keyword}.")),
        stamp=_STAMP,
    )
    verdict = Verdict(filter_name="image_text", kept=True, score=score, threshold=0.5)
    return Sample(sample_id=f"sample {keyword}", draft=draft, paintings=(painting,), verdicts=(verdict,))


def _write_shard(data_dir: Path, capability: str, num: int, num_refused: int) -> None:
    samples: Sequence[Sample] = [_sample(data_dir, capability, number, 0.9) for number in range(num + num_refused)]
    refused: list[Rejected] = [
        turn_down(
            sample.model_copy(update={"verdicts": ()}),
            Verdict(filter_name="image_text", kept=False, reason="below_threshold", score=0.2, threshold=0.5),
        )
        for sample in samples[num:]
    ]
    unpainted = Rejected(draft_id="none", capability=capability, keyword="x", stage="draft", reason="unparsable_answer")
    commit_shard(data_dir, f"{capability}/000", [*samples[:num], *refused, unpainted])


@pytest.fixture
def painted_run(tmp_path: Path) -> RunLayout:
    """A run of three capabilities, 6 kept pairs each, and 2 that a check with a score refused."""
    layout = RunLayout(tmp_path / "mine")
    for capability in _CAPABILITIES:
        _write_shard(layout.data_dir, capability, 6, 2)
    return layout
