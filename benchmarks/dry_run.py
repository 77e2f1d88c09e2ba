"""A rehearsal at full size: drafts by fake-chat, no painter; memory over time, rate, and how soon a resume asks anew.

python -m benchmarks.dry_run                  1,000,000 drafts; some 15 minutes on a quiet machine
python -m benchmarks.dry_run --drafts 50000   the same, small

The run is killed (SIGKILL) once half of the drafts are committed, and started again: the seconds until the response
cache holds an answer that was not there before are those until the first new request was sent and answered. It ends
once all are committed; what replaces those that repeat each other would come on top.
"""

import argparse
import json
import os
import re
import sqlite3
import subprocess
import tempfile
import time
from pathlib import Path

from benchmarks.recording import COMMAND, describe_run, keep_result

NUM_CAPABILITIES = 13
SAMPLE_SECONDS = 2.0


def start(scratch: Path, per_capability: int, shard_size: int) -> subprocess.Popen[bytes]:
    command = [
        *COMMAND, "synthesize", "--json", "--run", str(scratch / "run"),
        "synthesis.writer.backend=fake-chat", "synthesis.painter=null", "synthesis.held_out_share=0.001",
        f"synthesis.samples_per_capability={per_capability}", f"synthesis.shard_size={shard_size}",
    ]  # fmt: skip
    environment = {**os.environ, "STABLELLAVA_CACHE": str(scratch / "cache")}
    return subprocess.Popen(command, env=environment, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)


def memory_mb(process: subprocess.Popen[bytes], field: str) -> float:
    """Return what the kernel counts: "VmRSS" now, "VmHWM" at most so far."""
    status = Path(f"/proc/{process.pid}/status").read_text(encoding="ascii")
    found = re.search(rf"{field}:\s+(\d+) kB", status)
    return int(found[1]) / 1024 if found else 0.0


def num_committed(scratch: Path, shard_size: int) -> int:
    return shard_size * sum(1 for _ in (scratch / "run/data/shards").glob("*/*.json"))


def num_answers(scratch: Path) -> int:
    (path,) = (scratch / "cache").glob("*.sqlite")
    with sqlite3.connect(path, timeout=60) as connection:
        return int(connection.execute("SELECT MAX(position) FROM answers").fetchone()[0] or 0)


def watch(
    process: subprocess.Popen[bytes], scratch: Path, shard_size: int, stop_at: int
) -> tuple[list[tuple[int, float]], float]:
    """Return (drafts committed, MB) over time and the peak; kill the process once so many are committed."""
    seen: list[tuple[int, float]] = []
    peak_mb = 0.0
    while process.poll() is None:
        time.sleep(SAMPLE_SECONDS)
        done = num_committed(scratch, shard_size)
        if process.poll() is None:
            seen.append((done, round(memory_mb(process, "VmRSS"), 1)))
            peak_mb = max(peak_mb, memory_mb(process, "VmHWM"))
        if done >= stop_at:
            process.kill()
            process.wait()
    return seen, round(peak_mb, 1)


def seconds_to_first_answer(scratch: Path, process: subprocess.Popen[bytes]) -> float:
    started, before = time.monotonic(), num_answers(scratch)
    while process.poll() is None and num_answers(scratch) == before:
        time.sleep(0.05)
    return time.monotonic() - started


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--drafts", type=int, default=1_000_000)
    parser.add_argument("--shard-size", type=int, default=500)
    options = parser.parse_args()
    per_capability = -(-options.drafts // NUM_CAPABILITIES)
    with tempfile.TemporaryDirectory() as folder:
        scratch = Path(folder)
        started = time.monotonic()
        first, first_peak = watch(start(scratch, per_capability, options.shard_size), scratch, options.shard_size,
                                  options.drafts // 2)  # fmt: skip
        seconds = time.monotonic() - started
        killed_at = num_committed(scratch, options.shard_size)
        print(f"killed after {killed_at:,} drafts and {seconds:.0f} s", flush=True)
        started = time.monotonic()
        process = start(scratch, per_capability, options.shard_size)
        resume_seconds = seconds_to_first_answer(scratch, process)
        print(f"first new answer {resume_seconds:.1f} s after the new start", flush=True)
        second, second_peak = watch(process, scratch, options.shard_size, options.drafts)
        second_seconds = time.monotonic() - started
        num_drafts = num_committed(scratch, options.shard_size)
    result = {
        **describe_run(),
        "num_drafts": num_drafts,
        "killed_at": killed_at,
        "drafts_per_second": {
            "before the kill": round(killed_at / seconds, 1),
            "after it": round((num_drafts - killed_at) / second_seconds, 1),
        },
        "peak_mb": max(first_peak, second_peak),
        "mb_at_quarters": at_quarters([*first, *second], num_drafts),
        "drafts_and_mb": {"before the kill": thin(first), "after it": thin(second)},
        "seconds_to_first_new_answer_of_resume": round(resume_seconds, 2),
    }
    print(json.dumps({key: value for key, value in result.items() if key != "drafts_and_mb"}, indent=1))
    print(keep_result("dry-run", result))


def at_quarters(seen: list[tuple[int, float]], num_drafts: int) -> dict[str, float]:
    """Return the MB seen when a tenth, a quarter, ... of all drafts were first there."""
    shares = {"10 %": 0.1, "25 %": 0.25, "50 %": 0.5, "75 %": 0.75, "98 %": 0.98}
    ordered = sorted(seen)
    found = {name: [mb for done, mb in ordered if done >= share * num_drafts] for name, share in shares.items()}
    return {name: mbs[0] for name, mbs in found.items() if mbs}


def thin(seen: list[tuple[int, float]], num: int = 20) -> list[tuple[int, float]]:
    """Return about so many of the points, the last one included."""
    return [*seen[:: max(1, len(seen) // num)], *seen[-1:]]


if __name__ == "__main__":
    main()
