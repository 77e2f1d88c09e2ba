"""Seconds per step and per epoch of the demo's model with every way to train faster off, and on.

python -m benchmarks.demo_epoch --run RUN --keep
python -m benchmarks.demo_epoch --run RUN --steps 20 --rounds 3 --stages instruct

RUN holds the demo's samples: ``stablellava synthesize --preset demo --run RUN``. Both stages take their steps by
gradient, on the same samples; off, they stand padded in the order they were drawn, the tower runs in every step and
every position is projected to the vocabulary. The first step warms up. An epoch is extrapolated from the seconds per
token of the steps; on, it also runs the tower once over every sample's picture, at the rate of 64 of them.
Processor seconds say what a loaded machine's clock hides.
"""

import argparse
import json
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from statistics import median
from typing import Any

from benchmarks.recording import describe_run, keep_result

from stablellava.config.loading import load_config
from stablellava.model.checkpoints import load_vlm
from stablellava.model.feature_cache import FeatureCache
from stablellava.store.layout import RunLayout
from stablellava.store.shards import read_samples
from stablellava.training.stages import train_stage
from stablellava.training.step_log import read_step_log

OFF = ["cached_features=false", "answers_only=false", "short_last_layer=false", "packing=false"]
NUM_PICTURES = 64
BATCH_SIZES = {"align": 16, "instruct": 8}


def read_clocks() -> tuple[float, float]:
    """Return wall and processor seconds."""
    return time.perf_counter(), time.process_time()


def elapsed(before: tuple[float, float], after: tuple[float, float]) -> list[float]:
    return [late - early for early, late in zip(before, after, strict=True)]


def train_once(run: Path, stage: str, is_on: bool, steps: int, threads: int) -> dict[str, Any]:
    """Train some steps and return what they took; runs in a process of its own."""
    overrides = [
        f"training.{stage}.num_samples={(steps + 1) * BATCH_SIZES[stage]}",
        f"training.{stage}.batch_size={BATCH_SIZES[stage]}",
        "training.align.method=gradient",
        f"training.num_threads={threads}",
        *([] if is_on else [f"training.{stage}.group_by_length=false", *(f"training.speed.{off}" for off in OFF)]),
    ]
    layout = RunLayout(run)
    step_ends: list[tuple[float, float]] = []

    def note(part: str, done: int, total: int, text: str) -> None:
        del done, total, text
        if part == "steps":
            step_ends.append(read_clocks())

    train_stage(load_config(preset="demo", overrides=overrides), layout, stage, note)  # type: ignore[arg-type]
    rows = read_step_log(layout.training_log_path(stage))
    return {
        "tokens": sum(row.tokens for row in rows[1:]),
        "samples": sum(row.samples for row in rows),
        "tokens_per_sample": sum(row.tokens for row in rows) / sum(row.samples for row in rows),
        "steps": elapsed(step_ends[0], step_ends[-1]),
        "features_per_picture": time_tower(layout, stage) if is_on else [0.0, 0.0],
        "first_loss": rows[0].loss,
    }


def time_tower(layout: RunLayout, stage: str) -> list[float]:
    """Return wall and processor seconds that a picture takes on its way through the tower."""
    vlm = load_vlm(layout.model_dir(stage))
    pictures = sorted((layout.data_dir / "images").rglob("*.png"))[:NUM_PICTURES]
    started = read_clocks()
    FeatureCache(None, vlm.model, vlm.processor.image_processor).compute(pictures)
    return [seconds / NUM_PICTURES for seconds in elapsed(started, read_clocks())]


def extrapolate(done: list[dict[str, Any]], num_samples: int, batch_size: int, kind: int) -> dict[str, float]:
    """Return seconds per step and per epoch; ``kind`` 0 are wall seconds, 1 processor seconds."""
    per_token = median(one["steps"][kind] / one["tokens"] for one in done)
    per_picture = median(one["features_per_picture"][kind] for one in done)
    per_sample = per_token * done[0]["tokens_per_sample"]
    return {
        "per_step": round(per_sample * batch_size, 3),
        "features_per_epoch": round(per_picture * num_samples, 1),
        "per_epoch": round((per_sample + per_picture) * num_samples, 1),
    }


def link_run(source: Path, target: Path, stage: str, aligned: Path | None) -> Path:
    """Make a run directory of its own on the same samples; instruct also finds what align left."""
    target.mkdir()
    RunLayout(target).data_dir.symlink_to(RunLayout(source).data_dir.resolve())
    if stage == "instruct" and aligned is not None:
        RunLayout(target).model_dir("align").parent.mkdir()
        RunLayout(target).model_dir("align").symlink_to(aligned)
    return target


def measure(stage: str, options: argparse.Namespace, scratch: Path, num_samples: int) -> dict[str, Any]:
    """Return both variants' seconds and how many times faster the stage is with everything on."""
    done: dict[str, list[dict[str, Any]]] = {"off": [], "on": []}
    aligned = scratch / "align-on-0" / "model" / "align"
    for number in range(options.rounds):
        for name in done:
            run = link_run(options.run, scratch / f"{stage}-{name}-{number}", stage, aligned)
            out = run / "seconds.json"
            command = [sys.executable, "-m", "benchmarks.demo_epoch", "--run", str(run), "--one", stage, name]
            command += ["--steps", str(options.steps), "--threads", str(options.threads), "--out", str(out)]
            subprocess.run(command, check=True, stdout=subprocess.DEVNULL)
            done[name].append(json.loads(out.read_text()))
    batch_size = BATCH_SIZES[stage]
    table: dict[str, Any] = {"samples_per_epoch": num_samples, "steps_per_epoch": -(-num_samples // batch_size)}
    for place, kind in enumerate(("wall_seconds", "processor_seconds")):
        rows = {name: extrapolate(runs, num_samples, batch_size, place) for name, runs in done.items()}
        rows["times"] = {key: round(rows["off"][key] / rows["on"][key], 2) for key in ("per_step", "per_epoch")}
        table[kind] = rows
    print(stage, json.dumps(table, indent=1), flush=True)
    return table


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--run", type=Path, required=True)
    parser.add_argument("--stages", nargs="*", default=["align", "instruct"])
    parser.add_argument("--steps", type=int, default=8)
    parser.add_argument("--rounds", type=int, default=1)
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--keep", action="store_true", help="Keep the result in benchmarks/results.")
    parser.add_argument("--one", nargs=2, metavar=("STAGE", "on|off"), help=argparse.SUPPRESS)
    parser.add_argument("--out", type=Path, help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.one:
        stage, switches = options.one
        options.out.write_text(
            json.dumps(train_once(options.run, stage, switches == "on", options.steps, options.threads))
        )
        return
    num_samples = sum(1 for _ in read_samples(RunLayout(options.run).data_dir))
    result: dict[str, Any] = {**describe_run(), "steps": options.steps, "threads": options.threads, "stages": {}}
    with tempfile.TemporaryDirectory() as folder:
        for stage in ("align", "instruct"):
            if stage in options.stages:
                result["stages"][stage] = measure(stage, options, Path(folder), num_samples)
            elif stage == "align":
                # Instruct starts from what align leaves.
                run = link_run(options.run, Path(folder) / "align-on-0", stage, None)
                train_once(run, stage, True, 1, options.threads)
    if options.keep:
        print(keep_result("demo-epoch", result))


if __name__ == "__main__":
    main()
