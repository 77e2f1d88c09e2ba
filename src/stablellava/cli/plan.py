"""Verb: plan."""

from typing import TYPE_CHECKING, Annotated

import typer

from stablellava.cli.options import ConfigOption, JsonOption, Overrides, PresetOption, RunOption

if TYPE_CHECKING:
    from stablellava.config.tree import RunConfig
    from stablellava.synthesis.chat_drafting.predicting import DraftingForecast


def plan(
    overrides: Overrides = None,
    config: ConfigOption = None,
    preset: PresetOption = None,
    run: RunOption = None,
    probe: Annotated[
        int, typer.Option("--probe", min=0, help="Make so many drafts now, to predict calls and cost from them.")
    ] = 0,
    as_json: JsonOption = False,
) -> None:
    """Check the settings and count what a run would do; no model is touched unless --probe says so.

    Example: stablellava plan --preset demo synthesis.samples_per_capability=20

    Example: stablellava plan --preset chat --probe 26 synthesis.spending.price_in=0.15 synthesis.spending.price_out=0.6
    """
    from stablellava.cli.output import print_result
    from stablellava.cli.runs import open_run
    from stablellava.cli.tables import text_table
    from stablellava.config.loading import dump_config
    from stablellava.studies.planning import make_plan

    settings, layout = open_run(config, preset, run, overrides)
    planned = make_plan(settings)
    rows = [
        ("draft", f"{len(planned.capabilities)} capabilities by {planned.writer}", f"{planned.num_samples:,}"),
        ("paint", f"pictures by {planned.painter or 'nobody'}", f"{planned.num_paintings:,}"),
        ("", "keywords to draw from", f"{planned.num_keywords:,}"),
        ("", "keyword-setting pairs, held-out ones included", f"{planned.num_combinations:,}"),
    ]
    for stage in planned.stages:
        work = f"steps of {stage.batch_size} ({stage.num_samples:,} samples, rate {stage.learning_rate:g})"
        rows.append((stage.name, work if stage.num_steps else f"solved for ({stage.method})", f"{stage.num_steps:,}"))
    rows.append(("evaluate", "held-out questions", f"{planned.num_items:,}"))
    forecast = _forecast_drafting(settings, probe)
    if forecast is not None:
        cost = "unknown" if forecast.cost is None else f"{forecast.cost:.2f} {forecast.price_note}".rstrip()
        rows += [
            ("", f"calls, by {forecast.basis}", f"{forecast.num_calls:,}"),
            ("", "tokens sent", f"{forecast.tokens_in:,}"),
            ("", f"tokens answered; cost: {cost}", f"{forecast.tokens_out:,}"),
        ]
    table = text_table(("step", "what", "count"), rows, f"{planned.name} (seed {planned.seed}) in {layout.root}")
    result = {"plan": planned.model_dump(mode="json"), "config": settings.model_dump(mode="json")}
    if forecast is not None:
        result["drafting"] = forecast.model_dump(mode="json")
    print_result(result, as_json, dump_config(settings), table)


def _forecast_drafting(settings: "RunConfig", probe: int) -> "DraftingForecast | None":
    from stablellava.synthesis.chat_drafting.room import is_chat

    if not is_chat(settings.synthesis.writer):
        return None
    from stablellava.synthesis.chat_drafting.predicting import predict_from_averages, predict_from_probe

    return predict_from_probe(settings, probe) if probe else predict_from_averages(settings)
