"""Samples per second of our trainer beside transformers' Trainer and TRL's SFTTrainer, on the same 24M Llava.

python -m benchmarks.training_speed --peer-python PEER/bin/python
python -m benchmarks.training_speed --steps 5 --rounds 1 --stages align      without peers, small

PEER is an environment of its own with ``pip install torch transformers trl pillow`` of the tested releases.
Same weights, pixels, order of samples, supervised tokens, optimizer and published schedule (1e-3 to align, 2e-5 to
instruct, 3 % warm-up, cosine); float32 on the CPU. Systems take turns; the median round counts. Ours and transformers'
Trainer take part in every round, the others in the first --other-rounds, for --other-steps, and stand beside the same
steps of transformers' Trainer. Data time is part of a step. "cold" adds the time in which the tower fills the cache, as
a first epoch has it; "warm" is every later one, or a second stage over the same pictures. Processor seconds say what a
loaded machine's clock hides; they are comparable with --threads 1. training_exactness.py says what differences of
weights are made of.
"""

import argparse
import json
import math
import statistics
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Any

import torch
from benchmarks.recording import describe_run, keep_result, version_of
from benchmarks.speed_subject import write_subject
from safetensors.torch import load_file

ALL_OFF = {"cached_features": False, "answers_only": False, "short_last_layer": False, "packing": False}
ONE_ON: dict[str, dict[str, bool]] = {
    "off": {},
    "answers_only": {"answers_only": True},
    "packing": {"packing": True},
    "cached_features": {"cached_features": True},
    "answers_only + packing": {"answers_only": True, "packing": True},
    "answers_only + packing + short_last_layer": {"answers_only": True, "packing": True, "short_last_layer": True},
}
BATCH_SIZE = 4
BASELINE = "hf"
LEARNING_RATES = {"align": 1e-3, "instruct": 2e-5}
WARMUP_SHARE = 0.03


def build_specs(options: argparse.Namespace) -> dict[str, dict[str, Any]]:
    """Return what each system is told, in the order of a round."""
    specs: dict[str, dict[str, Any]] = {"ours": {"system": "ours", "speed": {}}}
    if options.peer_python:
        specs |= {name: {"system": name} for name in options.peers}
    if options.switches:
        specs |= {f"ours: {name}": {"system": "ours", "speed": ALL_OFF | on} for name, on in ONE_ON.items()}
        specs["ours: off, grouped by length"] = {"system": "ours", "speed": ALL_OFF, "grouped": True}
    return specs


def run(spec: dict[str, Any], folder: Path, peer_python: str) -> dict[str, Any]:
    """Train in a process of its own and return what it measured."""
    folder.mkdir(parents=True)
    spec_path, out_path = folder / "spec.json", folder / "out.json"
    spec_path.write_text(json.dumps(spec))
    script = Path(__file__).with_name("speed_peers.py")
    program = [sys.executable, "-m", "benchmarks.speed_ours"] if spec["system"] == "ours" else [peer_python, script]
    done = subprocess.run([*program, spec_path, out_path], check=False, capture_output=True, text=True)
    if done.returncode:
        raise SystemExit(f"{spec['system']} failed:\n{done.stderr[-3000:]}")
    return json.loads(out_path.read_text()) | {"weights": out_path.with_suffix(".safetensors")}


def describe_task(subject: Path, stage: str, steps: int, threads: int) -> dict[str, Any]:
    """Return what every system is told alike."""
    return {
        "subject": str(subject),
        "stage": stage,
        "steps": steps,
        "batch_size": BATCH_SIZE,
        "learning_rate": LEARNING_RATES[stage],
        "warmup_steps": math.ceil(WARMUP_SHARE * steps),
        "threads": threads,
        "precision": "float32",
        "accumulation": 1,
        "grouped": False,
    }


def summarize(runs: list[dict[str, Any]], num_steps: int) -> dict[str, Any]:
    """Return rates over the first steps but one, which warms up, and the losses."""
    num_samples = BATCH_SIZE * (num_steps - 1)
    # Every step bears its part of filling the cache.
    shares = [(num_steps - 1) / len(one["seconds"]) for one in runs]
    walls = [sum(one["seconds"][1:num_steps]) for one in runs]
    cold = [wall + one["features_seconds"] * part for wall, one, part in zip(walls, runs, shares, strict=True)]
    processor = [
        sum(one["processor_seconds"][1:num_steps]) + one.get("features_processor_seconds", 0.0) * part
        for one, part in zip(runs, shares, strict=True)
    ]
    return {
        "samples_per_second_warm": round(num_samples / statistics.median(walls), 3),
        "samples_per_second_cold": round(num_samples / statistics.median(cold), 3),
        "samples_per_processor_second_cold": round(num_samples / statistics.median(processor), 3),
        "rounds": [round(num_samples / wall, 3) for wall in walls],
        "steps": num_steps,
        "first_loss": round(runs[0]["losses"][0], 6),
        "last_loss": round(runs[0]["losses"][-1], 6),
        "tokens": runs[0].get("tokens"),
        "supervised_tokens": runs[0].get("supervised_tokens"),
    }


def largest_difference(own: Path, other: Path) -> float:
    """Return the largest absolute difference between weights of the same name."""
    ours, theirs = load_file(own), load_file(other)
    if ours.keys() != theirs.keys():
        raise SystemExit(f"other weights were trained: {sorted(ours.keys() ^ theirs.keys())[:3]}")
    return max(float((tensor.double() - theirs[name].double()).abs().max()) for name, tensor in ours.items())


def measure(stage: str, options: argparse.Namespace, scratch: Path) -> dict[str, Any]:
    """Return every system's summary for a stage."""
    specs = build_specs(options)
    task = describe_task(scratch / "subject", stage, options.steps, options.threads)
    runs: dict[str, list[dict[str, Any]]] = {name: [] for name in specs}
    for number in range(options.rounds):
        for index, (name, spec) in enumerate(specs.items()):
            is_timed_once = name not in ("ours", BASELINE)
            if is_timed_once and number >= options.other_rounds:
                continue
            cut = {"steps": min(options.other_steps, options.steps)} if is_timed_once else {}
            folder = scratch / f"{stage}-{number}-{index}"
            runs[name].append(run(task | cut | spec, folder, options.peer_python))
    return {name: describe(stage, name, runs, specs) for name in specs}


def describe(
    stage: str, name: str, runs: dict[str, list[dict[str, Any]]], specs: dict[str, dict[str, Any]]
) -> dict[str, Any]:
    """Return a system's summary, beside the baseline's over the same steps and our weights after as many."""
    num_steps = len(runs[name][0]["seconds"])
    row = summarize(runs[name], num_steps)
    if BASELINE in runs:
        baseline = summarize(runs[BASELINE], num_steps)
        for kind in ("warm", "cold"):
            rate = f"samples_per_second_{kind}"
            row[f"times_hf_{kind}"] = round(row[rate] / baseline[rate], 2)
        key = "samples_per_processor_second_cold"
        row["times_hf_by_processor_cold"] = round(row[key] / baseline[key], 2)
    is_comparable = name not in ("ours", "trl_default") and not specs[name].get("grouped")
    if is_comparable and num_steps == len(runs["ours"][0]["seconds"]):
        ours, other = runs["ours"][0]["weights"], runs[name][0]["weights"]
        row["weights_differ_from_ours_by"] = largest_difference(ours, other)
    print(stage, name, json.dumps(row), flush=True)
    return row


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--peer-python", default="", help="Python of an environment with trl; none: ours alone.")
    parser.add_argument("--peers", nargs="*", default=["hf", "trl", "trl_default"])
    parser.add_argument("--stages", nargs="*", default=["align", "instruct"])
    parser.add_argument("--steps", type=int, default=20)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--other-rounds", type=int, default=1)
    parser.add_argument("--other-steps", type=int, default=8)
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--switches", action="store_true", help="Also each switch alone.")
    parser.add_argument("--keep", action="store_true", help="Keep the result in benchmarks/results.")
    options = parser.parse_args()
    result: dict[str, Any] = {**describe_run(), "steps": options.steps, "threads": options.threads, "stages": {}}
    result["versions"] = {"torch": torch.__version__}
    if options.peer_python:
        result["versions"] |= {name: version_of(options.peer_python, name) for name in ("transformers", "trl")}
    with tempfile.TemporaryDirectory() as folder:
        scratch = Path(folder)
        write_subject(scratch / "subject", options.steps * BATCH_SIZE)
        for stage in options.stages:
            result["stages"][stage] = measure(stage, options, scratch)
    if options.keep:
        print(keep_result("training-speed", result))


if __name__ == "__main__":
    main()
