"""Verb: train."""

import os
from enum import StrEnum
from typing import TYPE_CHECKING, Annotated

import typer

from stablellava.cli.options import ConfigOption, JsonOption, Overrides, PresetOption, RunOption

if TYPE_CHECKING:
    from stablellava.config.training import StageName
    from stablellava.config.tree import RunConfig
    from stablellava.store.layout import RunLayout


class Stage(StrEnum):
    """The two stages, in order."""

    align = "align"
    instruct = "instruct"


def train(
    stage: Annotated[Stage, typer.Option("--stage", "-s", help="align: the projector; instruct: the whole model.")],
    overrides: Overrides = None,
    config: ConfigOption = None,
    preset: PresetOption = None,
    run: RunOption = None,
    switches: Annotated[
        bool,
        typer.Option(
            "--switches", help="Train nothing: print loss and time of a batch with each training.speed on, off."
        ),
    ] = False,
    as_json: JsonOption = False,
) -> None:
    """Train one stage on the samples of a run; interrupted, it goes on from its last checkpoint.

    Example: stablellava train --run runs/mine --stage align training.align.batch_size=8

    On several GPUs: accelerate launch --config_file fsdp2.yaml -m stablellava.cli train --stage instruct --run runs/a
    (such files come with the package, in stablellava/config/accelerate).
    """
    from stablellava.cli.output import print_result
    from stablellava.cli.progress import show_progress
    from stablellava.cli.runs import open_run, save_config
    from stablellava.studies.watching import build_measure
    from stablellava.training.stages import train_stage

    settings, layout = open_run(config, preset, run, overrides)
    if switches:
        _print_switches(settings, layout, stage.value, as_json)
        return
    if not _is_first_process():
        train_stage(settings, layout, stage.value, measure=build_measure(settings, layout, is_first=False))
        return
    save_config(settings, layout)
    with show_progress(stage.value) as bar:
        measure = build_measure(settings, layout, progress=bar.show_synthesis)
        result = train_stage(settings, layout, stage.value, bar.show_training, measure)
    print_result(result.model_dump(mode="json"), as_json, f"model: {layout.model_dir(stage.value)}")


def _is_first_process() -> bool:
    """Tell whether this is the one of torchrun's or accelerate's processes that shows and writes."""
    return os.environ.get("RANK", "0") == "0"


def _print_switches(settings: "RunConfig", layout: "RunLayout", stage: "StageName", as_json: bool) -> None:
    from stablellava.cli.output import print_result
    from stablellava.training.switches import compare_switches

    effects = compare_switches(settings, layout, stage)
    lines = [f"{'training.speed.':34}{'loss on':>11}{'loss off':>11}{'s on':>8}{'s off':>8}"]
    lines += [
        f"{effect.setting:34}{effect.loss_on:11.6f}{effect.loss_off:11.6f}{effect.seconds_on:8.2f}"
        f"{effect.seconds_off:8.2f}"
        for effect in effects
    ]
    print_result({"switches": [effect.model_dump(mode="json") for effect in effects]}, as_json, "\n".join(lines))
