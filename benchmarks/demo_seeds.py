"""Run the demo with several seeds and keep gains, photos and times as one dated file.

python -m benchmarks.demo_seeds --runs runs/seeds --photos my_photos 0 1 2

A seed whose run is complete is not run again. Figures are copied from ``stablellava demo --json``; none is stored here.
"""

import argparse
import json
import os
import platform
import subprocess
import sys
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from benchmarks.__main__ import COMMAND, RESULTS


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
    commit = subprocess.run(["git", "rev-parse", "--short", "HEAD"], check=True, capture_output=True, text=True)
    result = {
        "date": datetime.now(UTC).date().isoformat(),
        "commit": commit.stdout.strip(),
        "command": f"stablellava demo --seed N {' '.join(options.set)}".strip(),
        "machine": {"cores": os.cpu_count(), "processor": platform.machine(), "python": platform.python_version()},
        "seeds": {str(seed): run_demo(seed, options.runs, options.photos, options.set) for seed in options.seeds},
    }
    RESULTS.mkdir(exist_ok=True)
    path = RESULTS / f"{result['date']}-{options.name}-seeds.json"
    path.write_text(json.dumps(result, indent=1) + "\n", encoding="utf-8")
    print(path)


if __name__ == "__main__":
    main()
