"""Drafts per second over the wire, beside bare calls to the same server and beside other tools.

python -m benchmarks.drafting --server mock_openai.py
python -m benchmarks.drafting --server mock_openai.py --peer bespokelabs-curator=CURATOR/bin/python,peer_curator.py

``--server`` is the path of a script that serves chat completions: it is started with ``--port`` and ``--latency``.
A sample of ours takes two calls (prompt, dialogue); answers are checked against their schema, cached, and committed
as samples. ``bare`` posts as many small calls with aiohttp and reads nothing. A peer is named by its package; its
script is started as ``PYTHON SCRIPT ROWS IN_FLIGHT`` against port 8901 and prints a line with "... N rows/s ..."; it
makes one call a row. A row of ours is a prompt and the dialogue that echoes it, so it cannot be had with one call; both
ratios are printed. One after the other, --repeats times; compare ratios, not absolute figures.
"""

import argparse
import asyncio
import json
import os
import re
import subprocess
import sys
import tempfile
import time
import urllib.request
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from statistics import median
from typing import Any

import aiohttp
from benchmarks.recording import COMMAND, describe_run, keep_result, version_of

PORT = 8901
CALLS_PER_SAMPLE = 2
NUM_CAPABILITIES = 13


@contextmanager
def serving(script: Path, latency: float, *more: str, port: int = PORT) -> Iterator[str]:
    """Run the server for the length of the block; yield its address, up to and including the version."""
    command = [sys.executable, str(script), "--port", str(port), "--latency", str(latency), *more]
    process = subprocess.Popen(command)
    address = f"http://127.0.0.1:{port}"
    try:
        for _ in range(100):
            try:
                ask_stats(f"{address}/v1")
                break
            except OSError:
                time.sleep(0.1)
        yield f"{address}/v1"
    finally:
        process.terminate()
        process.wait()


def ask_stats(base_url: str, reset: bool = False) -> dict[str, Any]:
    """Return what the server counted."""
    url = base_url.removesuffix("/v1") + "/stats" + ("?reset=1" if reset else "")
    with urllib.request.urlopen(url, timeout=10) as answer:
        return json.loads(answer.read())  # type: ignore[no-any-return]


def chat_options(base_url: str, in_flight: int) -> list[str]:
    """Return the overrides that let the fake server write."""
    return [
        "--preset", "chat",
        f"synthesis.writer.options.base_url={base_url}",
        "synthesis.writer.options.model=mock",
        f"synthesis.writer.options.max_in_flight={in_flight}",
        # The fake server puts everything in the garden; fewer held-out pairs, fewer drafts to replace.
        "synthesis.held_out_share=0.001",
        "synthesis.painter=null",
        # One round for all drafts, as the other tools make them.
        "synthesis.pool=null",
    ]  # fmt: skip


def measured(command: list[str], **environment: str) -> tuple[str, dict[str, float]]:
    """Run a command; return what it printed, and its peak memory and processor time."""
    process = subprocess.Popen(command, stdout=subprocess.PIPE, env={**os.environ, **environment}, text=True)
    assert process.stdout is not None
    printed = process.stdout.read()
    _, status, usage = os.wait4(process.pid, 0)
    process.returncode = os.waitstatus_to_exitcode(status)
    if process.returncode:
        raise SystemExit(f"{' '.join(command)} ended with {process.returncode}")
    return printed, {"peak_mb": usage.ru_maxrss / 1024, "cpu_seconds": usage.ru_utime + usage.ru_stime}


def run_bare(base_url: str, rows: int, in_flight: int) -> dict[str, float]:
    calls = rows * CALLS_PER_SAMPLE
    command = [sys.executable, "-m", "benchmarks.drafting", "--bare", base_url, str(calls), str(in_flight)]
    printed, usage = measured(command)
    return {"calls_per_second": float(printed), **usage}


def run_ours(base_url: str, rows: int, in_flight: int) -> dict[str, float]:
    with tempfile.TemporaryDirectory() as scratch:
        per_capability = -(-rows // NUM_CAPABILITIES)
        command = [
            *COMMAND, "synthesize", "--json", "--run", f"{scratch}/run", *chat_options(base_url, in_flight),
            f"synthesis.samples_per_capability={per_capability}",
        ]  # fmt: skip
        printed, usage = measured(command, STABLELLAVA_CACHE=f"{scratch}/cache")
    report = json.loads(printed)
    seconds = report["seconds"]
    return {
        "calls_per_second": report["spending"]["num_calls"] / seconds,
        "rows_per_second": report["num_accepted"] / seconds,
        "cpu_ms_per_call": 1000 * usage["cpu_seconds"] / report["spending"]["num_calls"],
        **usage,
    }


def run_peer(python: str, script: str, rows: int, in_flight: int) -> dict[str, float]:
    printed, usage = measured([python, script, str(rows), str(in_flight)])
    found = re.findall(r"([\d.]+) rows/s", printed)
    if not found:
        raise SystemExit(f"{script} printed no 'N rows/s':\n{printed}")
    return {"rows_per_second": float(found[-1]), **usage}


async def post_bare(base_url: str, calls: int, in_flight: int) -> float:
    """Return calls per second of nothing but posting."""
    gate = asyncio.Semaphore(in_flight)
    async with aiohttp.ClientSession(connector=aiohttp.TCPConnector(limit=in_flight)) as session:

        async def post(index: int) -> None:
            async with gate:
                body = {"model": "mock", "messages": [{"role": "user", "content": f"row {index}"}], "max_tokens": 64}
                async with session.post(f"{base_url}/chat/completions", json=body) as answer:
                    await answer.json()

        started = time.perf_counter()
        await asyncio.gather(*(post(index) for index in range(calls)))
        return calls / (time.perf_counter() - started)


def measure(options: argparse.Namespace) -> dict[str, Any]:
    runners: dict[str, Callable[[str, int, int], dict[str, float]]] = {"bare": run_bare, "ours": run_ours}
    for peer in options.peer:
        name, _, what = peer.partition("=")
        python, _, script = what.partition(",")
        runners[name] = lambda _url, rows, in_flight, p=python, s=script: run_peer(p, s, rows, in_flight)
    found: dict[str, Any] = {}
    for in_flight in options.in_flight:
        runs: dict[str, list[dict[str, float]]] = {name: [] for name in runners}
        for _ in range(options.repeats):
            for name, runner in runners.items():
                with serving(options.server, options.latency) as base_url:
                    runs[name].append(runner(base_url, options.rows, in_flight))
                print(in_flight, name, {key: round(value, 2) for key, value in runs[name][-1].items()}, flush=True)
        found[str(in_flight)] = {
            name: {key: round(median(run[key] for run in done), 2) for key in done[0]} for name, done in runs.items()
        }
        medians = found[str(in_flight)]
        medians["ratios"] = ratios = compare(medians)
        print(f"{in_flight} in flight: " + ", ".join(f"{value} {name}" for name, value in ratios.items()), flush=True)
    return found


def compare(medians: dict[str, dict[str, float]]) -> dict[str, float]:
    """Return how ours stands to the others: to peers in calls (one of theirs is a row) and in rows as they are."""
    ours = medians["ours"]
    ratios = {"of bare calls/s": ours["calls_per_second"] / medians["bare"]["calls_per_second"]}
    for name in medians.keys() - {"bare", "ours"}:
        theirs = medians[name]["rows_per_second"]
        ratios[f"x {name} in calls/s"] = ours["calls_per_second"] / theirs
        ratios[f"x {name} in rows/s (two calls a row against one)"] = ours["rows_per_second"] / theirs
    return {name: round(ratio, 2) for name, ratio in ratios.items()}


def main() -> None:
    if sys.argv[1:2] == ["--bare"]:
        base_url, calls, in_flight = sys.argv[2:5]
        print(asyncio.run(post_bare(base_url, int(calls), int(in_flight))))
        return
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--server", type=Path, required=True)
    parser.add_argument("--rows", type=int, default=3000)
    parser.add_argument("--in-flight", type=int, nargs="+", default=[64, 256])
    parser.add_argument("--latency", type=float, default=0.2)
    parser.add_argument("--repeats", type=int, default=3)
    parser.add_argument("--peer", action="append", default=[], metavar="NAME=PYTHON,SCRIPT")
    options = parser.parse_args()
    named = [peer.partition(",")[0].partition("=") for peer in options.peer]
    result = {
        **describe_run(),
        "peers": {package: version_of(python, package) for package, _, python in named},
        "rows": options.rows,
        "latency_seconds": options.latency,
        "median": measure(options),
    }
    print(keep_result("drafting", result))


if __name__ == "__main__":
    main()
