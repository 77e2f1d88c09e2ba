"""Run the demo with several seeds and keep gains, photos and times as one dated file.

python -m benchmarks.demo_seeds --runs runs/seeds --photos my_photos 0 1 2

A seed whose run is complete is not run again. Figures are copied from ``stablellava demo --json``; none is stored here.
"""

import argparse
import json
import subprocess
import sys
from pathlib import Path
from typing import Any

from benchmarks.recording import COMMAND, describe_run, keep_result


def run_demo(seed: int, runs: Path, photos: Path | None, overrides: list[str]) -> dict[str, Any]:
    """Return what ``demo --json`` says of one seed."""
    command = [*COMMAND, "demo", "--json", "--seed", str(seed), "--run", str(runs / f"seed{seed}"), *overrides]
    if photos:
        command += ["--photos", str(photos)]
    print(" ".join(command[2:]), file=sys.stderr)
    finished = subprocess.run(command, check=True, stdout=subprocess.PIPE, text=True)
    result: dict[str, Any] = json.loads(finished.stdout)
    # Where the run lies is nobody's business but this machine's.
    return {key: value for key, value in result.items() if key not in ("run_dir", "report")}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("seeds", type=int, nargs="+")
    parser.add_argument("--runs", type=Path, default=Path("runs/seeds"))
    parser.add_argument("--photos", type=Path)
    parser.add_argument("--name", default="demo")
    parser.add_argument("--set", action="append", default=[], help="An override, as training.align.method=gradient.")
    options = parser.parse_args()
    result = {
        **describe_run(),
        "command": f"stablellava demo --seed N {' '.join(options.set)}".strip(),
        "seeds": {str(seed): run_demo(seed, options.runs, options.photos, options.set) for seed in options.seeds},
    }
    print(keep_result(f"{options.name}-seeds", result))


if __name__ == "__main__":
    main()
