"""What the difference between our weights and the peers' is made of, on the model and data of training_speed.py.

python -m benchmarks.training_exactness --peer-python PEER/bin/python

Both train the same steps in float32 and in float64. In float64 what remains is a difference of the mathematics: there
is none. The distance from the float64 weights is what each one's rounding costs; the peer with its batches cut in two
says how far it is from itself. Without a warm-up Adam's first step is each gradient over its own size, so
that rounding decides where a gradient is nearly nothing: measured with --warmup 0.
"""

import argparse
import json
import tempfile
from pathlib import Path
from typing import Any

from benchmarks.recording import describe_run, keep_result
from benchmarks.speed_subject import write_subject
from benchmarks.training_speed import BATCH_SIZE, describe_task, largest_difference, run

RUNS: dict[str, dict[str, Any]] = {
    "ours": {"system": "ours", "speed": {}},
    "peer": {"system": "hf"},
    "peer, halves": {"system": "hf", "accumulation": 2},
    "ours, float64": {"system": "ours", "speed": {}, "precision": "float64"},
    "peer, float64": {"system": "hf", "precision": "float64"},
}
PAIRS = {
    "ours and the peer, float64": ("ours, float64", "peer, float64"),
    "ours and the peer, float32": ("ours", "peer"),
    "the peer and itself with batches cut in two, float32": ("peer", "peer, halves"),
    "ours in float32 and float64": ("ours", "ours, float64"),
    "the peer in float32 and float64": ("peer", "peer, float64"),
}


def compare(stage: str, options: argparse.Namespace, scratch: Path) -> dict[str, float]:
    """Return the largest difference of a trained weight, by what was compared."""
    task = describe_task(scratch / "subject", stage, options.steps, 1)
    if options.warmup is not None:
        task["warmup_steps"] = options.warmup
    weights: dict[str, Path] = {}
    for number, (name, spec) in enumerate(RUNS.items()):
        done = run(task | spec, scratch / f"{stage}-{number}", options.peer_python)
        weights[name] = done["weights"]
        print(f"{stage}, {name}: losses {done['losses'][0]:.9f} ... {done['losses'][-1]:.9f}", flush=True)
    differences = {name: largest_difference(weights[one], weights[other]) for name, (one, other) in PAIRS.items()}
    print(json.dumps({stage: differences}, indent=2), flush=True)
    return differences


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--peer-python", required=True, help="Python of an environment with trl.")
    parser.add_argument("--stages", nargs="*", default=["align", "instruct"])
    parser.add_argument("--steps", type=int, default=20)
    parser.add_argument("--warmup", type=int, help="Steps of warm-up; as published: 3 %% of them.")
    parser.add_argument("--keep", action="store_true", help="Keep the result in benchmarks/results.")
    options = parser.parse_args()
    result: dict[str, Any] = {**describe_run(), "steps": options.steps, "warmup": options.warmup, "differences": {}}
    with tempfile.TemporaryDirectory() as folder:
        scratch = Path(folder)
        write_subject(scratch / "subject", options.steps * BATCH_SIZE)
        for stage in options.stages:
            result["differences"][stage] = compare(stage, options, scratch)
    if options.keep:
        print(keep_result("training-exactness", result))


if __name__ == "__main__":
    main()
