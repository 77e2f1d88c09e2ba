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
    from stablellava.cli.output import print_result
    from stablellava.cli.runs import open_run
    from stablellava.cli.tables import text_table
    from stablellava.config.loading import dump_config
    from stablellava.studies.planning import make_plan

    settings, layout = open_run(config, preset, run, overrides)
    planned = make_plan(settings)
    rows = [
        ("draft", f"{len(planned.capabilities)} capabilities by {planned.writer}", f"{planned.num_samples:,}"),
        ("paint", f"pictures by {planned.painter}", f"{planned.num_paintings:,}"),
        ("", "keywords to draw from", f"{planned.num_keywords:,}"),
        ("", "keyword-setting pairs, held-out ones included", f"{planned.num_combinations:,}"),
    ]
    for stage in planned.stages:
        work = f"steps of {stage.batch_size} ({stage.num_samples:,} samples, rate {stage.learning_rate:g})"
        rows.append((stage.name, work if stage.num_steps else f"solved for ({stage.method})", f"{stage.num_steps:,}"))
    rows.append(("evaluate", "held-out questions", f"{planned.num_items:,}"))
    table = text_table(("step", "what", "count"), rows, f"{planned.name} (seed {planned.seed}) in {layout.root}")
    result = {"plan": planned.model_dump(mode="json"), "config": settings.model_dump(mode="json")}
    print_result(result, as_json, dump_config(settings), table)
