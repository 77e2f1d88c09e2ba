"""Verbs: synthesize, preview."""

from typing import Annotated

import typer

from stablellava.cli.options import ConfigOption, JsonOption, OpenOption, Overrides, PresetOption, RunOption


def synthesize(
    overrides: Overrides = None,
    config: ConfigOption = None,
    preset: PresetOption = None,
    run: RunOption = None,
    as_json: JsonOption = False,
) -> None:
    """Make the samples of a run, or go on where it was interrupted.

    Example: stablellava synthesize --run runs/mine synthesis.capabilities=color,hair seed=1
    """
    from stablellava.cli.output import note, print_result
    from stablellava.cli.progress import show_progress
    from stablellava.cli.runs import open_run, save_config
    from stablellava.cli.tables import synthesis_table
    from stablellava.studies.planning import check_names
    from stablellava.synthesis.synthesizing import synthesize as run_synthesis

    settings, layout = open_run(config, preset, run, overrides)
    check_names(settings)
    save_config(settings, layout)
    with show_progress("synthesize") as bar:
        report = run_synthesis(settings, layout, bar.show_synthesis)
    print_result(report.model_dump(mode="json"), as_json, synthesis_table(report))
    for capability, why in report.unfilled.items():
        note(f"not filled: {capability}: {why}")


def preview(
    overrides: Overrides = None,
    config: ConfigOption = None,
    preset: PresetOption = None,
    capability: Annotated[str, typer.Option("--capability", "-k", help="What to make samples of.")] = "animal",
    num: Annotated[int, typer.Option("-n", "--num", min=1, max=64, help="How many samples.")] = 4,
    open_page: OpenOption = True,
    as_json: JsonOption = False,
) -> None:
    """Make a few samples and open them as a page: picture, prompt, dialogue and verdicts.

    Example: stablellava preview -n 4 --capability abnormal
    """
    import webbrowser

    from stablellava.cli.output import print_result
    from stablellava.cli.runs import RUNS_DIR, open_run
    from stablellava.studies.planning import check_names
    from stablellava.studio.preview import write_preview
    from stablellava.synthesis.previewing import preview as make_preview

    settings, _ = open_run(config, preset, None, [*(overrides or ()), f"synthesis.capabilities={capability}"])
    check_names(settings)
    samples = make_preview(settings, capability, num)
    path = RUNS_DIR / "preview" / f"{capability}.html"
    write_preview([(made.sample, made.images) for made in samples], path)
    print_result({"page": str(path), "num_samples": len(samples)}, as_json, str(path))
    if open_page and not as_json:
        webbrowser.open(path.resolve().as_uri())
