"""Measure what a user waits for, and keep it as a dated file with the commit and the machine.

python -m benchmarks             all, into benchmarks/results/<date>-<commit>.json
"""

import subprocess
import sys
import tempfile
import time
from collections.abc import Callable

from benchmarks.recording import COMMAND, describe_run, keep_result

REPEATS = 3


def seconds_of(*arguments: str) -> float:
    """Return how long the command takes from start to end in an empty directory."""
    with tempfile.TemporaryDirectory() as folder:
        started = time.perf_counter()
        subprocess.run([*COMMAND, *arguments], cwd=folder, check=True, capture_output=True)
        return time.perf_counter() - started


def measure_import() -> float:
    started = time.perf_counter()
    subprocess.run([sys.executable, "-c", "import stablellava.cli"], check=True)
    return time.perf_counter() - started


def measure_preview() -> float:
    return seconds_of("preview", "-n", "4", "--capability", "abnormal", "--no-open")


def measure_synthesis() -> float:
    return seconds_of("synthesize", "--preset", "demo")


MEASURES: dict[str, tuple[Callable[[], float], int]] = {
    "import_cli_seconds": (measure_import, REPEATS),
    "preview_4_seconds": (measure_preview, REPEATS),
    "synthesize_demo_seconds": (measure_synthesis, 1),
}


def main() -> None:
    result = {**describe_run(), "measures": {}}
    for name, (measure, repeats) in MEASURES.items():
        times = [round(measure(), 3) for _ in range(repeats)]
        result["measures"][name] = {"times": times, "smallest": min(times)}
        print(f"{name}: {min(times):.2f} (of {repeats})")
    print(keep_result(result["commit"], result))


if __name__ == "__main__":
    main()
