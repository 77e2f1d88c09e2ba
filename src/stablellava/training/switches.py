"""What each speed setting does to the loss and the time of one batch."""

import time
from collections.abc import Iterator

import torch
from torch import nn

from stablellava.config.training import SpeedSettings, StageConfig, StageName
from stablellava.config.tree import RunConfig
from stablellava.core.record import Record
from stablellava.model.vlm import AnswerLoss
from stablellava.store.layout import RunLayout
from stablellava.training.kernels import (
    apply_kernels,
    check_kernels,
    choose_attention,
    loss_of,
    undo_checkpointing,
    use_kernels,
)
from stablellava.training.preparing import Prepared, build_collator, prepare_stage
from stablellava.training.processes import join_processes, wait_for_accelerator
from stablellava.training.reporting import tell_nobody
from stablellava.training.stage_data import load_stage_data

REPEATS = 3


class SwitchEffect(Record):
    """One batch forward and backward with a setting on and off, the others as configured."""

    setting: str
    loss_on: float
    loss_off: float
    gradient_difference: float
    """Largest difference of a gradient's norm, over that norm."""
    seconds_on: float
    seconds_off: float


def compare_switches(config: RunConfig, layout: RunLayout, stage: StageName) -> list[SwitchEffect]:
    """Measure every speed setting on the stage's first batch; nothing is trained or written but features.

    Raises: as ``train_stage``.
    """
    training = config.training
    settings = _without_dropout(training.align if stage == "align" else training.instruct)
    base = training.speed.model_copy(update={"cached_features": True, "num_workers": 0})
    measured = config.model_copy(update={"training": training.model_copy(update={"speed": base, stage: settings})})
    check_kernels(base, training.precision)
    data = load_stage_data(settings, layout.data_dir, layout.training_dir(stage), training.check_images == "decode")
    processes = join_processes()
    ready = prepare_stage(measured, layout, stage, data.examples, processes, tell_nobody)
    nn.Module.to(ready.vlm.model, processes.device)
    return [_compare(ready, name, on, off, training.precision) for name, on, off in vary(base)]


def _without_dropout(settings: StageConfig) -> StageConfig:
    """Return the settings without what is drawn anew for every batch, and would hide what a switch does."""
    if settings.lora is None:
        return settings
    return settings.model_copy(update={"lora": settings.lora.model_copy(update={"dropout": 0.0})})


def vary(asked: SpeedSettings) -> Iterator[tuple[str, SpeedSettings, SpeedSettings]]:
    """Yield each setting's name with it on and off; what cannot be undone comes last, and only if it was asked for."""
    base = asked.model_copy(update={"liger": False, "compile": False})

    def turned(**changes: object) -> SpeedSettings:
        return base.model_copy(update=changes)

    for name in ("packing", "answers_only", "short_last_layer", "cached_features", "gradient_checkpointing"):
        yield name, turned(**{name: True}), turned(**{name: False})
    yield "packing, attention=block_mask", turned(packing=True, attention="block_mask"), turned(packing=False)
    if asked.liger:
        yield "liger", turned(liger=True), base
    if asked.compile:
        yield "compile", asked, turned(liger=asked.liger)


def _compare(
    ready: Prepared, name: str, on_settings: SpeedSettings, off_settings: SpeedSettings, precision: str
) -> SwitchEffect:
    off, off_norms, seconds_off = _measure(ready, off_settings, precision)
    on, on_norms, seconds_on = _measure(ready, on_settings, precision)
    differences = [abs(on_norms[key] - norm) / max(norm, 1e-12) for key, norm in off_norms.items()]
    return SwitchEffect(
        setting=name,
        loss_on=on,
        loss_off=off,
        gradient_difference=max(differences),
        seconds_on=seconds_on,
        seconds_off=seconds_off,
    )


def _measure(ready: Prepared, speed: SpeedSettings, precision: str) -> tuple[float, dict[str, float], float]:
    """Return loss, gradient norms and the shortest of a few times, decoding included."""
    llava = ready.vlm.model
    attention = choose_attention(speed, precision)
    collator = build_collator(ready, speed, attention)
    examples = [ready.encoded[index] for index in ready.plan.batches(balanced=speed.packing)[0]]
    loss_model = AnswerLoss(llava, answers_only=speed.answers_only)
    llava.train()
    times = []
    with use_kernels(llava, speed, attention):
        apply_kernels(loss_model, speed, collator(examples), precision)
        for _ in range(REPEATS):
            llava.zero_grad()
            started = time.perf_counter()
            loss = loss_of(loss_model, collator(examples), precision)
            torch.autograd.backward(loss)
            wait_for_accelerator()
            times.append(time.perf_counter() - started)
    undo_checkpointing(llava)
    norms = {name: float(p.grad.norm()) for name, p in llava.named_parameters() if p.grad is not None}
    return float(loss.detach()), norms, min(times)
