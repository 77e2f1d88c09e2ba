"""How a benchmark calls the command and keeps what it measured: with date, commit, machine and its own call."""

import json
import os
import platform
import re
import subprocess
import sys
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

RESULTS = Path(__file__).parent / "results"
COMMAND = [sys.executable, "-m", "stablellava.cli"]


def describe_run() -> dict[str, Any]:
    """Return date, commit, machine and the benchmark's own call."""
    commit = subprocess.run(["git", "rev-parse", "--short", "HEAD"], check=True, capture_output=True, text=True)
    return {
        "date": datetime.now(UTC).date().isoformat(),
        "commit": commit.stdout.strip(),
        "command": name_command(sys.argv),
        "machine": {"cores": os.cpu_count(), "processor": platform.machine(), "python": platform.python_version()},
    }


def name_command(words: list[str]) -> str:
    """Return a call of ``python -m benchmarks.NAME`` with the names of files in the place of their paths."""
    script, *arguments = words
    module = f"benchmarks.{Path(script).stem}".removesuffix(".__main__")
    named = [re.sub(r"[^\s=,]*/([^\s/=,]+)", r"\1", argument) for argument in arguments]
    return " ".join(["python -m", module, *named])


def version_of(python: str, package: str) -> str:
    """Return the version of an installed package under another interpreter.

    Raises: CalledProcessError where it is not installed there.
    """
    asked = f"import importlib.metadata as m; print(m.version({package!r}))"
    return subprocess.run([python, "-c", asked], check=True, capture_output=True, text=True).stdout.strip()


def keep_result(name: str, result: dict[str, Any]) -> Path:
    """Write a result as results/<date>-<name>.json and return its path."""
    RESULTS.mkdir(exist_ok=True)
    path = RESULTS / f"{result['date']}-{name}.json"
    path.write_text(json.dumps(result, indent=1) + "\n", encoding="utf-8")
    return path
