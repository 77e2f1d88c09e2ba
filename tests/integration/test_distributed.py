"""Two processes on gloo take the steps of one."""

import json
import os
import signal
import socket
import subprocess
import sys
import time
from pathlib import Path

import pytest
from safetensors.torch import load_file

import tiny_vlm
from stablellava.store.layout import RunLayout
from stablellava.training.step_log import read_step_log

SCRIPT = Path(__file__).with_name("train_together.py")
TIMEOUT_SECONDS = 100
FSDP2 = {
    "ACCELERATE_USE_FSDP": "true",
    "FSDP_VERSION": "2",
    "FSDP_RESHARD_AFTER_FORWARD": "true",
    "FSDP_AUTO_WRAP_POLICY": "TRANSFORMER_BASED_WRAP",
    "FSDP_STATE_DICT_TYPE": "FULL_STATE_DICT",
    "FSDP_CPU_RAM_EFFICIENT_LOADING": "false",
}
BOTH = ("training.align.{}", "training.instruct.{}")


@pytest.fixture(scope="module")
def language_model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tiny_vlm.write_language_model(tmp_path_factory.mktemp("lm"))


@pytest.fixture(scope="module")
def source(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Rows of which two thirds show no picture, so that batches without any are common."""
    folder = tmp_path_factory.mktemp("source")
    rows = []
    for index in range(12):
        question, answer = "Which color is it?", f"It is {('red', 'green', 'blue')[index % 3]}." * (1 + index % 4)
        row: dict[str, object] = {"id": str(index)}
        if index % 3 == 0:
            row["image"] = tiny_vlm.write_square(folder, "red", index).name
            question = f"<image>\n{question}"
        row["conversations"] = [{"from": "human", "value": question}, {"from": "gpt", "value": answer}]
        rows.append(row)
    (folder / "rows.json").write_text(json.dumps(rows))
    return folder


def settings(source: Path, batch_size: int, accumulation: int, *more: str) -> list[str]:
    chosen = (
        f'sources=[{{"path": "{source / "rows.json"}", "images": "{source}", "epochs": 1}}]',
        "num_samples=null",
        f"batch_size={batch_size}",
        f"gradient_accumulation={accumulation}",
        *more,
    )
    return [stage.format(setting) for stage in BOTH for setting in chosen]


def start(root: Path, language_model: Path, overrides: list[str], processes: int, **env: str) -> subprocess.Popen[str]:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    together = ["-m", "torch.distributed.run", "--nproc-per-node", str(processes), "--master-port", str(port)]
    command = [sys.executable, *(together if processes > 1 else []), str(SCRIPT), str(root), str(language_model)]
    path = os.pathsep.join(str(folder) for folder in (SCRIPT.parents[1], SCRIPT.parents[2]))
    return subprocess.Popen(
        [*command, *overrides],
        env=os.environ | {"PYTHONPATH": path, "OMP_NUM_THREADS": "1"} | env,
        start_new_session=True,
        stderr=subprocess.PIPE,
        text=True,
    )


def train(root: Path, language_model: Path, overrides: list[str], processes: int = 1, **env: str) -> RunLayout:
    process = start(root, language_model, overrides, processes, **env)
    try:
        _, errors = process.communicate(timeout=TIMEOUT_SECONDS)
    except subprocess.TimeoutExpired:
        os.killpg(process.pid, signal.SIGKILL)
        process.wait()
        pytest.fail(f"hung after {TIMEOUT_SECONDS} s")
    assert process.returncode == 0, errors
    return RunLayout(root)


def assert_same_training(found: RunLayout, expected: RunLayout) -> None:
    for stage in ("align", "instruct"):
        ours, wanted = (read_step_log(layout.training_log_path(stage)) for layout in (found, expected))
        assert len(ours) == len(wanted) == 3
        assert [row.loss for row in ours] == pytest.approx([row.loss for row in wanted], abs=1e-5)
        weights, wanted_weights = (
            load_file(layout.model_dir(stage) / "model.safetensors") for layout in (found, expected)
        )
        assert weights.keys() == wanted_weights.keys()
        for name, tensor in wanted_weights.items():
            assert (weights[name] - tensor).abs().max().item() < 2e-5, name


@pytest.fixture(scope="module")
def alone(language_model: Path, source: Path, tmp_path_factory: pytest.TempPathFactory) -> RunLayout:
    return train(tmp_path_factory.mktemp("alone"), language_model, settings(source, 4, 1))


@pytest.mark.parametrize("environment", [{}, FSDP2], ids=["ddp", "fsdp2"])
@pytest.mark.parametrize(("batch_size", "accumulation"), [(2, 1), (1, 2)])
def test_two_processes_take_the_steps_of_one(
    language_model: Path,
    source: Path,
    alone: RunLayout,
    tmp_path: Path,
    environment: dict[str, str],
    batch_size: int,
    accumulation: int,
) -> None:
    found = train(tmp_path, language_model, settings(source, batch_size, accumulation), 2, **environment)
    assert_same_training(found, alone)


@pytest.mark.parametrize("environment", [{}, FSDP2], ids=["ddp", "fsdp2"])
def test_two_killed_processes_end_with_the_losses_of_uninterrupted_ones(
    language_model: Path, source: Path, alone: RunLayout, tmp_path: Path, environment: dict[str, str]
) -> None:
    overrides = settings(source, 2, 1, "save_every_steps=1")
    process = start(tmp_path, language_model, overrides, 2, **environment)
    try:
        wait_for_step(RunLayout(tmp_path), process)
    finally:
        os.killpg(process.pid, signal.SIGKILL)
        process.communicate()
    assert_same_training(train(tmp_path, language_model, overrides, 2, **environment), alone)


def wait_for_step(layout: RunLayout, process: subprocess.Popen[str]) -> None:
    """Return when a checkpoint of instruct stands."""
    deadline = time.monotonic() + TIMEOUT_SECONDS
    while not list((layout.training_dir("instruct") / "checkpoints").glob("checkpoint-*/complete")):
        assert process.poll() is None, "ended before it could be killed"
        assert time.monotonic() < deadline, "took no step"
        time.sleep(0.02)


def test_two_processes_train_the_adapters_of_one(language_model: Path, source: Path, tmp_path: Path) -> None:
    adapters = ("lora.rank=4", "lora.dropout=0", "lora.base_precision=float32")
    chosen = [f"training.instruct.{setting}" for setting in adapters]
    alone = train(tmp_path / "one", language_model, [*settings(source, 4, 1), *chosen])
    wanted = load_file(alone.model_dir("instruct") / "adapter_model.safetensors")
    for name, environment in (("ddp", {}), ("fsdp2", FSDP2)):
        found = train(tmp_path / name, language_model, [*settings(source, 2, 1), *chosen], 2, **environment)
        ours, theirs = (read_step_log(layout.training_log_path("instruct")) for layout in (found, alone))
        assert [row.loss for row in ours] == pytest.approx([row.loss for row in theirs], abs=1e-5)
        weights = load_file(found.model_dir("instruct") / "adapter_model.safetensors")
        assert weights.keys() == wanted.keys()
        assert all((weights[key] - tensor).abs().max().item() < 2e-5 for key, tensor in wanted.items())
