"""Kill a verb at random moments and compare what it leaves with an uninterrupted run, byte for byte.

python -m benchmarks.kill_and_resume --kills 10 synthesize
python -m benchmarks.kill_and_resume --kills 3 train
python -m benchmarks.kill_and_resume --kills 20 --samples 10000 --server mock_openai.py chat

``synthesize`` and ``chat`` compare every file below data/; ``train`` every file of model/instruct/ and model/align/.
Exits 1 when a byte differs. The moments are drawn from --seed over the time that the uninterrupted run took.

``chat`` drafts over the wire, without a painter; --server is a script that serves chat completions and breaks some
(--faults), as benchmarks/drafting.py starts it. Requests that the server saw twice are counted beside those that a
fault or a call in flight at a kill accounts for.
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
from contextlib import ExitStack
from pathlib import Path

from benchmarks.drafting import NUM_CAPABILITIES, ask_stats, chat_options, serving
from benchmarks.recording import COMMAND

SMALL = [
    "synthesis.samples_per_capability=60",
    "training.align.method=gradient",
    "training.align.num_samples=160",
    "training.align.save_every_steps=2",
    "training.instruct.num_samples=160",
    "training.instruct.save_every_steps=4",
]


FAULTS = "429:0.05,500:0.02,garbage:0.03,truncated:0.02,close:0.01"
IN_FLIGHT = 64


def verbs_of(job: str, run: Path, options: argparse.Namespace, base_url: str = "") -> list[list[str]]:
    """Return the command lines of a job on one run directory."""
    if job == "chat":
        each = f"synthesis.samples_per_capability={-(-options.samples // NUM_CAPABILITIES)}"
        return [[*COMMAND, "synthesize", "--run", str(run), *chat_options(base_url, IN_FLIGHT), each]]
    common = ["--preset", "demo", "--run", str(run)]
    if job == "synthesize":
        return [[*COMMAND, "synthesize", *common]]
    if job == "prepare":
        return [[*COMMAND, "synthesize", *common, *SMALL]]
    return [[*COMMAND, "train", "--stage", stage, *common, *SMALL] for stage in ("align", "instruct")]


def run_through(commands: list[list[str]], kill_after: float | None = None, cache: Path | None = None) -> bool:
    """Run the commands one after the other; kill the whole process group at the moment. Return whether all ended."""
    environment = {**os.environ, "STABLELLAVA_CACHE": str(cache)} if cache else None
    deadline = None if kill_after is None else time.monotonic() + kill_after
    for command in commands:
        process = subprocess.Popen(
            command, start_new_session=True, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, env=environment
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


def kill_at_random(commands: list[list[str]], seconds: float, options: argparse.Namespace, cache: Path | None) -> int:
    """Kill the commands until they were killed often enough or ended, then let them end; return how often."""
    moments = random.Random(options.seed)
    done, num_kills = False, 0
    while num_kills < options.kills and not done:
        # What one life gets done, the next need not do: together they last about as long as the whole run.
        moment = moments.uniform(0.5, 2.0) * seconds / options.kills
        done = run_through(commands, moment, cache)
        num_kills += not done
        print(f"kill {num_kills} after {moment:.1f} s" if not done else "ended before the next kill", flush=True)
    run_through(commands, None, cache)
    return num_kills


def time_of(command: list[str], cache: Path | None) -> float:
    """Run a command through and return its seconds."""
    started = time.monotonic()
    run_through([command], None, cache)
    return time.monotonic() - started


def compare_runs(options: argparse.Namespace, scratch: Path, base_url: str) -> int:
    """Run once whole and once with kills; return how many files differ."""
    folders = ("model/align", "model/instruct") if options.job == "train" else ("data",)
    whole, killed = scratch / "whole", scratch / "killed"
    caches = (scratch / "cache-whole", scratch / "cache-killed") if base_url else (None, None)
    if options.job == "train":
        run_through(verbs_of("prepare", whole, options))
        shutil.copytree(whole, killed)
    times = [time_of(verb, caches[0]) for verb in verbs_of(options.job, whole, options, base_url)]
    uninterrupted = ask_stats(base_url, reset=True) if base_url else {}
    # Every stage of a training is killed on its own, so that none gets by.
    verbs = zip(verbs_of(options.job, killed, options, base_url), times, strict=True)
    num_kills = sum(kill_at_random([verb], seconds, options, caches[1]) for verb, seconds in verbs)
    expected, found = digests(whole, folders), digests(killed, folders)
    differing = sorted(name for name in expected.keys() | found.keys() if expected.get(name) != found.get(name))
    print(f"{options.job}: {sum(times):.0f} s uninterrupted, {num_kills} kills")
    print(f"{len(expected)} files, {len(differing)} differ")
    print("\n".join(differing[:10]))
    if base_url:
        interrupted = ask_stats(base_url)
        print(f"uninterrupted: {uninterrupted}\nwith kills:    {interrupted}")
        by_faults = uninterrupted["repeated"] / uninterrupted["distinct"] * interrupted["distinct"]
        print(
            f"{interrupted['repeated']} requests were sent again: about {by_faults:.0f} after faults, "
            f"at most {num_kills * IN_FLIGHT} were in flight at the kills"
        )
    return len(differing)


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("job", choices=("synthesize", "train", "chat"))
    parser.add_argument("--kills", type=int, default=10)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--samples", type=int, default=10_000)
    parser.add_argument("--server", type=Path)
    parser.add_argument("--faults", default=FAULTS)
    options = parser.parse_args()
    with ExitStack() as stack:
        scratch = Path(stack.enter_context(tempfile.TemporaryDirectory()))
        base_url = ""
        if options.job == "chat":
            if options.server is None:
                parser.error("chat needs --server")
            base_url = stack.enter_context(serving(options.server, 0.2, "--faults", options.faults))
        return 1 if compare_runs(options, scratch, base_url) else 0


if __name__ == "__main__":
    sys.exit(main())
