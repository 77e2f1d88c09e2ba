import os
import signal
import subprocess
import sys
import time
from pathlib import Path

# A shell starts background jobs deaf to Ctrl-C, and so would the tests be that run in one.
LISTEN = "import signal; signal.signal(signal.SIGINT, signal.default_int_handler)"
COMMAND = [
    sys.executable, "-c", f"{LISTEN}; from stablellava.cli import main; main()",
    "synthesize", "--preset", "quick", "--run", "run",
    "synthesis.painter.backend=fake-painter", "synthesis.capabilities=animal", "synthesis.num_workers=2",
    "synthesis.samples_per_capability=2000", "synthesis.size_px=64",
]  # fmt: skip


def wait_for_a_shard(folder: Path, running: subprocess.Popen[str]) -> None:
    deadline = time.monotonic() + 60
    while not any(folder.glob("run/data/shards/*/*.json")):
        assert running.poll() is None and time.monotonic() < deadline
        time.sleep(0.05)


def test_ctrl_c_ends_with_one_line_that_says_how_to_go_on(tmp_path: Path) -> None:
    with subprocess.Popen(
        COMMAND, cwd=tmp_path, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, start_new_session=True
    ) as running:
        wait_for_a_shard(tmp_path, running)
        os.killpg(running.pid, signal.SIGINT)  # as a terminal does: to the workers as well
        out, err = running.communicate(timeout=30)

    assert running.returncode == 130
    assert out == ""
    assert err.splitlines() == ["stablellava: interrupted. What is done is kept; the same command goes on from there."]
