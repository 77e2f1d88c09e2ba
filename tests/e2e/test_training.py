"""Both stages on a tiny model, uninterrupted and killed."""

import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest
import torch

import tiny_vlm
from stablellava.core.errors import ConfigError, RecordError
from stablellava.model.checkpoints import load_vlm
from stablellava.store.layout import RunLayout
from stablellava.training.stages import train_stage
from stablellava.training.step_log import read_step_log

SAVING = ("training.align.save_every_steps=2", "training.instruct.save_every_steps=2")

# Runs both stages; kills itself when the named stage has taken that many steps.
SCRIPT = """
import os, signal, sys
from pathlib import Path
import tiny_vlm
from stablellava.store.layout import RunLayout
from stablellava.training.stages import train_stage

root, language_model, fatal_stage, fatal_step, *overrides = sys.argv[1:]
config = tiny_vlm.training_config(Path(language_model), *overrides)
for stage in ("align", "instruct"):
    def die(phase, done, total, note, stage=stage):
        if (phase, stage, done) == ("steps", fatal_stage, int(fatal_step)):
            os.kill(os.getpid(), signal.SIGKILL)
    train_stage(config, RunLayout(Path(root)), stage, die)
"""


@pytest.fixture(scope="module")
def language_model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tiny_vlm.write_language_model(tmp_path_factory.mktemp("lm"))


def new_run(folder: Path, num_samples: int = 12) -> RunLayout:
    layout = RunLayout(folder)
    tiny_vlm.write_samples(layout.data_dir, num_samples)
    return layout


def run_until_killed(layout: RunLayout, language_model: Path, stage: str, step: int) -> None:
    environment = os.environ | {"PYTHONPATH": str(Path(tiny_vlm.__file__).parent)}
    command = [sys.executable, "-c", SCRIPT, str(layout.root), str(language_model), stage, str(step), *SAVING]
    done = subprocess.run(command, env=environment, check=False, capture_output=True, text=True)
    assert done.returncode == -signal.SIGKILL, done.stderr


def weights_of(layout: RunLayout, stage: str) -> bytes:
    return (layout.model_dir(stage) / "model.safetensors").read_bytes()


def test_a_run_killed_in_either_stage_ends_with_the_weights_of_an_uninterrupted_one(
    language_model: Path, tmp_path: Path
) -> None:
    config = tiny_vlm.training_config(language_model, *SAVING)
    whole, killed = new_run(tmp_path / "whole"), new_run(tmp_path / "killed")
    for stage in ("align", "instruct"):
        train_stage(config, whole, stage)

    run_until_killed(killed, language_model, "align", 5)
    newest = killed.training_dir("align") / "checkpoints" / "checkpoint-4"
    (newest / "complete").unlink()
    (newest / "optimizer.pt").write_bytes(b"torn")
    run_until_killed(killed, language_model, "instruct", 4)
    for stage in ("align", "instruct"):
        train_stage(config, killed, stage)

    for stage in ("align", "instruct"):
        assert weights_of(killed, stage) == weights_of(whole, stage)
        rows, expected = (read_step_log(layout.training_log_path(stage)) for layout in (killed, whole))
        assert [(row.step, row.loss) for row in rows] == [(row.step, row.loss) for row in expected]
        assert [row.step for row in rows] == [1, 2, 3, 4, 5]
        assert not (killed.training_dir(stage) / "checkpoints").exists()


def test_align_moves_the_projector_alone_and_instruct_the_language_model_too(
    language_model: Path, tmp_path: Path
) -> None:
    layout = new_run(tmp_path)
    config = tiny_vlm.training_config(language_model)
    reports = [train_stage(config, layout, stage) for stage in ("align", "instruct")]
    align, instruct = (load_vlm(layout.model_dir(stage)).model.state_dict() for stage in ("align", "instruct"))
    start = tiny_vlm.LlamaForCausalLM.from_pretrained(language_model).state_dict()
    layer = "layers.0.mlp.up_proj.weight"
    assert torch.equal(align[f"model.language_model.{layer}"], start[f"model.{layer}"])
    moved = {name.split(".")[1] for name in align if not torch.equal(align[name], instruct[name])}
    assert moved == {"multi_modal_projector", "language_model", "weight"}  # lm_head.weight is tied
    assert torch.equal(instruct["model.multi_modal_projector.linear_2.weight"], torch.eye(32))
    trained = [{module.name for module in report.modules if module.num_trainable} for report in reports]
    assert trained == [{"projector"}, {"projector", "language model"}]


def test_learning_lowers_the_loss_and_the_log_counts_what_was_learned(language_model: Path, tmp_path: Path) -> None:
    layout = new_run(tmp_path)
    config = tiny_vlm.training_config(
        language_model, "training.instruct.num_samples=60", "training.instruct.learning_rate=1.0e-2"
    )
    train_stage(config, layout, "align")
    report = train_stage(config, layout, "instruct")
    rows = read_step_log(layout.training_log_path("instruct"))
    assert rows[-1].loss < rows[0].loss / 2
    answers = len("It is red.Yes.") + 2
    assert answers * 2 <= rows[0].supervised_tokens <= (answers + len("green")) * 2
    assert sum(row.samples for row in rows) == report.num_samples == 60


def test_gradient_accumulation_gives_the_step_of_one_large_batch(language_model: Path, tmp_path: Path) -> None:
    losses = []
    for name, batch, accumulation in (("large", 4, 1), ("small", 1, 4)):
        layout = new_run(tmp_path / name, num_samples=4)
        sizes = (f"training.align.batch_size={batch}", f"training.align.gradient_accumulation={accumulation}")
        config = tiny_vlm.training_config(language_model, *sizes, "training.align.num_samples=12")
        train_stage(config, layout, "align")
        losses.append([row.loss for row in read_step_log(layout.training_log_path("align"))])
    assert losses[0] == pytest.approx(losses[1], abs=1e-5)


def test_frozen_embeddings_stay_and_the_rest_learns(language_model: Path, tmp_path: Path) -> None:
    layout = new_run(tmp_path)
    config = tiny_vlm.training_config(language_model, "training.instruct.freeze_embeddings=true")
    for stage in ("align", "instruct"):
        train_stage(config, layout, stage)
    align, instruct = (load_vlm(layout.model_dir(stage)).model for stage in ("align", "instruct"))
    assert torch.equal(align.lm_head.weight, instruct.lm_head.weight)
    assert not torch.equal(align.model.language_model.norm.weight, instruct.model.language_model.norm.weight)


def test_only_the_last_layers_learn_when_told_so(language_model: Path, tmp_path: Path) -> None:
    layout = new_run(tmp_path)
    last = ("training.instruct.train_last_layers=1", "training.instruct.train_projector=false")
    config = tiny_vlm.training_config(language_model, *last)
    for stage in ("align", "instruct"):
        train_stage(config, layout, stage)
    align, instruct = (load_vlm(layout.model_dir(stage)).model.state_dict() for stage in ("align", "instruct"))
    moved = {name for name in align if not torch.equal(align[name], instruct[name])}
    assert moved
    assert all("language_model.layers.1." in name or name.endswith("language_model.norm.weight") for name in moved)


def test_more_layers_than_there_are_are_refused(language_model: Path, tmp_path: Path) -> None:
    layout = new_run(tmp_path)
    config = tiny_vlm.training_config(language_model, "training.instruct.train_last_layers=3")
    train_stage(config, layout, "align")
    with pytest.raises(ConfigError, match=r"train_last_layers=3: the language model has 2 layers"):
        train_stage(config, layout, "instruct")


def test_a_finished_stage_is_not_trained_again(language_model: Path, tmp_path: Path) -> None:
    layout = new_run(tmp_path)
    config = tiny_vlm.training_config(language_model)
    first = train_stage(config, layout, "align")
    assert train_stage(config, layout, "align") == first


def test_other_settings_in_the_same_run_are_refused_by_name(language_model: Path, tmp_path: Path) -> None:
    layout = new_run(tmp_path)
    train_stage(tiny_vlm.training_config(language_model), layout, "align")
    other = tiny_vlm.training_config(language_model, "training.align.learning_rate=5.0e-3")
    with pytest.raises(ConfigError, match=r"training\.align\.learning_rate: 0\.001 -> 0\.005"):
        train_stage(other, layout, "align")


def test_a_loss_that_is_not_a_number_ends_the_run_and_names_the_samples(language_model: Path, tmp_path: Path) -> None:
    layout = new_run(tmp_path)
    config = tiny_vlm.training_config(
        language_model, "training.align.learning_rate=1.0e38", "training.align.schedule=constant_with_warmup"
    )
    with pytest.raises(ConfigError, match=r"samples sample-\d+, sample-\d+.*learning_rate"):
        train_stage(config, layout, "align")


def test_instruct_without_align_and_align_without_data_say_what_is_missing(
    language_model: Path, tmp_path: Path
) -> None:
    config = tiny_vlm.training_config(language_model)
    with pytest.raises(RecordError, match="no samples there"):
        train_stage(config, RunLayout(tmp_path / "empty"), "align")
    with pytest.raises(RecordError, match="train --stage align"):
        train_stage(config, new_run(tmp_path / "data"), "instruct")


def test_samples_that_are_all_too_long_are_refused_with_their_length(language_model: Path, tmp_path: Path) -> None:
    config = tiny_vlm.training_config(language_model, "training.align.max_length=32")
    expected = r"none of 12 samples can be learned from: sample-0 is dropped as too_long \(53 tokens .*max_length 32\)"
    with pytest.raises(RecordError, match=expected):
        train_stage(config, new_run(tmp_path), "align")


def test_a_stage_that_trains_nothing_is_refused(language_model: Path, tmp_path: Path) -> None:
    config = tiny_vlm.training_config(language_model, "training.align.train_projector=false")
    with pytest.raises(ConfigError, match="nothing would learn"):
        train_stage(config, new_run(tmp_path), "align")


def test_a_closed_form_align_needs_no_step_and_instruct_goes_on_from_it(language_model: Path, tmp_path: Path) -> None:
    layout = new_run(tmp_path)
    config = tiny_vlm.training_config(
        language_model,
        "training.align.method=closed_form",
        "training.align.closed_form.pseudo_photos_per_class=1",
    )
    report = train_stage(config, layout, "align")
    assert (report.num_steps, report.explained is not None) == (0, True)
    assert train_stage(config, layout, "instruct").num_steps == 5


def test_a_closed_form_counts_a_picture_as_often_as_it_is_drawn(language_model: Path, tmp_path: Path) -> None:
    weights = []
    for number, epochs in enumerate((1, 4, 4)):
        layout = new_run(tmp_path / str(number))
        config = tiny_vlm.training_config(
            language_model,
            "training.align.method=closed_form",
            "training.align.closed_form.pseudo_photos_per_class=1",
            "training.align.num_samples=null",
            f"training.align.num_epochs={epochs}",
        )
        train_stage(config, layout, "align")
        projector = load_vlm(layout.model_dir("align")).model.model.multi_modal_projector
        weights.append(projector.linear_1.weight)
    assert torch.equal(weights[1], weights[2])
    assert (weights[0] - weights[1]).norm() > 0.01 * weights[0].norm()
