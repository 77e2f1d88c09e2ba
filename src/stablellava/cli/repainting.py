"""Verb: repaint."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from stablellava.cli.options import JsonOption, RunOption, read_options

if TYPE_CHECKING:
    from stablellava.synthesis.repainting import Original, Repainted

_REVISION_LENGTH = 12


def repaint(
    files: Annotated[
        list[Path] | None,
        typer.Argument(help="PNG or WebP pictures that painter 'diffusers' painted.", metavar="[FILE]..."),
    ] = None,
    run: RunOption = None,
    sample: Annotated[
        str | None,
        typer.Option("--sample", help="Instead of files: a sample of the run; the start of its id is enough."),
    ] = None,
    out: Annotated[
        Path | None,
        typer.Option("--out", "-o", help="Folder to write to; without it nothing is written.", metavar="DIR"),
    ] = None,
    model: Annotated[
        str | None, typer.Option("--model", "-m", help="Where a local model lies here.", metavar="DIR")
    ] = None,
    option: Annotated[
        list[str] | None,
        typer.Option("--option", help="Further painter options, as loras=[{path: FILE}].", metavar="KEY=VALUE"),
    ] = None,
    exact: Annotated[
        bool, typer.Option("--exact", help="Refuse what cannot give the same bytes, instead of painting a likeness.")
    ] = False,
    as_json: JsonOption = False,
) -> None:
    """Paint pictures again from the stamps inside them, and say whether the bytes are the same.

    With --run the weights are sought where the run's settings say. Pictures of painters that write no stamp
    (openmoji) are painted again from their sample's prompt and seed.

    Example: stablellava repaint cat.png --model models/sdxl --out again
    """
    from stablellava.cli.output import note, print_result
    from stablellava.cli.runs import existing_run
    from stablellava.core.errors import ConfigError
    from stablellava.synthesis.repainting import Repainting, places_of

    if bool(files) == bool(sample) or (sample and not run):
        raise ConfigError("name pictures to paint again, or a sample of a run: repaint --run DIR --sample ID")
    settings = existing_run(run)[0].synthesis if run else None
    options = {**(places_of(settings) if settings else {}), **read_options(option or [], "--option")}
    if model:
        options["model"] = model
    painting = Repainting(options, settings, out, exact)
    originals = _find(files, run, sample)
    reports = []
    for report in painting.paint(originals):
        reports.append(report)
        note(f"painted {len(reports)} of {len(originals)}")
    num_same = sum(report.is_same for report in reports)
    result = {"num_same": num_same, "pictures": [report.model_dump(mode="json") for report in reports]}
    lines = [line for report in reports for line in _describe(report)]
    print_result(result, as_json, "\n".join([*lines, f"{num_same} of {len(reports)} the same to the byte"]))


def _find(files: list[Path] | None, run: Path | None, sample: str | None) -> "list[Original]":
    from stablellava.cli.runs import existing_run
    from stablellava.synthesis.repainting import find_originals, read_originals

    return find_originals(existing_run(run)[1].data_dir, sample) if sample else read_originals(files or [])


def _describe(report: "Repainted") -> list[str]:
    settings = ", ".join(f"{name} {value}" for name, value in report.settings.items() if name != "prompt")
    return [
        report.name,
        f"  model     {report.model} ({report.model_revision[:_REVISION_LENGTH]})",
        f"  settings  {settings}",
        f"  prompt    {report.settings['prompt']}",
        *(f"  differs   {difference}" for difference in report.differences),
        f"  result    {_tell(report)}",
        *([f"  written   {report.out}"] if report.out else []),
    ]


def _tell(report: "Repainted") -> str:
    if report.is_same:
        return "the same bytes"
    if report.largest_difference == 0:
        return "other bytes, the same picture"
    return (
        f"another picture: {100 * report.differing_share:.2f} % of color values differ, "
        f"by {report.largest_difference} of 255 at most"
    )
