"""A rehearsal at full size: drafts by fake-chat, no painter; memory over time, rate, and how soon a resume asks anew.

python -m benchmarks.dry_run                  1,000,000 drafts; about half an hour a million and core
python -m benchmarks.dry_run --drafts 50000   the same, small

The run is killed (SIGKILL) once half of the drafts are committed, and started again: the seconds until the response
cache holds an answer that was not there before are those until the first new request was sent and answered.
"""

import argparse
import json
import os
import signal
import sqlite3
import subprocess
import tempfile
import time
from pathlib import Path
from typing import Any

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
    return subprocess.Popen(command, env=environment, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL)


def resident_mb(process: subprocess.Popen[bytes]) -> float:
    fields = Path(f"/proc/{process.pid}/statm").read_text(encoding="ascii").split()
    return int(fields[1]) * os.sysconf("SC_PAGE_SIZE") / 2**20


def num_committed(scratch: Path, shard_size: int) -> int:
    return shard_size * sum(1 for _ in (scratch / "run/data/shards").glob("*/*.json"))


def num_answers(scratch: Path) -> int:
    (path,) = (scratch / "cache").glob("*.sqlite")
    with sqlite3.connect(path, timeout=60) as connection:
        return int(connection.execute("SELECT MAX(position) FROM answers").fetchone()[0] or 0)


def watch(
    process: subprocess.Popen[bytes], scratch: Path, shard_size: int, stop_at: int | None
) -> list[tuple[int, float]]:
    """Return (drafts committed, MB) over time, until the process ends or so many drafts are committed."""
    seen: list[tuple[int, float]] = []
    while process.poll() is None:
        time.sleep(SAMPLE_SECONDS)
        done = num_committed(scratch, shard_size)
        if process.poll() is None:
            seen.append((done, round(resident_mb(process), 1)))
        if stop_at is not None and done >= stop_at:
            os.kill(process.pid, signal.SIGKILL)
            process.wait()
    return seen


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
        first = watch(start(scratch, per_capability, options.shard_size), scratch, options.shard_size,
                      options.drafts // 2)  # fmt: skip
        seconds = time.monotonic() - started
        killed_at = num_committed(scratch, options.shard_size)
        process = start(scratch, per_capability, options.shard_size)
        resume_seconds = seconds_to_first_answer(scratch, process)
        print(f"killed after {killed_at:,} drafts; first new answer after {resume_seconds:.1f} s", flush=True)
        second = watch(process, scratch, options.shard_size, None)
        assert process.stdout is not None
        report: dict[str, Any] = json.loads(process.stdout.read())
    memory = {"before the kill": thin(first), "after it": thin(second)}
    result = {
        **describe_run(),
        "num_accepted": report["num_accepted"],
        "num_rejected": report["num_rejected"],
        "drafts_per_second": round(killed_at / seconds, 1),
        "peak_mb": max(mb for _, mb in [*first, *second]),
        "drafts_and_mb": memory,
        "seconds_to_first_new_answer_of_resume": round(resume_seconds, 2),
    }
    print(json.dumps({key: value for key, value in result.items() if key != "drafts_and_mb"}, indent=1))
    print(memory)
    print(keep_result("dry-run", result))


def thin(seen: list[tuple[int, float]], num: int = 20) -> list[tuple[int, float]]:
    """Return about so many of the points, the last one included."""
    return [*seen[:: max(1, len(seen) // num)], *seen[-1:]]


if __name__ == "__main__":
    main()
