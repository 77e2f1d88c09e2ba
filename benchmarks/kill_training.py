"""Kill each stage of training at random steps and compare the weights with an uninterrupted run's, byte for byte.

python -m benchmarks.kill_training --kills 5 --keep
python -m benchmarks.kill_training --kills 5 --stages align --seed 1

The demo's model. The steps are drawn from --seed; a kill comes at a random moment after its step was logged, so it hits
forward and backward passes, the optimizer and the writing of checkpoints (every second step). Both runs train the
projector by gradient, then the language model. Exits 1 when a byte differs.
"""

import argparse
import json
import os
import random
import shutil
import signal
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

from benchmarks.kill_and_resume import digests
from benchmarks.recording import COMMAND, describe_run, keep_result

STAGES = ("align", "instruct")
NUM_STEPS = 14
BATCH_SIZES = {"align": 8, "instruct": 4}
SETTINGS = [
    "synthesis.samples_per_capability=10",
    "training.align.method=gradient",
    "training.instruct.train_projector=true",
    *(f"training.{stage}.batch_size={size}" for stage, size in BATCH_SIZES.items()),
    *(f"training.{stage}.num_samples={size * NUM_STEPS}" for stage, size in BATCH_SIZES.items()),
    *(f"training.{stage}.save_every_steps=2" for stage in STAGES),
]


def command_of(verb: list[str], run: Path) -> list[str]:
    return [*COMMAND, *verb, "--preset", "demo", "--run", str(run), *SETTINGS]


def finish(command: list[str]) -> None:
    done = subprocess.run(command, check=False, capture_output=True, text=True)
    if done.returncode:
        raise SystemExit(f"{' '.join(command)} ended with {done.returncode}:\n{done.stderr[-2000:]}")


def count_steps(run: Path, stage: str) -> int:
    """Return how many steps the stage's log holds."""
    path = run / "training" / stage / "log.jsonl"
    return path.read_bytes().count(b"\n") if path.is_file() else 0


def kill_after(command: list[str], run: Path, stage: str, step: int, delay_seconds: float) -> int:
    """Let the stage reach a step, wait, at most for the next, and kill it; return how many steps its log holds."""
    process = subprocess.Popen(command, start_new_session=True, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    while count_steps(run, stage) < step:
        if process.poll() is not None:
            raise SystemExit(f"{' '.join(command)} ended with {process.returncode} before step {step}")
        time.sleep(0.02)
    deadline = time.monotonic() + delay_seconds
    while time.monotonic() < deadline and count_steps(run, stage) <= step:
        time.sleep(0.02)
    if process.poll() is not None:
        raise SystemExit(f"{stage} ended before it was killed after step {step}")
    os.killpg(process.pid, signal.SIGKILL)
    process.wait()
    return count_steps(run, stage)


def draw_steps(draws: random.Random, num_steps: int, num_kills: int) -> list[int]:
    """Return steps to kill after, in order, two apart so that every life takes one; the last one is not among them."""
    room = num_steps - 1 - num_kills
    if room < num_kills:
        raise SystemExit(f"{num_kills} kills need {2 * num_kills + 1} steps, and a stage has {num_steps}")
    return [step + place for place, step in enumerate(sorted(draws.sample(range(1, room + 1), num_kills)))]


def compare_stage(stage: str, whole: Path, killed: Path, draws: random.Random, num_kills: int) -> dict[str, Any]:
    """Train a stage once whole and once with kills; return what was killed and which files differ."""
    started = time.monotonic()
    finish(command_of(["train", "--stage", stage], whole))
    log = (whole / "training" / stage / "log.jsonl").read_text().splitlines()
    step_seconds = statistics.median(_seconds_of(line) for line in log)
    whole_seconds = time.monotonic() - started
    command = command_of(["train", "--stage", stage], killed)
    reached: list[int] = []
    for step in draw_steps(draws, len(log), num_kills):
        # A log still holds what its last life did; a life that gets no further is killed before it trains.
        wanted = max([step, *(last + 1 for last in reached[-1:])])
        reached.append(kill_after(command, killed, stage, wanted, draws.uniform(0, step_seconds)))
    finish(command)
    expected, found = digests(whole, (f"model/{stage}",)), digests(killed, (f"model/{stage}",))
    differing = sorted(name for name in expected.keys() | found.keys() if expected.get(name) != found.get(name))
    result = {
        "steps": len(log),
        "killed_after_steps": reached,
        "files": len(expected),
        "differing": differing,
        "whole_seconds": round(whole_seconds, 1),
        "all_seconds": round(time.monotonic() - started, 1),
    }
    print(stage, result, flush=True)
    return result


def _seconds_of(line: str) -> float:
    return float(json.loads(line)["seconds"])


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--kills", type=int, default=5, help=f"In each stage, which has {NUM_STEPS} steps.")
    parser.add_argument("--stages", nargs="*", default=list(STAGES), choices=STAGES)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--keep", action="store_true", help="Keep the result in benchmarks/results.")
    options = parser.parse_args()
    draws = random.Random(options.seed)
    result: dict[str, Any] = {**describe_run(), "seed": options.seed, "stages": {}}
    with tempfile.TemporaryDirectory() as folder:
        whole, killed = Path(folder) / "whole", Path(folder) / "killed"
        finish(command_of(["synthesize"], whole))
        shutil.copytree(whole, killed)
        for stage in STAGES[: 1 + max(STAGES.index(stage) for stage in options.stages)]:
            if stage in options.stages:
                result["stages"][stage] = compare_stage(stage, whole, killed, draws, options.kills)
            else:
                # Instruct starts from what align leaves.
                finish(command_of(["train", "--stage", stage], whole))
                shutil.copytree(whole, killed, dirs_exist_ok=True)
    if options.keep:
        print(keep_result("kill-training", result))
    return 1 if any(stage["differing"] for stage in result["stages"].values()) else 0


if __name__ == "__main__":
    sys.exit(main())
