"""A stage that learns from several sources, some of whose rows are broken."""

import json
import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

import broken_rows
import tiny_vlm
from stablellava.core.errors import ConfigError, RecordError
from stablellava.store.layout import RunLayout
from stablellava.training.stage_data import SourceReports
from stablellava.training.stages import train_stage

SCRIPT = """
import os, signal, sys
from pathlib import Path
import tiny_vlm
from stablellava.store.layout import RunLayout
from stablellava.training.stages import train_stage

root, language_model, fatal_step, *overrides = sys.argv[1:]
def die(phase, done, total, note):
    if (phase, done) == ("steps", int(fatal_step)):
        os.kill(os.getpid(), signal.SIGKILL)
train_stage(tiny_vlm.training_config(Path(language_model), *overrides), RunLayout(Path(root)), "align", die)
"""


@pytest.fixture(scope="module")
def language_model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tiny_vlm.write_language_model(tmp_path_factory.mktemp("lm"))


@pytest.fixture(scope="module")
def broken(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, dict[int, str]]:
    folder = tmp_path_factory.mktemp("broken")
    broken_rows.write_pictures(folder / "images")
    return folder, broken_rows.write_rows(folder / "rows.json", per_kind=1)


def sources(folder: Path) -> list[str]:
    asked = [
        {"share": 0.25, "max_epochs": 3},
        {"path": str(folder / "rows.json"), "images": str(folder / "images"), "share": 0.75, "data": "dialogues"},
    ]
    return [f"training.align.sources={json.dumps(asked)}", "training.align.num_samples=40"]


def new_run(folder: Path) -> RunLayout:
    tiny_vlm.write_samples(RunLayout(folder).data_dir, 6)
    return RunLayout(folder)


def test_a_source_with_rows_broken_in_every_way_trains_and_all_of_them_are_listed(
    language_model: Path, broken: tuple[Path, dict[int, str]], tmp_path: Path
) -> None:
    folder, expected = broken
    layout = new_run(tmp_path / "run")
    report = train_stage(tiny_vlm.training_config(language_model, *sources(folder)), layout, "align")
    path = layout.training_dir("align") / "sources.json"
    own, rows = SourceReports.from_json(path.read_bytes()).sources
    assert (own.source, own.num_good, own.bad) == ("own", 6, ())
    assert {row.row: row.reason for row in rows.bad} == expected
    assert report.num_examples == 6 + rows.num_good
    assert {(row.reason, row.source) for row in report.dropped} == {("no_place_for_system", 1)}
    assert (report.num_samples, report.num_steps) == (40, 20)


def test_a_run_on_sources_killed_in_the_middle_ends_with_the_weights_of_an_uninterrupted_one(
    language_model: Path, broken: tuple[Path, dict[int, str]], tmp_path: Path
) -> None:
    overrides = [*sources(broken[0]), "training.align.save_every_steps=3"]
    whole, killed = new_run(tmp_path / "whole"), new_run(tmp_path / "killed")
    config = tiny_vlm.training_config(language_model, *overrides)
    train_stage(config, whole, "align")
    environment = os.environ | {"PYTHONPATH": str(Path(tiny_vlm.__file__).parent)}
    command = [sys.executable, "-c", SCRIPT, str(killed.root), str(language_model), "11", *overrides]
    done = subprocess.run(command, env=environment, check=False, capture_output=True, text=True)
    assert done.returncode == -signal.SIGKILL, done.stderr
    train_stage(config, killed, "align")
    weights = [layout.model_dir("align") / "model.safetensors" for layout in (whole, killed)]
    assert weights[0].read_bytes() == weights[1].read_bytes()


def test_a_share_that_would_repeat_a_source_unasked_is_refused_before_training(
    language_model: Path, broken: tuple[Path, dict[int, str]], tmp_path: Path
) -> None:
    overrides = [argument.replace(', "max_epochs": 3', "") for argument in sources(broken[0])]
    with pytest.raises(ConfigError, match=r"source 'own': its share of 40 samples is 10, 1\.67 times its 6 rows"):
        train_stage(tiny_vlm.training_config(language_model, *overrides), new_run(tmp_path), "align")


def test_a_source_of_which_nothing_remains_is_named(language_model: Path, tmp_path: Path) -> None:
    path = tmp_path / "rows.json"
    path.write_text('["a", "b"]')
    asked = (f'training.align.sources=[{{"path": "{path}"}}]', "training.align.num_samples=null")
    config = tiny_vlm.training_config(language_model, *asked)
    with pytest.raises(RecordError, match=r"source 'rows\.json': none of its 2 rows can be used; see"):
        train_stage(config, new_run(tmp_path / "run"), "align")
