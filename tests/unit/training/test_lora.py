"""A stage that trains adapters: what learns, what is left on disk, that a kill costs nothing."""

import shutil
from collections.abc import Mapping
from pathlib import Path

import pytest
import torch

import tiny_vlm
from stablellava.core.errors import ConfigError, RecordError
from stablellava.model.answering import LocalAnswerer
from stablellava.model.assembling import Vlm
from stablellava.model.checkpoints import load_vlm
from stablellava.store.layout import RunLayout
from stablellava.training.stages import train_stage
from stablellava.training.step_log import read_step_log
from stablellava.training.switches import compare_switches

LORA = tuple(
    f"training.instruct.{setting}"
    for setting in (
        "lora.rank=4", "lora.alpha=8", "lora.dropout=0.1", "lora.base_precision=float32",
        "projector_learning_rate=1.0e-4",
    )
)  # fmt: skip


@pytest.fixture(scope="module")
def language_model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tiny_vlm.write_language_model(tmp_path_factory.mktemp("lm"))


@pytest.fixture(scope="module")
def aligned(language_model: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    layout = RunLayout(tmp_path_factory.mktemp("aligned"))
    tiny_vlm.write_samples(layout.data_dir, 14)
    train_stage(tiny_vlm.training_config(language_model), layout, "align")
    return layout.root


@pytest.fixture
def layout(aligned: Path, tmp_path: Path) -> RunLayout:
    for name in ("data", "model", "training", "features"):
        (tmp_path / name).symlink_to(aligned / name) if name in ("data", "features") else _copy(aligned, tmp_path, name)
    return RunLayout(tmp_path)


def _copy(source: Path, target: Path, name: str) -> None:
    shutil.copytree(source / name, target / name)


class Interrupted(Exception):
    """Stands for the power cut."""


def interrupt(vlm: Vlm) -> Mapping[str, float]:
    raise Interrupted


def test_adapters_and_projector_learn_and_the_base_stays(language_model: Path, layout: RunLayout) -> None:
    report = train_stage(tiny_vlm.training_config(language_model, *LORA), layout, "instruct")
    learning = {module.name: module.num_trainable for module in report.modules}
    assert learning["tower"] == 0
    # rank x (in + out) of two layers: q and o 32+32, k and v 32+16, three of the MLP 32+64.
    assert learning["language model"] == 2 * 4 * (2 * 64 + 2 * 48 + 3 * 96)
    rows = read_step_log(layout.training_log_path("instruct"))
    assert rows[-1].loss < rows[0].loss
    before, after = load_vlm(layout.model_dir("align")), load_vlm(layout.model_dir("instruct"))
    changed = {
        name
        for name, tensor in before.model.state_dict().items()
        if not torch.equal(tensor, after.model.state_dict()[name])
    }
    assert {name.rpartition("layers.")[2].partition(".")[0] for name in changed if "language_model" in name} == {
        "0",
        "1",
    }
    assert not any("embed_tokens" in name or "norm" in name or "vision_tower" in name for name in changed)
    assert "model.multi_modal_projector.linear_1.weight" in changed
    assert not (layout.model_dir("instruct") / "model.safetensors").exists()


def test_a_killed_stage_goes_on_to_the_same_bytes(language_model: Path, layout: RunLayout) -> None:
    saving = ("training.instruct.save_every_steps=1", "training.watch.every_steps=3", "training.watch.metric=none")
    config = tiny_vlm.training_config(language_model, *LORA, *saving)
    whole = RunLayout(layout.root / "whole")
    whole.root.mkdir()
    for name in ("data", "features"):
        (whole.root / name).symlink_to(layout.root / name)
    _copy(layout.root, whole.root, "model")
    train_stage(config, whole, "instruct", measure=lambda _: {"none": 0.0})
    with pytest.raises(Interrupted):
        train_stage(config, layout, "instruct", measure=interrupt)
    assert len(read_step_log(layout.training_log_path("instruct"))) == 3
    train_stage(config, layout, "instruct", measure=lambda _: {"none": 0.0})
    for path in sorted(whole.model_dir("instruct").iterdir()):
        assert path.read_bytes() == (layout.model_dir("instruct") / path.name).read_bytes(), path.name


def test_the_loss_is_the_same_packed_cached_or_neither(language_model: Path, layout: RunLayout) -> None:
    plain = [f"training.speed.{name}=false" for name in ("packing", "answers_only", "cached_features")]
    still = "training.instruct.lora.dropout=0"
    other = RunLayout(layout.root / "other")
    other.root.mkdir()
    (other.root / "data").symlink_to(layout.data_dir)
    _copy(layout.root, other.root, "model")
    losses = []
    for run, overrides in ((layout, ()), (other, plain)):
        train_stage(tiny_vlm.training_config(language_model, *LORA, still, *overrides), run, "instruct")
        losses.append([row.loss for row in read_step_log(run.training_log_path("instruct"))])
    assert losses[0] == pytest.approx(losses[1], abs=1e-5)


def test_no_switch_changes_loss_or_gradients_of_adapters(language_model: Path, layout: RunLayout) -> None:
    for effect in compare_switches(tiny_vlm.training_config(language_model, *LORA), layout, "instruct"):
        assert effect.loss_on == pytest.approx(effect.loss_off, abs=1e-5), effect
        assert effect.gradient_difference < 1e-3, effect


def test_a_stage_starts_from_a_checkpoint_without_align(language_model: Path, layout: RunLayout) -> None:
    run = RunLayout(layout.root / "further")
    run.root.mkdir()
    (run.root / "data").symlink_to(layout.data_dir)
    config = tiny_vlm.training_config(language_model, *LORA)
    with pytest.raises(RecordError, match="--stage align"):
        train_stage(config, run, "instruct")
    start = f"training.model.start={layout.model_dir('align')}"
    train_stage(tiny_vlm.training_config(language_model, *LORA, start), run, "instruct")
    train_stage(config, layout, "instruct")
    ours, theirs = (load_vlm(each.model_dir("instruct")).model.state_dict() for each in (run, layout))
    assert all(torch.equal(tensor, theirs[name]) for name, tensor in ours.items())


def test_an_adapter_answers_wherever_a_model_is_asked(language_model: Path, layout: RunLayout, tmp_path: Path) -> None:
    train_stage(tiny_vlm.training_config(language_model, *LORA), layout, "instruct")
    answerer = LocalAnswerer(layout.model_dir("instruct"), max_new_tokens=4)
    picture = tiny_vlm.write_square(tmp_path, "red")
    merged = tmp_path / "merged"
    load_vlm(layout.model_dir("instruct")).save(merged)
    turn = tiny_vlm.Turn(speaker="user", text="Which color?", images=(0,))
    assert answerer.reply([turn], [picture]) == LocalAnswerer(merged, max_new_tokens=4).reply([turn], [picture])


@pytest.mark.parametrize(
    ("override", "message"),
    [
        ("training.instruct.train_language_model=false", "set train_language_model"),
        ("training.instruct.train_last_layers=1", "take train_last_layers"),
    ],
)
def test_settings_that_contradict_adapters_are_refused(language_model: Path, override: str, message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        tiny_vlm.training_config(language_model, *LORA, override)
