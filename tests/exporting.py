"""A small data folder of three capabilities, one of them with several pictures a sample."""

import io
from pathlib import Path

from PIL import Image

from stablellava.core.draft import CallStamp, Draft, PaintPrompt, Turn
from stablellava.core.sample import Painting, Sample
from stablellava.store.export_plan import FileLimits
from stablellava.store.exports import ExportReport, export_samples
from stablellava.store.images import decode_picture, store_image
from stablellava.store.shards import commit_shard

STAMP = CallStamp(backend="test", model="m", revision="r", seconds=1.5, cost=2.0)
NUM_SAMPLES = 26


def write_data(data_dir: Path, salt: int = 0) -> None:
    """Commit 12 animals in two shards, 8 vehicles and 6 pairs of pictures."""
    for name, shard, count, num_images in (
        ("animal", 0, 8, 1),
        ("animal", 1, 4, 1),
        ("pair", 0, 6, 2),
        ("vehicle", 0, 8, 1),
    ):
        samples = [make_sample(data_dir, name, shard * 8 + number + salt, num_images) for number in range(count)]
        commit_shard(data_dir, f"{name}/r00-{shard:05d}", samples)


def make_sample(data_dir: Path, capability: str, number: int, num_images: int) -> Sample:
    paintings = tuple(
        _paint(data_dir, f"{capability}-{number}-{index}", number * 2 + index) for index in range(num_images)
    )
    turns = (
        Turn(speaker="user", text="What is it?", images=tuple(range(num_images))),
        Turn(speaker="assistant", text=f"A {capability}, \u72ac {number}."),
    )
    draft = Draft(
        draft_id=f"{capability}-{number}",
        capability=capability,
        keyword=f"keyword {number % 3}",
        setting="beach",
        prompts=tuple(PaintPrompt(text=f"prompt {index}", emphasis=(("prompt", 1.2),)) for index in range(num_images)),
        turns=turns,
        stamp=STAMP,
    )
    return Sample(sample_id=draft.draft_id, draft=draft, paintings=paintings, verdicts=())


def _paint(data_dir: Path, painting_id: str, number: int) -> Painting:
    buffer = io.BytesIO()
    color = (number * 7 % 256, len(painting_id) * 9 % 256, 40)
    Image.new("RGB", (16, 16), color).save(buffer, format="JPEG" if number % 2 else "PNG")
    picture = decode_picture(buffer.getvalue(), "test")
    store_image(data_dir, buffer.getvalue(), picture)
    return Painting(
        painting_id=painting_id,
        sha256=picture.sha256,
        width_px=16,
        height_px=16,
        seed=2**63 - 1 - number,
        perceptual_hash=picture.perceptual_hash,
        drawn=None,
        stamp=STAMP,
    )


def export(data_dir: Path, out_dir: Path, form: str, **limits: int) -> ExportReport:
    return export_samples(data_dir, out_dir, form, FileLimits(**limits) if limits else None)
