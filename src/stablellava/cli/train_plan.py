"""Verb: train plan."""

from enum import StrEnum
from typing import TYPE_CHECKING, Annotated

import typer

from stablellava.cli.options import ConfigOption, JsonOption, Overrides, PresetOption, RunOption
from stablellava.cli.training import Stage

if TYPE_CHECKING:
    from rich.console import RenderableType

    from stablellava.config.tree import RunConfig
    from stablellava.store.layout import RunLayout
    from stablellava.training.stage_plan import StagePlan, TokenCounts

_SOLVED = (
    "align takes no step here: training.align.method=closed_form solves for the projector by one ridge regression, "
    "from the stage's pictures and pseudo-photos, so batches, GPUs and rates say nothing of it. "
    "For steps: training.align.method=gradient. The other stage: --stage instruct"
)
_GB = 1e9
_MILLION = 1e6


class Spread(StrEnum):
    """How a stage is spread over devices."""

    ddp = "ddp"
    fsdp = "fsdp"
    zero2 = "zero2"
    zero3 = "zero3"


def plan_training(
    overrides: Overrides = None,
    stage: Annotated[Stage, typer.Option("--stage", "-s", help="Which stage.")] = Stage.instruct,
    config: ConfigOption = None,
    preset: PresetOption = None,
    run: RunOption = None,
    devices: Annotated[int, typer.Option("--devices", "-d", min=1, help="GPUs, over all nodes.")] = 1,
    memory: Annotated[float, typer.Option("--memory", min=1, help="Of each GPU, in GB (10^9 bytes).")] = 24.0,
    strategy: Annotated[
        Spread | None, typer.Option("--strategy", help="By default fsdp on several GPUs, ddp on one.")
    ] = None,
    global_batch: Annotated[
        int | None, typer.Option("--global-batch", min=1, help="Samples per step that are wanted; checked to divide.")
    ] = None,
    samples: Annotated[
        int | None, typer.Option("--samples", min=1, help="Samples per epoch, where the data are not here yet.")
    ] = None,
    tokens: Annotated[
        float | None, typer.Option("--tokens", min=1, help="Tokens per sample, image tokens included; else counted.")
    ] = None,
    supervised: Annotated[
        float | None, typer.Option("--supervised", min=1, help="Tokens per sample that are learned from; else counted.")
    ] = None,
    rate: Annotated[
        float | None, typer.Option("--rate", min=1, help="Tokens per second of one device, to state the time.")
    ] = None,
    probe: Annotated[
        int | None, typer.Option("--probe", min=1, help="Measure the rate here over so many steps; needs the weights.")
    ] = None,
    as_json: JsonOption = False,
) -> None:
    """Say what a stage will take before anybody pays: parameters, tokens, steps, memory per GPU, hours.

    No weights are read and no GPU is needed, unless --probe measures the rate. Ends with exit code 2 if it cannot
    fit, and says what would.

    Example: stablellava train plan --preset llava-1.5-13b --devices 8 --memory 80 --samples 665298 --tokens 800
    """
    from stablellava.cli.output import print_result
    from stablellava.cli.runs import open_run
    from stablellava.core.errors import ConfigError
    from stablellava.training.probing import probe_rate
    from stablellava.training.stage_plan import Cluster, plan_stage

    settings, layout = open_run(config, preset, run, overrides)
    if stage is Stage.align and settings.training.align.method == "closed_form":
        answer = {"stage": stage.value, "method": "closed_form", "num_steps": 0, "about": _SOLVED}
        print_result(answer, as_json, _SOLVED)
        return
    counts = _assume_counts(samples, tokens, supervised) or _count(settings, layout, stage)
    spread = strategy or (Spread.fsdp if devices > 1 else Spread.ddp)
    if probe:
        rate = probe_rate(settings, layout, stage.value, probe)
    cluster = Cluster(devices, memory, spread.value, rate)
    plan = plan_stage(settings, stage.value, cluster, counts, global_batch)
    print_result(plan.model_dump(mode="json"), as_json, *_show(plan))
    if not plan.fits:
        raise ConfigError(
            f"{plan.total_gb:.1f} GB do not fit into {plan.device_gb:g} GB. What would: {'; '.join(plan.advice)}"
        )


def _assume_counts(samples: int | None, tokens: float | None, supervised: float | None) -> "TokenCounts | None":
    """Return what the options say of data that are not here, or None to count what is."""
    from stablellava.core.errors import ConfigError
    from stablellava.training.stage_plan import TokenCounts

    if samples and tokens:
        return TokenCounts(samples, tokens, supervised or tokens / 4, is_counted=False)
    if samples or tokens or supervised:
        raise ConfigError("give --samples and --tokens together (and --supervised), or none of them to count the data")
    return None


def _count(settings: "RunConfig", layout: "RunLayout", stage: Stage) -> "TokenCounts":
    """Count the stage's data. Raises: ConfigError where there are none yet."""
    from stablellava.core.errors import ConfigError
    from stablellava.store.manifest import holds_data
    from stablellava.training.counting import count_tokens

    if not getattr(settings.training, stage.value).sources and not holds_data(layout.data_dir):
        raise ConfigError(
            f"{layout.data_dir}: no samples there to count; give --samples and --tokens of the data that will be, "
            "or run 'stablellava synthesize' first"
        )
    return count_tokens(settings, layout, stage.value)


def _show(plan: "StagePlan") -> "list[RenderableType]":
    from stablellava.cli.tables import text_table

    parts = [
        (module.name, f"{module.num_parameters / _MILLION:,.1f}M", f"{module.num_trainable / _MILLION:,.1f}M")
        for module in plan.modules
    ]
    if plan.num_adapter_parameters:
        adapters = f"{plan.num_adapter_parameters / _MILLION:,.1f}M"
        parts.append(("adapters", adapters, adapters))
    memory = [(part.name, f"{part.bytes_per_device / _GB:,.2f}") for part in plan.memory]
    memory.append(("total", f"{plan.total_gb:,.2f}"))
    source = "counted in the data" if plan.are_tokens_counted else "as given"
    lines = [
        f"{plan.num_samples:,} samples in {plan.num_steps:,} steps of {plan.samples_per_step}; "
        f"{plan.image_tokens} tokens a picture",
        f"{plan.num_tokens:,} tokens, {plan.num_supervised:,} of them learned from ({source}); "
        f"{_padding_in_words(plan)}",
        f"{plan.num_devices} x {plan.device_gb:g} GB, {plan.strategy}: {'fits' if plan.fits else 'does not fit'}"
        f", counted for {_step_in_words(plan)}",
        _in_words(plan),
    ]
    return [
        text_table(("part", "parameters", "learning"), parts, "Model"),
        text_table(("memory of each GPU", "GB"), memory, "Memory"),
        "\n".join(lines),
    ]


def _step_in_words(plan: "StagePlan") -> str:
    if plan.longest_tokens is None:
        return "a step of mean samples; the longest take more"
    return f"a step of the longest samples ({plan.longest_tokens:,} tokens)"


def _padding_in_words(plan: "StagePlan") -> str:
    if plan.padding_share is None:
        return "not packed: how many positions are padding shows where the data are here"
    if not plan.padding_share:
        return "packed, none is padding"
    padded = plan.num_tokens * plan.padding_share / (1 - plan.padding_share)
    return f"not packed: {padded:,.0f} positions of padding ({plan.padding_share:.0%}) are computed beside them"


def _in_words(plan: "StagePlan") -> str:
    if plan.hours is None or plan.tokens_per_second is None:
        return "no time stated: give --rate, or --probe 20 where it is to run"
    time = f"{plan.hours:,.1f} hours" if plan.hours >= 1 else f"{60 * plan.hours:,.1f} minutes"
    return f"{time} at {plan.tokens_per_second:,.0f} tokens per second and GPU"
