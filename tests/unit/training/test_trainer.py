"""What a stage does beside its steps: measuring, stopping, keeping the best, naming spikes, switching."""

import multiprocessing
from collections.abc import Mapping
from pathlib import Path

import pytest
import torch

import tiny_vlm
from stablellava.core.errors import BackendMissing, ConfigError
from stablellava.model.assembling import Vlm
from stablellava.model.checkpoints import load_vlm
from stablellava.store.layout import RunLayout
from stablellava.training.probing import probe_rate
from stablellava.training.stages import train_stage
from stablellava.training.step_log import MeasureRow, RowLog, read_step_log
from stablellava.training.switches import compare_switches, vary

WATCH = ("training.watch.held_out_samples=4", "training.watch.every_steps=1")


@pytest.fixture(scope="module")
def language_model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tiny_vlm.write_language_model(tmp_path_factory.mktemp("lm"))


@pytest.fixture
def layout(tmp_path: Path) -> RunLayout:
    layout = RunLayout(tmp_path)
    tiny_vlm.write_samples(layout.data_dir, 14)
    return layout


def measures_of(layout: RunLayout) -> list[MeasureRow]:
    return RowLog(layout.training_dir("align") / "measures.jsonl", MeasureRow).read()


def test_the_loss_on_held_out_samples_is_measured_and_they_are_not_trained_on(
    language_model: Path, layout: RunLayout
) -> None:
    config = tiny_vlm.training_config(language_model, *WATCH, "training.align.num_samples=null")
    report = train_stage(config, layout, "align")
    rows = measures_of(layout)
    assert [row.step for row in rows] == [1, 2, 3, 4, 5]
    assert report.num_samples == 14 - 4
    losses = [row.values["loss"] for row in rows]
    assert losses == sorted(losses, reverse=True)


class Capability:
    """Rises, then falls; looks at the weights each time."""

    def __init__(self, scores: list[float]):
        self.scores = iter(scores)
        self.projectors: list[torch.Tensor] = []

    def __call__(self, vlm: Vlm) -> Mapping[str, float]:
        assert not vlm.model.training
        self.projectors.append(vlm.model.model.multi_modal_projector.linear_1.weight.detach().clone())
        return {"capability": next(self.scores)}


def test_the_best_weights_are_kept_and_training_stops_when_nothing_gets_better(
    language_model: Path, layout: RunLayout
) -> None:
    watch = ("metric=capability", "every_steps=1", "stop_after=2", "keep=best")
    config = tiny_vlm.training_config(language_model, *(f"training.watch.{setting}" for setting in watch))
    capability = Capability([0.1, 0.5, 0.3, 0.5, 0.9])
    report = train_stage(config, layout, "align", measure=capability)
    assert report.num_steps == 4
    kept = load_vlm(layout.model_dir("align")).model.model.multi_modal_projector.linear_1.weight
    assert torch.equal(kept, capability.projectors[1])
    assert not torch.equal(kept, capability.projectors[3])


def test_a_metric_that_nobody_measures_is_refused_before_any_step(language_model: Path, layout: RunLayout) -> None:
    config = tiny_vlm.training_config(
        language_model, "training.watch.metric=capability", "training.watch.every_steps=1"
    )
    with pytest.raises(ConfigError, match=r"training\.watch\.metric='capability'"):
        train_stage(config, layout, "align")
    assert not layout.training_log_path("align").exists()


def test_holding_out_every_sample_is_refused(language_model: Path, layout: RunLayout) -> None:
    config = tiny_vlm.training_config(
        language_model, "training.watch.held_out_samples=14", "training.watch.every_steps=1"
    )
    with pytest.raises(ConfigError, match="there are 14 samples"):
        train_stage(config, layout, "align")


def test_a_loss_that_stands_out_names_its_samples(language_model: Path, layout: RunLayout) -> None:
    config = tiny_vlm.training_config(
        language_model,
        "training.instruct.num_samples=28",
        "training.instruct.learning_rate=10.0",
        "training.instruct.schedule=constant_with_warmup",
        "training.instruct.warmup_share=0.9",
    )
    train_stage(config, layout, "align")
    report = train_stage(config, layout, "instruct")
    rows = [row for row in read_step_log(layout.training_log_path("instruct")) if row.suspects]
    assert report.num_spikes == len(rows) > 0
    assert all(len(row.suspects) == row.samples and row.suspects[0].startswith("sample-") for row in rows)


def test_pictures_decoded_by_workers_teach_what_cached_features_teach(language_model: Path, layout: RunLayout) -> None:
    other = RunLayout(layout.root / "other")
    tiny_vlm.write_samples(other.data_dir, 14)
    without = ("training.speed.cached_features=false", "training.speed.num_workers=2")
    losses = []
    for run, overrides in ((layout, ()), (other, without)):
        train_stage(tiny_vlm.training_config(language_model, *overrides), run, "align")
        losses.append([row.loss for row in read_step_log(run.training_log_path("align"))])
    assert losses[0] == pytest.approx(losses[1], abs=1e-5)
    assert not other.features_dir.exists()


def test_workers_share_what_a_stage_has_encoded_however_processes_are_started(
    language_model: Path, layout: RunLayout
) -> None:
    before = multiprocessing.get_start_method()
    multiprocessing.set_start_method("forkserver", force=True)  # Python 3.14 does so unasked
    try:
        report = train_stage(tiny_vlm.training_config(language_model, "training.speed.num_workers=1"), layout, "align")
    finally:
        multiprocessing.set_start_method(before, force=True)
    assert report.num_steps == 5


def test_no_switch_changes_loss_or_gradients(language_model: Path, layout: RunLayout) -> None:
    effects = compare_switches(tiny_vlm.training_config(language_model), layout, "align")
    assert {"packing", "answers_only", "short_last_layer", "cached_features"} <= {effect.setting for effect in effects}
    for effect in effects:
        assert effect.loss_on == pytest.approx(effect.loss_off, abs=1e-5), effect
        assert effect.gradient_difference < 1e-3, effect


def test_switches_are_compared_in_the_precision_that_the_stage_trains_in(
    language_model: Path, layout: RunLayout
) -> None:
    config = tiny_vlm.training_config(language_model, "training.precision=bfloat16", "training.speed.num_workers=0")
    effects = {effect.setting: effect for effect in compare_switches(config, layout, "align")}
    train_stage(config, layout, "align")
    first_loss = read_step_log(layout.training_log_path("align"))[0].loss
    assert effects["packing"].loss_on == first_loss


def test_what_cannot_be_switched_off_again_is_compared_last_and_alone(language_model: Path) -> None:
    config = tiny_vlm.training_config(language_model, "training.speed.liger=true", "training.speed.compile=true")
    variants = list(vary(config.training.speed))
    assert [name for name, _, _ in variants][-2:] == ["liger", "compile"]
    used = [(on.liger or off.liger, on.compile or off.compile) for _, on, off in variants]
    assert used[:-2] == [(False, False)] * (len(variants) - 2)
    assert [(on.liger, off.liger) for _, on, off in variants[-2:]] == [(True, False), (True, True)]
    assert [(on.compile, off.compile) for _, on, off in variants[-2:]] == [(False, False), (True, False)]


def test_an_attention_that_is_not_there_is_refused_before_anything_is_read(
    language_model: Path, layout: RunLayout
) -> None:
    config = tiny_vlm.training_config(language_model, "training.speed.attention=flash", "training.speed.liger=true")
    with pytest.raises(BackendMissing, match=r"attention=flash needs a GPU"):
        train_stage(config, layout, "align")
    with pytest.raises(BackendMissing, match=r"liger needs the package liger-kernel"):
        train_stage(tiny_vlm.training_config(language_model, "training.speed.liger=true"), layout, "align")
    assert not layout.features_dir.exists()


def test_a_probe_measures_a_rate_and_leaves_no_stage_behind(language_model: Path, layout: RunLayout) -> None:
    rate = probe_rate(tiny_vlm.training_config(language_model), layout, "align", num_steps=3)
    assert rate > 0
    assert not layout.model_dir("align").exists()
