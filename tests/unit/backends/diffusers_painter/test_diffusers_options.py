from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch

from stablellava.backends.adapters.diffusers_painter import DiffusersPainter
from stablellava.backends.adapters.diffusers_painter.devices import assign_index, is_out_of_memory, pick_rows
from stablellava.backends.catalog import build_backend
from stablellava.core.errors import BackendFailed, BackendMissing, ConfigError
from stablellava.core.sample import PaintJob

PainterBuilder = Callable[..., DiffusersPainter]
JobBuilder = Callable[..., PaintJob]


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"stepz": 3}, "no option 'stepz'. Did you mean 'steps'"),
        ({"steps": 0}, "steps"),
        ({"dtype": "int8"}, "dtype"),
        ({"device": "gpu"}, "device"),
        ({"batch_size": 0}, "batch_size is 'auto' or at least 1"),
        ({"device": "cpu", "devices": [0]}, "devices lists GPUs"),
        ({"loras": [{"path": "someone/style"}]}, "weight_name"),
    ],
)
def test_options_that_cannot_be_are_refused_before_anything_is_read(options: dict[str, Any], message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        build_backend("painter", "diffusers", options)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"cpu_offload": True}, "leave it out"),
        ({"device": "cuda"}, "there is: cpu"),
        ({"devices": [0, 1]}, "there is: cpu"),
    ],
)
def test_devices_that_are_not_there_are_named(
    changes: dict[str, Any], message: str, build_painter: PainterBuilder, make_job: JobBuilder
) -> None:
    if torch.cuda.is_available():
        pytest.skip("this machine has the device")
    with pytest.raises(ConfigError, match=message):
        build_painter(**changes).paint([make_job()])


def test_a_model_that_is_nowhere_is_said_with_both_ways_out() -> None:
    with pytest.raises(ConfigError, match="does not exist"):
        _ = DiffusersPainter(model="./no/such/folder").revision
    with pytest.raises(BackendFailed, match="Check the name and the network, or name a folder"):
        _ = DiffusersPainter(model="someone/no-such-model").revision


def test_pickled_weights_are_not_loaded(models: dict[str, Path], tmp_path: Path) -> None:
    folder = tmp_path / "pickled"
    (folder / "unet").mkdir(parents=True)
    (folder / "model_index.json").write_text((models["sd"] / "model_index.json").read_text())
    (folder / "unet" / "diffusion_pytorch_model.bin").write_bytes(b"")
    with pytest.raises(ConfigError, match="pickled weights can run code"):
        _ = DiffusersPainter(model=str(folder)).revision
    with pytest.raises(ConfigError, match=r"model_index\.json"):
        _ = DiffusersPainter(model=str(tmp_path)).revision


def test_a_damaged_model_fails_with_its_folder(models: dict[str, Path], tmp_path: Path, make_job: JobBuilder) -> None:
    folder = tmp_path / "empty"
    folder.mkdir()
    (folder / "model_index.json").write_text((models["sd"] / "model_index.json").read_text())
    with pytest.raises(BackendFailed, match="cannot be loaded from"):
        DiffusersPainter(model=str(folder)).paint([make_job()])


def test_a_missing_package_names_the_extra(monkeypatch: pytest.MonkeyPatch) -> None:
    import importlib

    def refuse(name: str) -> Any:
        raise ModuleNotFoundError("No module named 'diffusers'", name="diffusers")

    monkeypatch.setattr(importlib, "import_module", refuse)
    with pytest.raises(BackendMissing, match=r"pip install 'stablellava\[diffusers\]'"):
        build_backend("painter", "diffusers")


def test_each_worker_has_a_gpu_of_its_own() -> None:
    assert [assign_index(None, 4, rank) for rank in range(4)] == [0, 1, 2, 3]
    assert [assign_index((2, 2, 0), 4, rank) for rank in range(3)] == [2, 2, 0]
    with pytest.raises(ConfigError, match=r"synthesis\.num_workers=2"):
        assign_index(None, 2, 2)
    with pytest.raises(ConfigError, match="there are 2 GPUs"):
        assign_index((2,), 2, 0)


def test_as_many_pictures_are_painted_at_once_as_memory_holds() -> None:
    cpu = torch.device("cpu")
    assert pick_rows(cpu, 0, 64 * 64) == 16
    assert pick_rows(cpu, 1 << 50, 64 * 64) == 1


@pytest.mark.parametrize(
    ("error", "expected"),
    [
        (torch.OutOfMemoryError("CUDA out of memory"), True),
        (RuntimeError("DefaultCPUAllocator: not enough memory: you tried to allocate 4 bytes"), True),
        (RuntimeError("MPS backend out of memory"), True),
        (RuntimeError("mat1 and mat2 shapes cannot be multiplied"), False),
    ],
)
def test_running_out_of_memory_is_told_from_other_errors(error: RuntimeError, expected: bool) -> None:
    assert is_out_of_memory(error) is expected
