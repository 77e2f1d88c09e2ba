"""Verb: plan."""

from stablellava.cli.options import ConfigOption, JsonOption, Overrides, PresetOption, RunOption


def plan(
    overrides: Overrides = None,
    config: ConfigOption = None,
    preset: PresetOption = None,
    run: RunOption = None,
    as_json: JsonOption = False,
) -> None:
    """Check the settings and count what a run would do; no model is touched.

    Example: stablellava plan --preset demo synthesis.samples_per_capability=20
    """
    from rich.syntax import Syntax
    from rich.table import Table

    from stablellava.cli.output import print_result
    from stablellava.cli.runs import open_run
    from stablellava.config.loading import dump_config
    from stablellava.studies.planning import make_plan

    settings, layout = open_run(config, preset, run, overrides)
    planned = make_plan(settings)
    table = Table("step", "what", "count", title=f"{planned.name} (seed {planned.seed}) in {layout.root}")
    table.add_row("draft", f"{len(planned.capabilities)} capabilities by {planned.writer}", f"{planned.num_samples:,}")
    table.add_row("paint", f"pictures by {planned.painter}", f"{planned.num_paintings:,}")
    table.add_row("", "keywords to draw from", f"{planned.num_keywords:,}")
    table.add_row("", "keyword-setting pairs, held-out ones included", f"{planned.num_combinations:,}")
    for stage in planned.stages:
        work = f"{stage.num_samples:,} samples, {stage.batch_size} a step, rate {stage.learning_rate:g}"
        table.add_row(stage.name, work, f"{stage.num_steps:,} steps" if stage.num_steps else stage.method)
    table.add_row("evaluate", "held-out questions", f"{planned.num_items:,}")
    result = {"plan": planned.model_dump(mode="json"), "config": settings.model_dump(mode="json")}
    print_result(result, as_json, Syntax(dump_config(settings), "yaml", background_color="default"), table)
