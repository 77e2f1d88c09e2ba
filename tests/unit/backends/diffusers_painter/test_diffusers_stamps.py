import io
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from PIL import Image
from safetensors.torch import load_file, save_file

from stablellava.backends.adapters.diffusers_painter import DiffusersPainter, repaint_from
from stablellava.backends.adapters.diffusers_painter.stamping import hash_pixels
from stablellava.backends.picture_stamps import read_stamp
from stablellava.core.errors import ConfigError, RecordError
from stablellava.core.sample import Painted, PaintJob
from tiny_diffusion import flux, latent_consistency, pixart, save_tiny

pytestmark = pytest.mark.filterwarnings("ignore:__array__ implementation:DeprecationWarning")  # inside diffusers

PainterBuilder = Callable[..., DiffusersPainter]
JobBuilder = Callable[..., PaintJob]


def paint_images(painter: DiffusersPainter, jobs: list[PaintJob]) -> list[bytes]:
    results = painter.paint(jobs)
    assert all(isinstance(result, Painted) for result in results)
    return [result.image for result in results if isinstance(result, Painted)]


@pytest.mark.parametrize("image_format", ["png", "webp"])
def test_a_picture_carries_what_it_was_painted_from(
    image_format: str, build_painter: PainterBuilder, make_job: JobBuilder, models: dict[str, Path]
) -> None:
    job = make_job(text="caf\u00e9, on the beach", emphasis=(("caf\u00e9", 1.2),), negative="blurry")
    painter = build_painter("sdxl", image_format=image_format, guidance=4.0)
    [image] = paint_images(painter, [job])
    with Image.open(io.BytesIO(image)) as picture:
        assert picture.format == image_format.upper()
        pixels_sha256 = hash_pixels(picture)
    stamp = read_stamp(image)
    assert (stamp.text, stamp.emphasis, stamp.negative, stamp.seed) == (job.text, job.emphasis, "blurry", job.seed)
    assert (stamp.width_px, stamp.height_px, stamp.steps, stamp.guidance) == (32, 32, 2, 4.0)
    assert (stamp.model, stamp.model_revision) == ("tiny-sdxl", painter.session.files.model.revision)
    assert (stamp.pipeline, stamp.scheduler) == ("StableDiffusionXLPipeline", "EulerDiscreteScheduler")
    assert {"diffusers", "torch", "transformers", "pillow"} <= stamp.libraries.keys()
    assert image_format == "webp" or stamp.pixels_sha256 == pixels_sha256
    assert str(models["sdxl"].parent).encode() not in image


@pytest.mark.parametrize("family", ["sd", "sdxl", "sd3"])
def test_a_picture_is_painted_again_to_the_byte_from_what_is_inside_it(
    family: str, build_painter: PainterBuilder, make_job: JobBuilder, models: dict[str, Path], tmp_path: Path
) -> None:
    images = paint_images(build_painter(family, negative="dark"), [make_job(number) for number in range(6)])
    moved = shutil.copytree(models[family], tmp_path / "moved")
    assert repaint_from(images[2], model=str(moved)) == images[2]
    assert repaint_from(read_stamp(images[5]), model=str(moved)) == images[5]


@pytest.mark.parametrize(
    ("build", "text_mode", "call_options"),
    [
        (flux, "plain words", {"true_cfg_scale": 2.0}),
        (pixart, "plain words", {"use_resolution_binning": False}),
        (latent_consistency, "weighted embeddings", {}),
    ],
)
def test_further_families_paint_and_are_painted_again(
    build: Callable[[], Any], text_mode: str, call_options: dict[str, Any], make_job: JobBuilder, tmp_path: Path
) -> None:
    model = str(save_tiny(build(), tmp_path / "model"))
    painter = DiffusersPainter(model=model, steps=2, batch_size=2, call_options=call_options)
    images = paint_images(painter, [make_job(number, negative="blurry") for number in range(3)])
    assert len(set(images)) == 3
    assert read_stamp(images[1]).text_mode == text_mode
    assert repaint_from(images[1], model=model) == images[1]


def test_a_picture_of_more_threads_is_painted_again_with_as_many(
    build_painter: PainterBuilder, make_job: JobBuilder, models: dict[str, Path]
) -> None:
    jobs = [make_job(number, width_px=128, height_px=128) for number in range(4)]
    torch.set_num_threads(2)
    try:
        images = paint_images(build_painter(), jobs)
    finally:
        torch.set_num_threads(1)
    assert read_stamp(images[0]).threads == 2
    assert repaint_from(images[0], model=str(models["sd"])) == images[0]
    assert torch.get_num_threads() == 1


def test_scaled_webp_with_options_is_painted_again_to_the_byte(
    build_painter: PainterBuilder, make_job: JobBuilder, models: dict[str, Path]
) -> None:
    options = {"image_format": "webp", "paint_size_px": 64, "scheduler": "EulerAncestralDiscrete", "unsafe": "record"}
    [image] = paint_images(build_painter("flagging", **options), [make_job()])
    assert repaint_from(image, model=str(models["flagging"])) == image


def test_painting_again_names_what_differs(
    build_painter: PainterBuilder, make_job: JobBuilder, models: dict[str, Path]
) -> None:
    [image] = paint_images(build_painter(), [make_job()])
    with pytest.raises(
        ConfigError, match=r"say where it lies: --model FOLDER, or repaint_from\(\.\.\., model='FOLDER'\)"
    ):
        repaint_from(image)
    with pytest.raises(ConfigError, match=r"model 'tiny-sd' had revision \w+, here it has"):
        repaint_from(image, model=str(models["passing"]))
    stamp = read_stamp(image)
    other = stamp.model_copy(update={"libraries": {**stamp.libraries, "torch": "1.0"}})
    with pytest.raises(ConfigError, match=r"torch was 1\.0, here it is"):
        repaint_from(other, model=str(models["sd"]))
    likeness = repaint_from(other, must_match=False, model=str(models["sd"]))
    assert read_stamp(likeness).pixels_sha256 == stamp.pixels_sha256


def test_a_picture_of_another_origin_cannot_be_painted_again() -> None:
    stream = io.BytesIO()
    Image.new("RGB", (8, 8)).save(stream, "PNG")
    with pytest.raises(RecordError, match="holds no stamp"):
        repaint_from(stream.getvalue())


def test_the_revision_changes_with_all_that_shapes_a_picture_and_with_nothing_else(
    build_painter: PainterBuilder, models: dict[str, Path], tmp_path: Path
) -> None:
    revision = build_painter().revision
    assert build_painter(device="cpu", attribution="Mine.").revision == revision
    changes = (
        {"steps": 3}, {"guidance": 3.0}, {"scheduler": "EulerDiscrete"}, {"negative": "dark"}, {"paint_size_px": 64},
        {"emphasis": "words"}, {"dtype": "bfloat16"}, {"image_format": "webp"}, {"batch_size": 2}, {"unsafe": "record"},
    )  # fmt: skip
    assert len({revision, *(build_painter(**change).revision for change in changes)}) == len(changes) + 1
    changed = shutil.copytree(models["sd"], tmp_path / "tiny-sd")
    assert DiffusersPainter(model=str(changed), steps=2, batch_size=4).revision == revision
    weights = changed / "unet" / "diffusion_pytorch_model.safetensors"
    tensors = load_file(weights)
    tensors[next(iter(tensors))][0] += 1
    save_file(tensors, weights, {"format": "pt"})
    assert DiffusersPainter(model=str(changed), steps=2, batch_size=4).revision != revision


def test_the_data_card_names_the_model_or_what_is_given(build_painter: PainterBuilder) -> None:
    assert build_painter().attribution == "Pictures painted by tiny-sd."
    assert build_painter(attribution="CC0").attribution == "CC0"
