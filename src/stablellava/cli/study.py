"""Verbs: study painters, study mismatch."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from stablellava.cli.options import ConfigOption, JsonOption, OpenOption, Overrides, PresetOption

if TYPE_CHECKING:
    from stablellava.config.base import BackendSettings

_SPELLING = "NAME, or NAME:{OPTION: VALUE, ...}"
PainterArgument = Annotated[str, typer.Argument(help=f"A painter: {_SPELLING}.", metavar="PAINTER")]


def painters(
    first: PainterArgument,
    second: PainterArgument,
    overrides: Overrides = None,
    config: ConfigOption = None,
    preset: PresetOption = None,
    capabilities: Annotated[
        list[str] | None, typer.Option("--capability", "-k", help="What to draft; may be repeated. All by default.")
    ] = None,
    num: Annotated[int, typer.Option("-n", "--num", min=1, help="Drafts per capability.")] = 4,
    scorers: Annotated[
        list[str] | None,
        typer.Option("--scorer", help=f"Also score pictures against prompts with it: {_SPELLING}.", metavar="SCORER"),
    ] = None,
    out: Annotated[Path | None, typer.Option("--out", "-o", help="Where to write the page.", metavar="FILE")] = None,
    open_page: OpenOption = True,
    as_json: JsonOption = False,
) -> None:
    """Paint the same drafts with two painters, score them alike, and lay the pictures side by side.

    Example: stablellava study painters openmoji 'diffusers:{model: stabilityai/sdxl-turbo, steps: 1, guidance: 0}'
    """
    import webbrowser

    from stablellava.cli.output import note, print_result
    from stablellava.cli.runs import RUNS_DIR, open_run
    from stablellava.cli.tables import result_table
    from stablellava.studies.painter_comparison import compare_painters
    from stablellava.studies.planning import check_names
    from stablellava.studio.painter_pairs import write_painter_pairs

    chosen = [f"synthesis.capabilities={','.join(capabilities)}"] if capabilities else []
    asked = [*(overrides or ()), *chosen, f"synthesis.samples_per_capability={num}"]
    settings, _ = open_run(config, preset, None, asked)
    check_names(settings)
    backends = (read_backend(first), read_backend(second))
    result = compare_painters(settings, backends, [read_backend(scorer) for scorer in scorers or ()], note=note)
    path = write_painter_pairs(result.names, result.tables, result.pairs, out or RUNS_DIR / "painters" / "pairs.html")
    as_data = [{"title": table.title, "headers": table.headers, "rows": table.rows} for table in result.tables]
    report = {"page": str(path), "painters": result.names, "num_drafts": len(result.pairs), "tables": as_data}
    print_result(report, as_json, *map(result_table, result.tables), str(path))
    if open_page and not as_json:
        webbrowser.open(path.resolve().as_uri())


def mismatch(
    overrides: Overrides = None,
    config: ConfigOption = None,
    preset: PresetOption = None,
    num: Annotated[int, typer.Option("-n", "--num", min=100, help="Samples to judge.")] = 2000,
    share: Annotated[
        float, typer.Option("--share", min=0.01, max=0.5, help="Share that gets a foreign picture.")
    ] = 0.1,
    false_drops: Annotated[
        float, typer.Option("--false-drops", min=0.0, max=0.5, help="Share of good pairs the pixel check may lose.")
    ] = 0.05,
    out: Annotated[Path | None, typer.Option("--out", "-o", help="Where to work.", metavar="DIR")] = None,
    open_page: OpenOption = True,
    as_json: JsonOption = False,
) -> None:
    """Swap the pictures of some samples and see which checks notice: the painter's report, and pixels alone.

    Two runs are synthesized, one to fit the pixel check on and one to measure on. Ends with a page of pictures: what
    was found, what was missed, what good pairs would be lost.

    Example: stablellava study mismatch -n 2000 --share 0.1
    """
    import webbrowser

    from stablellava.cli.output import note, print_result
    from stablellava.cli.progress import show_progress
    from stablellava.cli.runs import RUNS_DIR, open_run
    from stablellava.cli.tables import result_table
    from stablellava.evaluation.tables import Table
    from stablellava.studies.mismatch import describe_mismatch, run_mismatch_study
    from stablellava.studio.mismatch_page import write_mismatch_page

    settings, _ = open_run(config, preset, None, overrides)
    folder = out or RUNS_DIR / "mismatch"
    study = run_mismatch_study(settings, folder, num, share, false_drops, note, show_progress)
    report = study.report
    headers = ("check", "swaps found", "95 %", "good lost", "95 %", "precision")
    summary = f"{report.num_swapped:,} of {report.num_samples:,} samples had a foreign picture"
    table = Table("What was found and what would be lost", headers, tuple(describe_mismatch(report)))
    page = write_mismatch_page(summary, table, study.examples, study.data_dir, folder / "mismatch.html")
    result = {**report.model_dump(mode="json"), "page": str(page)}
    print_result(result, as_json, result_table(table), summary, str(page))
    if open_page and not as_json:
        webbrowser.open(page.resolve().as_uri())


def read_backend(text: str) -> "BackendSettings":
    """Return the backend that ``NAME`` or ``NAME:{OPTION: VALUE}`` stands for.

    Raises: ConfigError if what follows the name is no mapping.
    """
    import yaml

    from stablellava.config.base import BackendSettings
    from stablellava.core.errors import ConfigError

    name, colon, options = text.partition(":")
    try:
        values = yaml.safe_load(options) if colon else {}
    except yaml.YAMLError as exc:
        raise ConfigError(f"{text!r}: {options!r} cannot be read; write {name}:{{steps: 4, seed: 1}}") from exc
    if not isinstance(values, dict):
        raise ConfigError(f"{text!r}: {options!r} is no mapping; write {name}:{{steps: 4}}")
    return BackendSettings(backend=name, options=values)
