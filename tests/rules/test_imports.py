import json
import subprocess
import sys

import pytest

_PROBE = """
import json, sys, time
began = time.perf_counter()
import stablellava.cli
seconds = time.perf_counter() - began
print(json.dumps({"seconds": seconds, "modules": sorted({name.partition(".")[0] for name in sys.modules})}))
"""
HEAVY = ("torch", "transformers", "pyarrow", "numpy", "PIL", "pandas", "datasets", "ray", "vllm", "diffusers")


def import_cli_afresh() -> tuple[float, set[str]]:
    """Return seconds and top-level modules of the import in a new interpreter."""
    finished = subprocess.run([sys.executable, "-c", _PROBE], capture_output=True, text=True, check=True)
    report = json.loads(finished.stdout)
    return report["seconds"], set(report["modules"])


def test_the_command_imports_in_under_300_ms() -> None:
    assert min(import_cli_afresh()[0] for _ in range(3)) < 0.3


@pytest.mark.parametrize("module", HEAVY)
def test_the_command_imports_nothing_heavy(module: str) -> None:
    assert module not in import_cli_afresh()[1]


@pytest.mark.parametrize("room", ["core", "config", "capabilities", "executors", "studies.planning"])
def test_light_rooms_load_no_torch(room: str) -> None:
    code = f"import sys, stablellava.{room}; sys.exit('torch' in sys.modules or 'transformers' in sys.modules)"

    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0
