"""How fast painter `diffusers` is beside the bare pipeline, and beside a loop that saves before it goes on.

    python -m benchmarks.painting --model DIR --size 1024 --steps 25 --batch 8 --pictures 64 --rounds 5
    python -m benchmarks.painting                 a pipeline of random weights, built here, on the CPU

Four ways paint the same prompts with the same pipeline, one after the other in every round, in turning order:

    painter   prompts to encoded, stamped PNGs, as in a run
    bare      pipeline(prompt=[...], generator=[...]) in batches of the same size; nothing is encoded or saved
    saving    bare, and each batch is encoded as PNG and written before the next one begins
    one       one prompt at a time, encoded and written before the next one begins: the usual script

Prints pictures a second (median of the rounds) and the painter's rate over the others (median of the rounds'
own ratios), with the shares of the rounds' least and greatest.
"""

import argparse
import statistics
import sys
import tempfile
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import torch
from benchmarks.recording import describe_run, keep_result
from diffusers import AutoPipelineForText2Image, StableDiffusionPipeline
from tests.tiny_diffusion import stable_diffusion, stable_diffusion_xl

from stablellava.backends.adapters.diffusers_painter import DiffusersPainter
from stablellava.core.sample import Painted, PaintJob

TARGET = 0.97
BUILT_HERE = {"sd": stable_diffusion, "sdxl": stable_diffusion_xl}


def make_jobs(count: int, size_px: int) -> list[PaintJob]:
    return [
        PaintJob(
            painting_id=f"p{index}", text=f"red car {index}, on the beach, soft light", emphasis=(("red car", 1.2),),
            negative="blurry", seed=index, width_px=size_px, height_px=size_px,
        )
        for index in range(count)
    ]  # fmt: skip


def call(pipeline: Any, jobs: Sequence[PaintJob], steps: int) -> list[Any]:
    return pipeline(
        prompt=[job.text for job in jobs],
        negative_prompt=[job.negative for job in jobs],
        generator=[torch.Generator("cpu").manual_seed(job.seed) for job in jobs],
        num_inference_steps=steps, width=jobs[0].width_px, height=jobs[0].height_px,
    ).images  # fmt: skip


def paint_bare(pipeline: Any, jobs: Sequence[PaintJob], steps: int, batch: int, folder: Path | None = None) -> None:
    for start in range(0, len(jobs), batch):
        pictures = call(pipeline, jobs[start : start + batch], steps)
        if folder:
            for index, picture in enumerate(pictures):
                picture.save(folder / f"{start + index}.png")


def paint_as_in_a_run(painter: DiffusersPainter, jobs: Sequence[PaintJob], per_call: int = 16) -> None:
    batches = [jobs[start : start + per_call] for start in range(0, len(jobs), per_call)]
    for results in painter.paint_batches(batches):
        assert all(isinstance(result, Painted) for result in results)


def measure(ways: dict[str, Callable[[], None]], rounds: int, num_pictures: int) -> dict[str, list[float]]:
    """Return pictures a second per way and round; the order turns, so that no way always comes first."""
    rates: dict[str, list[float]] = {name: [] for name in ways}
    names = list(ways)
    for way in ways.values():
        way()
    for turn in range(rounds):
        for name in names[turn % len(names) :] + names[: turn % len(names)]:
            started = time.perf_counter()
            ways[name]()
            rates[name].append(num_pictures / (time.perf_counter() - started))
    return rates


def load(options: argparse.Namespace) -> Any:
    if options.model:
        dtype = torch.float16 if torch.cuda.is_available() else torch.float32
        pipeline = AutoPipelineForText2Image.from_pretrained(options.model, dtype=dtype, use_safetensors=True)
    else:
        pipeline = BUILT_HERE[options.build](width=options.width)
    pipeline.set_progress_bar_config(disable=True)
    return pipeline.to("cuda" if torch.cuda.is_available() else "cpu")


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--model", help="folder or hub id; without it a small one is built")
    parser.add_argument("--build", choices=sorted(BUILT_HERE), default="sd")
    parser.add_argument("--width", type=int, default=32, help="channels of the pipeline that is built here")
    parser.add_argument("--size", type=int, default=64)
    parser.add_argument("--steps", type=int, default=6)
    parser.add_argument("--batch", type=int, default=4)
    parser.add_argument("--pictures", type=int, default=16)
    parser.add_argument("--rounds", type=int, default=5)
    options = parser.parse_args()
    pipeline, jobs = load(options), make_jobs(options.pictures, options.size)
    safety = {"safety_checker": None} if isinstance(pipeline, StableDiffusionPipeline) else {}
    for name, value in safety.items():
        setattr(pipeline, name, value)
    painter = DiffusersPainter.from_pipeline(
        pipeline, "benchmark", model="benchmark", steps=options.steps, batch_size=options.batch
    )
    with tempfile.TemporaryDirectory() as scratch:
        folder = Path(scratch)
        rates = measure(
            {
                "painter": lambda: paint_as_in_a_run(painter, jobs),
                "bare": lambda: paint_bare(pipeline, jobs, options.steps, options.batch),
                "saving": lambda: paint_bare(pipeline, jobs, options.steps, options.batch, folder),
                "one": lambda: paint_bare(pipeline, jobs, options.steps, 1, folder),
            },
            options.rounds,
            len(jobs),
        )
    result = {**describe_run(), "options": vars(options), "rates": rates, "ratios": {}}
    for name, values in rates.items():
        ratios = [ours / theirs for ours, theirs in zip(rates["painter"], values, strict=True)]
        result["ratios"][name] = statistics.median(ratios)
        print(
            f"{name:<9}{statistics.median(values):8.2f} pictures/s   painter / {name}: "
            f"{statistics.median(ratios):.3f} ({min(ratios):.3f} to {max(ratios):.3f})"
        )
    print(keep_result("painting", result))
    return 0 if result["ratios"]["bare"] >= TARGET else 1


if __name__ == "__main__":
    sys.exit(main())
