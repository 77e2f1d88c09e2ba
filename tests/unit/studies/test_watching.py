"""What is measured on a suite while a stage trains is what an evaluation of the saved model says."""

from pathlib import Path

import pytest

import tiny_vlm
from stablellava.core.errors import ConfigError, RecordError
from stablellava.core.score import EvalItem
from stablellava.evaluation.capability_benchmark import evaluate_suite
from stablellava.evaluation.reporting import MEAN
from stablellava.model.answering import LocalAnswerer
from stablellava.store.layout import RunLayout
from stablellava.studies.watching import build_measure, choose_evenly
from stablellava.training.stages import train_stage
from stablellava.training.step_log import MeasureRow, RowLog

WATCH = ("training.watch.every_steps=20", "training.watch.metric=accuracy")
TAUGHT = ("training.instruct.num_samples=280", "training.instruct.batch_size=7", "training.instruct.learning_rate=0.01")


def write_suite(folder: Path) -> Path:
    """The question that is taught: "It" is learned soon, colors are not."""
    folder.mkdir()
    rows = [
        EvalItem(
            item_id=f"{capability}-{name}",
            capability=capability,
            images=(tiny_vlm.write_square(folder, name).name,),
            question="Which color is it?",
            accepted=accepted,
            form="wh",
        )
        for capability, accepted in (("color", ("green",)), ("opening", ("it",)))
        for name in tiny_vlm.COLORS
    ]
    (folder / "items.jsonl").write_bytes(b"".join(row.to_json() + b"\n" for row in rows))
    return folder


@pytest.fixture
def layout(tmp_path: Path) -> RunLayout:
    layout = RunLayout(tmp_path / "run")
    tiny_vlm.write_samples(layout.data_dir, 14)
    return layout


def test_the_last_measurement_is_what_an_evaluation_of_the_saved_model_says(layout: RunLayout, tmp_path: Path) -> None:
    language_model = tiny_vlm.write_language_model(tmp_path / "lm")
    suite = write_suite(tmp_path / "suite")
    config = tiny_vlm.training_config(language_model, *WATCH, *TAUGHT, f"training.watch.suite={suite}")
    train_stage(config, layout, "align", measure=build_measure(config, layout))
    train_stage(config, layout, "instruct", measure=build_measure(config, layout))
    rows = RowLog(layout.training_dir("instruct") / "measures.jsonl", MeasureRow).read()
    assert [row.step for row in rows] == [20, 40]
    answerer = LocalAnswerer(layout.model_dir("instruct"), config.evaluation.max_new_tokens)
    log = evaluate_suite(suite, answerer, "photos", log_path=tmp_path / "log.json")
    means = {report.name: report.value for report in log.reports}
    assert means["opening"] == 1.0
    assert rows[-1].values == pytest.approx(
        {"accuracy": means[MEAN], "accuracy/color": means["color"], "accuracy/opening": 1.0}
    )


def test_few_items_are_spread_over_the_capabilities() -> None:
    items = tuple(
        EvalItem(item_id=f"{name}{number}", capability=name, images=(), question="?", accepted=("x",))
        for name, count in (("a", 5), ("b", 1), ("c", 5))
        for number in range(count)
    )
    assert [item.item_id for item in choose_evenly(items, 6)] == ["a0", "b0", "c0", "a1", "c1", "a2"]
    assert len(choose_evenly(items, 100)) == 11


def test_a_folder_without_items_is_refused_before_training(layout: RunLayout, tmp_path: Path) -> None:
    config = tiny_vlm.training_config(tmp_path, *WATCH, f"training.watch.suite={tmp_path}")
    with pytest.raises(RecordError, match=r"is no suite: it has no items\.jsonl"):
        build_measure(config, layout)


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        (["training.watch.suite=generated"], "set every_steps"),
        (["training.watch.every_steps=2", "training.watch.metric=accuracy"], "set suite to generated"),
    ],
)
def test_settings_that_measure_nothing_are_refused(settings: list[str], message: str, tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=message):
        tiny_vlm.training_config(tmp_path, *settings)


def test_without_a_suite_nothing_is_asked(layout: RunLayout, tmp_path: Path) -> None:
    assert build_measure(tiny_vlm.training_config(tmp_path), layout) is None
