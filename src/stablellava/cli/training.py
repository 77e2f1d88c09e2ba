"""Verb: train."""

from enum import StrEnum
from typing import Annotated

import typer

from stablellava.cli.options import ConfigOption, JsonOption, Overrides, PresetOption, RunOption


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
    as_json: JsonOption = False,
) -> None:
    """Train one stage on the samples of a run; interrupted, it goes on from its last checkpoint.

    Example: stablellava train --run runs/mine --stage align training.align.batch_size=8
    """
    from stablellava.cli.output import print_result
    from stablellava.cli.progress import show_progress
    from stablellava.cli.runs import open_run, save_config
    from stablellava.training.stages import train_stage

    settings, layout = open_run(config, preset, run, overrides)
    save_config(settings, layout)
    with show_progress(stage.value) as bar:
        result = train_stage(settings, layout, stage.value, bar.show_training)
    print_result(result.model_dump(mode="json"), as_json, f"model: {layout.model_dir(stage.value)}")
