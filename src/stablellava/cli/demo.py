"""Verb: demo."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from stablellava.cli.options import ConfigOption, JsonOption, Overrides, PresetOption, RunOption

if TYPE_CHECKING:
    from rich.console import RenderableType

    from stablellava.studies.demo import DemoResult


def demo(
    overrides: Overrides = None,
    config: ConfigOption = None,
    preset: PresetOption = None,
    run: RunOption = None,
    seed: Annotated[int | None, typer.Option("--seed", help="Another seed: other data, other weights.")] = None,
    photos: Annotated[
        Path | None, typer.Option("--photos", help="Measure on these photos as well.", metavar="DIR")
    ] = None,
    as_json: JsonOption = False,
) -> None:
    """Run the whole loop: make samples, train align and instruct, measure before and after, write the report.

    Interrupted or repeated, it goes on from what is there.

    Example: stablellava demo --seed 1 --photos my_photos
    """
    from stablellava.cli.output import print_result
    from stablellava.cli.progress import show_progress
    from stablellava.cli.runs import RUNS_DIR, open_run, save_config
    from stablellava.evaluation.suites import load_suite
    from stablellava.store.layout import RunLayout
    from stablellava.studies.planning import check_names

    settings, layout = open_run(config, preset, run, overrides)
    if seed is not None:
        settings = settings.model_copy(update={"seed": seed})
        layout = RunLayout(run or RUNS_DIR / f"{settings.name}-seed{seed}")
    check_names(settings)
    if photos:
        load_suite(photos)  # bad photos are told now, not after the training
    save_config(settings, layout)
    from stablellava.studies.demo import run_demo
    from stablellava.studio.report import write_report

    result = run_demo(settings, layout, show_progress, photos)
    report = str(write_report(layout))
    print_result({**result.model_dump(mode="json"), "report": report}, as_json, *_tables(result), f"report: {report}")


def _tables(result: "DemoResult") -> "list[RenderableType]":
    from stablellava.cli.tables import result_table, text_table
    from stablellava.evaluation.tables import comparison_table, gap_table

    tables: list[RenderableType] = [result_table(comparison_table(result.generated))]
    if result.photos:
        tables.append(result_table(comparison_table(result.photos)))
    if result.gap:
        tables.append(result_table(gap_table(result.gap)))
    phases = [(phase.name, f"{phase.seconds:,.1f}", f"{phase.longest_seconds:,.1f}") for phase in result.phases]
    total = sum(phase.seconds for phase in result.phases)
    phases.append(("all", f"{total:,.1f}", f"{sum(phase.longest_seconds for phase in result.phases):,.1f}"))
    tables.append(text_table(("phase", "seconds now", "longest"), phases))
    tables.append(f"{result.num_samples:,} samples in {result.run_dir}")
    return tables
