import io
from pathlib import Path

import numpy as np
import pytest
from PIL import Image, ImageDraw

from stablellava.filters.benchmark_items import BenchmarkIndex
from stablellava.filters.blank_image import judge_content
from stablellava.store.images import decode_picture


def scene(seed: int, size: int = 224) -> Image.Image:
    """A backdrop that all scenes share, with a few figures of their own."""
    draw = np.random.default_rng(seed)
    image = Image.new("RGB", (size, size), (120, 180, 230))
    canvas = ImageDraw.Draw(image)
    canvas.rectangle((0, size // 2, size, size), fill=(210, 190, 120))
    for _ in range(4):
        x, y, side = draw.integers(0, size - 60), draw.integers(0, size - 60), draw.integers(30, 80)
        color = tuple(int(value) for value in draw.integers(0, 255, 3))
        canvas.ellipse((int(x), int(y), int(x + side), int(y + side)), fill=color)
    return image


def encode(image: Image.Image, form: str = "PNG", quality: int = 80) -> bytes:
    buffer = io.BytesIO()
    image.save(buffer, form, quality=quality)
    return buffer.getvalue()


def write(path: Path, data: bytes) -> tuple[Path, str]:
    path.write_bytes(data)
    return path, decode_picture(data, "x").perceptual_hash


def test_a_benchmark_picture_is_found_resized_and_re_encoded_and_others_are_not(tmp_path: Path) -> None:
    index = BenchmarkIndex()
    for seed in range(40):
        index.add_image(f"item{seed}", write(tmp_path / f"{seed}.png", encode(scene(seed)))[0])
    for seed in range(40):
        match = index.match_image(*write(tmp_path / f"{seed}.jpg", encode(scene(seed).resize((160, 150)), "JPEG", 55)))
        assert match is not None
        assert (match.kind, match.name) == ("benchmark_image", f"item{seed}")
    for seed in range(40, 240):
        assert index.match_image(*write(tmp_path / f"{seed}.png", encode(scene(seed)))) is None


@pytest.mark.parametrize(
    ("asked", "found"),
    [
        ("What does the man with the red jacket hold in his left hand?", True),
        ("What is the man in a red jacket holding in the left hand?", True),
        ("What is the woman in the red jacket eating for lunch?", False),
        ("What is in the picture?", False),
    ],
)
def test_a_reworded_question_is_found(asked: str, found: bool) -> None:
    index = BenchmarkIndex()
    index.add_question("q1", "What is the man in the red jacket holding in his left hand?")
    index.add_question("q2", "How many boats are moored at the wooden pier?")
    match = index.match_question(asked)
    assert (match.name if match else None) == ("q1" if found else None)


def test_a_short_question_belongs_to_no_benchmark() -> None:
    index = BenchmarkIndex()
    index.add_question("q", "What color is the car?")
    assert index.num_questions == 0
    assert index.match_question("What color is the car?") is None


def test_blank_and_noisy_pictures_are_refused() -> None:
    noise = np.random.default_rng(0).integers(0, 255, (96, 96, 3), dtype=np.uint8)
    assert judge_content(encode(Image.new("RGB", (96, 96), (0, 0, 0)))).reason == "image_blank"
    assert judge_content(encode(Image.fromarray(noise))).reason == "image_noise"
    assert judge_content(encode(scene(1))).kept
