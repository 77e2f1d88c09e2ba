"""The card that an exported model carries."""

from pathlib import Path

import pytest

import tiny_vlm
from stablellava.core.score import EvalLog, TaskReport
from stablellava.model.exporting import export_model
from stablellava.store.layout import RunLayout
from stablellava.studies.model_card import write_model_card
from stablellava.training.stages import train_stage


@pytest.fixture(scope="module")
def layout(tmp_path_factory: pytest.TempPathFactory) -> RunLayout:
    folder = tmp_path_factory.mktemp("run")
    layout = RunLayout(folder / "mine")
    tiny_vlm.write_samples(layout.data_dir, 14)
    (layout.data_dir / "manifest.json").write_text(
        '{"fingerprint": "f", "inputs": {}, "counts": {"color": {"accepted": 14}}, "attribution": "Squares, CC0"}'
    )
    config = tiny_vlm.training_config(
        tiny_vlm.write_language_model(folder / "lm"),
        "training.instruct.lora.rank=4", "training.instruct.lora.base_precision=float32",
    )  # fmt: skip
    for stage in ("align", "instruct"):
        train_stage(config, layout, stage)
    return layout


def write_log(layout: RunLayout) -> None:
    report = TaskReport(name="color", value=0.5, ci_low=0.4, ci_high=0.6, num_items=50)
    log = EvalLog(
        suite="generated", model="m", model_fingerprint="", data_fingerprint="", created="", package_version="",
        reports=(report,), entries=(),
    )  # fmt: skip
    path = layout.eval_log_path("generated", "instruct")
    path.parent.mkdir(exist_ok=True)
    path.write_bytes(log.to_json())
    (path.parent / "pope.instruct.json").write_text('{"kind": "a benchmark\'s log"}')


def test_the_card_names_data_settings_fingerprints_and_scores(layout: RunLayout, tmp_path: Path) -> None:
    write_log(layout)
    export_model(layout.model_dir("instruct"), "merged", tmp_path / "out")
    card = write_model_card(layout.model_dir("instruct"), tmp_path / "out").read_text()
    for expected in (
        "| synthesized in this run, fingerprint `", "| 14 | 14 | 10 samples |", "Squares, CC0",
        "## Align: training", "## Instruct: training", "5 steps, loss ", "| lora.rank | 4 |",
        "| learning_rate | 0.001 |",
        "Fingerprint of settings, data and starting weights: `",
        "| generated | color | 50.0 % | 40.0 % to 60.0 % | 50 |",
    ):  # fmt: skip
        assert expected in card, expected


def test_the_card_of_the_first_stage_says_nothing_of_the_second(layout: RunLayout, tmp_path: Path) -> None:
    card = write_model_card(layout.model_dir("align"), tmp_path).read_text()
    assert "## Align: training" in card
    assert "## Instruct" not in card
    assert "Not evaluated in this run" in card


def test_a_model_from_elsewhere_says_so(layout: RunLayout, tmp_path: Path) -> None:
    export_model(layout.model_dir("align"), "hf", tmp_path / "moved")
    assert "Trained elsewhere" in write_model_card(tmp_path / "moved", tmp_path / "moved").read_text()
