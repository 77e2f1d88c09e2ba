import functools
import io
import logging
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from diffusers import StableDiffusionPipeline
from numpy.typing import NDArray
from peft import LoraConfig, get_peft_model_state_dict
from PIL import Image

from stablellava.backends.adapters.diffusers_painter import DiffusersPainter
from stablellava.backends.catalog import build_backend
from stablellava.backends.picture_stamps import read_stamp
from stablellava.backends.protocols import StreamingPainter
from stablellava.core.errors import BackendFailed, ConfigError
from stablellava.core.sample import Painted, PaintJob, PaintRefusal
from tiny_diffusion import save_tiny, stable_diffusion, stable_diffusion_xl

pytestmark = pytest.mark.filterwarnings("ignore:__array__ implementation:DeprecationWarning")  # inside diffusers

PainterBuilder = Callable[..., DiffusersPainter]
JobBuilder = Callable[..., PaintJob]
FAMILIES = ("sd", "sdxl", "sd3")
TOLERANCE_LEVELS = 1
"""Of 255: kernels of another batch size may add up in another order, which can tip a pixel that lies on an edge."""


def painted(result: Painted | PaintRefusal) -> Painted:
    assert isinstance(result, Painted)
    return result


def pixels(result: Painted | PaintRefusal) -> NDArray[np.int16]:
    with Image.open(io.BytesIO(painted(result).image)) as picture:
        return np.asarray(picture).astype(np.int16)


@pytest.mark.parametrize("family", FAMILIES)
def test_a_picture_is_the_same_whatever_is_painted_with_it(
    family: str, build_painter: PainterBuilder, make_job: JobBuilder
) -> None:
    painter = build_painter(family)
    jobs = [make_job(number, negative="blurry" if number % 2 else "") for number in range(6)]
    together = painter.paint(jobs)
    alone = [painter.paint([job])[0] for job in reversed(jobs)][::-1]
    for first, second in zip(together, alone, strict=True):
        difference = np.abs(pixels(first) - pixels(second))
        assert difference.max() <= TOLERANCE_LEVELS
        assert (difference > 0).mean() < 0.01
    assert len({painted(result).image for result in together}) == 6


def test_padded_batches_give_the_same_bytes_whatever_is_painted_together(
    build_painter: PainterBuilder, make_job: JobBuilder
) -> None:
    painter = build_painter("sdxl", pad_batches=True)
    jobs = [make_job(number) for number in range(6)]
    together = painter.paint(jobs)
    assert together == [painter.paint([job])[0] for job in jobs]


def test_the_same_batch_gives_the_same_bytes_in_another_painter(
    build_painter: PainterBuilder, make_job: JobBuilder
) -> None:
    jobs = [make_job(number) for number in range(3)]
    assert build_painter().paint(jobs) == build_painter().paint(jobs)


def test_the_catalog_builds_a_painter_that_streams(build_painter: PainterBuilder, make_job: JobBuilder) -> None:
    model = build_painter().session.files.model.folder
    painter = build_backend("painter", "diffusers", {"model": str(model), "steps": 2, "batch_size": 2})
    assert isinstance(painter, StreamingPainter)
    batches = [[make_job(0), make_job(1)], [], [make_job(2)]]
    assert list(painter.paint_batches(batches)) == [painter.paint(batch) for batch in batches]


def test_a_batch_that_is_painted_comes_out_before_the_error_of_the_next(
    build_painter: PainterBuilder, make_job: JobBuilder
) -> None:
    batches = build_painter(call_options={"guidance_rescale": "much"}).paint_batches([[], [make_job()]])
    assert next(batches) == []
    with pytest.raises(BackendFailed, match="refused the call"):
        next(batches)


@pytest.mark.parametrize(("width_px", "height_px"), [(32, 48), (40, 24), (50, 33)])
def test_the_picture_has_the_size_asked_for(
    width_px: int, height_px: int, build_painter: PainterBuilder, make_job: JobBuilder
) -> None:
    [result] = build_painter().paint([make_job(width_px=width_px, height_px=height_px)])
    assert pixels(result).shape == (height_px, width_px, 3)


def test_a_model_paints_at_its_own_size_and_is_scaled_to_the_one_asked_for(
    build_painter: PainterBuilder, make_job: JobBuilder
) -> None:
    [result] = build_painter(paint_size_px=64).paint([make_job()])
    stamp = read_stamp(painted(result).image)
    assert (stamp.painted_width_px, stamp.painted_height_px, stamp.width_px) == (64, 64, 32)
    assert pixels(result).shape == (32, 32, 3)


class ShortOfMemory(StableDiffusionPipeline):
    """Holds two pictures at once."""

    sizes: list[int] = []
    max_rows = 2

    @functools.wraps(StableDiffusionPipeline.__call__)
    def __call__(self, *args: Any, **arguments: Any) -> Any:
        self.sizes.append(len(arguments["prompt_embeds"]))
        if len(arguments["prompt_embeds"]) > self.max_rows:
            raise torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 2.00 GiB.")
        return super().__call__(*args, **arguments)


class OutOfMemory(ShortOfMemory):
    max_rows = 0


def around(pipeline_class: Any, batch_size: int = 8) -> DiffusersPainter:
    ShortOfMemory.sizes.clear()
    pipeline = stable_diffusion(pipeline_class=pipeline_class)
    return DiffusersPainter.from_pipeline(pipeline, "r1", model="tiny", steps=2, batch_size=batch_size)


def test_out_of_memory_halves_the_batch_for_the_rest_of_the_run_and_changes_no_picture(
    make_job: JobBuilder, caplog: pytest.LogCaptureFixture
) -> None:
    painter = around(ShortOfMemory)
    jobs = [make_job(number) for number in range(8)]
    results = painter.paint(jobs) + painter.paint(jobs[:3])
    assert ShortOfMemory.sizes == [8, 4, 2, 2, 2, 2, 2, 1]
    assert "from here on 2" in caplog.text
    in_twos = around(StableDiffusionPipeline, batch_size=2).paint(jobs)
    assert all(np.array_equal(pixels(first), pixels(second)) for first, second in zip(results, in_twos, strict=False))


def test_memory_that_does_not_hold_one_picture_is_an_error_with_advice(make_job: JobBuilder) -> None:
    with pytest.raises(BackendFailed, match="cpu_offload"):
        around(OutOfMemory).paint([make_job()])


def test_flagged_pictures_are_refused_or_recorded_and_never_black(
    build_painter: PainterBuilder, make_job: JobBuilder
) -> None:
    jobs = [make_job(0), make_job(1)]
    refused = build_painter("flagging").paint(jobs)
    assert refused == [PaintRefusal(painting_id=job.painting_id, reason="unsafe_image") for job in jobs]
    recorded = build_painter("flagging", unsafe="record").paint(jobs)
    passed = build_painter("passing").paint(jobs)
    unchecked = build_painter("sd").paint(jobs)
    verdicts = [read_stamp(painted(results[0]).image).safety for results in (recorded, passed, unchecked)]
    assert verdicts == ["flagged", "passed", "not_checked"]
    assert pixels(recorded[0]).std() > 1
    assert np.array_equal(pixels(recorded[0]), pixels(unchecked[0]))


def test_a_refiner_takes_the_last_steps(build_painter: PainterBuilder, make_job: JobBuilder, tmp_path: Path) -> None:
    base = build_painter("sdxl", steps=5)
    own = str(base.session.files.model.folder)
    other = str(save_tiny(stable_diffusion_xl(seed=1), tmp_path / "other"))
    relayed, refined = (build_painter("sdxl", steps=5, refiner=refiner, refiner_start=0.6) for refiner in (own, other))
    [plain], [same], [better] = (painter.paint([make_job()]) for painter in (base, relayed, refined))
    assert np.abs(pixels(plain) - pixels(same)).max() <= TOLERANCE_LEVELS
    assert np.abs(pixels(plain) - pixels(better)).max() > TOLERANCE_LEVELS
    assert len({painter.revision for painter in (base, relayed, refined)}) == 3
    with pytest.raises(ConfigError, match="only SDXL"):
        build_painter("sd", refiner=other).paint([make_job()])


def test_a_lora_is_merged_with_its_scale_and_counts_in_the_revision(
    build_painter: PainterBuilder, make_job: JobBuilder, tmp_path: Path
) -> None:
    pipeline = stable_diffusion()
    torch.manual_seed(5)
    pipeline.unet.add_adapter(LoraConfig(r=2, target_modules=["to_q", "to_v"], init_lora_weights=False))
    StableDiffusionPipeline.save_lora_weights(tmp_path, unet_lora_layers=get_peft_model_state_dict(pipeline.unet))
    [path] = tmp_path.glob("*.safetensors")
    painters = [
        build_painter(loras=[{"path": str(path), "scale": scale}]) if scale is not None else build_painter()
        for scale in (None, 0.0, 8.0)
    ]
    plain, without, strong = (pixels(painter.paint([make_job()])[0]) for painter in painters)
    assert np.abs(plain - without).max() <= TOLERANCE_LEVELS
    assert np.abs(plain - strong).max() > TOLERANCE_LEVELS
    assert len({painter.revision for painter in painters}) == 3


def test_a_scheduler_is_chosen_by_name_and_stamped(build_painter: PainterBuilder, make_job: JobBuilder) -> None:
    [result] = build_painter(scheduler="EulerAncestralDiscrete").paint([make_job()])
    assert read_stamp(painted(result).image).scheduler == "EulerAncestralDiscreteScheduler"


@pytest.mark.parametrize("scheduler", ["EulerAncestralDiscrete", "DPMSolverMultistep", "LCM"])
def test_schedulers_that_add_noise_take_it_from_the_picture_alone(
    scheduler: str, build_painter: PainterBuilder, make_job: JobBuilder
) -> None:
    options = {"algorithm_type": "sde-dpmsolver++"} if scheduler == "DPMSolverMultistep" else {}
    painter = build_painter(scheduler=scheduler, scheduler_options=options, steps=3)
    together = painter.paint([make_job(number) for number in range(3)])
    [alone] = painter.paint([make_job(2)])
    assert np.abs(pixels(together[2]) - pixels(alone)).max() <= TOLERANCE_LEVELS


@pytest.mark.parametrize(
    ("scheduler", "message"),
    [
        ("EulerDiscreet", "Did you mean 'EulerDiscreteScheduler'"),
        ("DPMSolverSDE", "noise of its own"),
        ("FlowMatchHeunDiscrete", "not for diffusion models"),
    ],
)
def test_schedulers_that_cannot_serve_are_refused(
    scheduler: str, message: str, build_painter: PainterBuilder, make_job: JobBuilder
) -> None:
    with pytest.raises(ConfigError, match=message):
        build_painter(scheduler=scheduler).paint([make_job()])


def test_memory_savers_change_no_more_than_the_last_bits(build_painter: PainterBuilder, make_job: JobBuilder) -> None:
    jobs = [make_job(0), make_job(1)]
    plain = build_painter().paint(jobs)
    saving = build_painter(attention_slicing=True, vae_slicing=True).paint(jobs)
    for first, second in zip(plain, saving, strict=True):
        assert np.abs(pixels(first) - pixels(second)).max() <= TOLERANCE_LEVELS


def test_what_was_chosen_is_said_once(
    build_painter: PainterBuilder, make_job: JobBuilder, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.WARNING)
    painter = build_painter("sd3", batch_size="auto", negative="blurry")
    painter.paint([make_job(0)])
    painter.paint([make_job(1)])
    said = [record.getMessage() for record in caplog.records]
    assert len(said) == len(set(said))
    assert any("tiny-sd3 on cpu in torch.float32" in line for line in said)
    assert any("emphasis as plain words, because StableDiffusion3Pipeline" in line for line in said)
    assert any("pictures of 32 x 32 at once" in line for line in said)


@pytest.mark.filterwarnings("ignore:`torch.jit:DeprecationWarning")  # inside torch
def test_a_compiled_denoiser_paints_the_same(build_painter: PainterBuilder, make_job: JobBuilder) -> None:
    painter = build_painter(compile=True, pad_batches=True)
    with torch.compiler.set_stance("force_eager"):  # generating code for it takes minutes
        [result] = painter.paint([make_job()])
    assert painter.session.canvas.pipeline.unet._compiled_call_impl is not None
    plain = build_painter(pad_batches=True).paint([make_job()])[0]
    assert (pixels(result) == pixels(plain)).all()
