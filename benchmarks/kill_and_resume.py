"""Kill a verb at random moments and compare what it leaves with an uninterrupted run, byte for byte.

python -m benchmarks.kill_and_resume --kills 10 synthesize
python -m benchmarks.kill_and_resume --kills 3 train

``synthesize`` compares every file below data/; ``train`` every file of model/instruct/ and model/align/.
Exits 1 when a byte differs. The moments are drawn from --seed over the time that the uninterrupted run took.
"""

import argparse
import hashlib
import os
import random
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from benchmarks.recording import COMMAND

SMALL = [
    "synthesis.samples_per_capability=60",
    "training.instruct.num_samples=160",
    "training.instruct.save_every_steps=4",
]


def verbs_of(job: str, run: Path) -> list[list[str]]:
    """Return the command lines of a job on one run directory."""
    common = ["--preset", "demo", "--run", str(run)]
    if job == "synthesize":
        return [[*COMMAND, "synthesize", *common]]
    if job == "prepare":
        return [[*COMMAND, "synthesize", *common, *SMALL]]
    return [[*COMMAND, "train", "--stage", stage, *common, *SMALL] for stage in ("align", "instruct")]


def run_through(commands: list[list[str]], kill_after: float | None = None) -> bool:
    """Run the commands one after the other; kill the whole process group at the moment. Return whether all ended."""
    deadline = None if kill_after is None else time.monotonic() + kill_after
    for command in commands:
        process = subprocess.Popen(
            command, start_new_session=True, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
        )
        try:
            status = process.wait(None if deadline is None else max(deadline - time.monotonic(), 0))
        except subprocess.TimeoutExpired:
            os.killpg(process.pid, signal.SIGKILL)
            process.wait()
            return False
        if status:
            raise SystemExit(f"{' '.join(command)} ended with {status}")
    return True


def digests(run: Path, folders: tuple[str, ...]) -> dict[str, str]:
    """Return path -> sha256 of every file below the folders."""
    files = [path for folder in folders for path in sorted((run / folder).rglob("*")) if path.is_file()]
    return {str(path.relative_to(run)): hashlib.sha256(path.read_bytes()).hexdigest() for path in files}


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("job", choices=("synthesize", "train"))
    parser.add_argument("--kills", type=int, default=10)
    parser.add_argument("--seed", type=int, default=0)
    options = parser.parse_args()
    folders = ("data",) if options.job == "synthesize" else ("model/align", "model/instruct")
    with tempfile.TemporaryDirectory() as scratch:
        whole, killed = Path(scratch, "whole"), Path(scratch, "killed")
        if options.job == "train":
            run_through(verbs_of("prepare", whole))
            shutil.copytree(whole, killed)
        started = time.monotonic()
        run_through(verbs_of(options.job, whole))
        seconds = time.monotonic() - started
        moments = random.Random(options.seed)
        done, num_kills = False, 0
        while num_kills < options.kills and not done:
            # What one life gets done, the next need not do: together they last about as long as the whole run.
            moment = moments.uniform(0.5, 2.0) * seconds / options.kills
            done = run_through(verbs_of(options.job, killed), moment)
            num_kills += not done
            print(f"kill {num_kills} after {moment:.1f} s" if not done else "ended before the next kill", flush=True)
        run_through(verbs_of(options.job, killed))
        expected, found = digests(whole, folders), digests(killed, folders)
    differing = sorted(name for name in expected.keys() | found.keys() if expected.get(name) != found.get(name))
    print(f"{options.job}: {seconds:.0f} s uninterrupted, {num_kills} kills")
    print(f"{len(expected)} files, {len(differing)} differ")
    print("\n".join(differing[:10]))
    return 1 if differing else 0


if __name__ == "__main__":
    sys.exit(main())
