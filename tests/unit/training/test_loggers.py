"""What loggers write outlives the stage, and one that is not installed is told before anything is done."""

import importlib.util
from pathlib import Path

import pytest

import tiny_vlm
from stablellava.core.errors import BackendMissing
from stablellava.store.layout import RunLayout
from stablellava.training.loggers import check_loggers
from stablellava.training.stages import train_stage

WRITER = """
from pathlib import Path

class SummaryWriter:
    def __init__(self, log_dir):
        self.path = Path(log_dir) / "events"
        self.path.parent.mkdir(parents=True, exist_ok=True)
    def add_scalar(self, name, value, step):
        with self.path.open("a") as file:
            file.write(f"{step} {name} {value}\\n")
    def add_text(self, name, text): pass
    def flush(self): pass
    def close(self): pass
"""


@pytest.fixture
def layout(tmp_path: Path) -> RunLayout:
    layout = RunLayout(tmp_path / "run")
    tiny_vlm.write_samples(layout.data_dir, 12)
    return layout


@pytest.mark.skipif(importlib.util.find_spec("tensorboard") is not None, reason="the real one is taken first")
def test_events_stay_when_the_stage_is_done(layout: RunLayout, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "packages").mkdir()
    (tmp_path / "packages" / "tensorboardX.py").write_text(WRITER)
    monkeypatch.syspath_prepend(str(tmp_path / "packages"))
    language_model = tiny_vlm.write_language_model(tmp_path / "lm")
    watch = (
        "training.watch.report_to=[tensorboard]",
        "training.watch.every_steps=2",
        "training.watch.held_out_samples=2",
    )
    train_stage(tiny_vlm.training_config(language_model, *watch), layout, "align")
    events = (layout.training_dir("align") / "tensorboard" / "events").read_text().splitlines()
    names = [line.split()[:2] for line in events]
    assert [step for step, name in names if name == "train/loss"] == ["1", "2", "3", "4", "5"]
    assert [step for step, name in names if name == "eval/loss"] == ["2", "4", "5"]
    assert not (layout.training_dir("align") / "checkpoints").exists()


def test_a_logger_that_is_not_installed_is_told_before_the_data_is_read(
    layout: RunLayout, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    find = importlib.util.find_spec
    monkeypatch.setattr(
        importlib.util, "find_spec", lambda name, *more: None if name == "trackio" else find(name, *more)
    )
    with pytest.raises(BackendMissing, match=r"report_to=trackio needs trackio: pip install trackio, or take it out"):
        train_stage(tiny_vlm.training_config(tmp_path, "training.watch.report_to=[trackio]"), layout, "align")
    assert not layout.training_dir("align").exists()
    check_loggers(())
