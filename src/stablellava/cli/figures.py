"""Verb: figures."""

from pathlib import Path
from typing import Annotated

import typer

from stablellava.cli.options import JsonOption


def figures(
    logs: Annotated[list[Path], typer.Argument(help="Evaluation logs of one model or several.", metavar="LOG...")],
    out: Annotated[
        Path, typer.Option("--out", "-o", help="Folder for drawings, tables and a page.", metavar="DIR")
    ] = Path("figures"),
    as_json: JsonOption = False,
) -> None:
    """Draw the paper's result figures and MMBench's table of abilities from evaluation logs, with intervals.

    Example: stablellava figures runs/demo/evaluation/generated.align.json runs/demo/evaluation/generated.instruct.json
    """
    from stablellava.cli.output import note, print_result
    from stablellava.studio.paper_figures import draw_paper_figures, write_paper_figures

    drawn = draw_paper_figures(logs)
    written = write_paper_figures(drawn, out)
    for text in drawn.missing:
        note(f"not drawn: {text}")
    result = {"files": [str(path) for path in written], "missing": list(drawn.missing)}
    print_result(result, as_json, *(table.to_text() for table in drawn.tables), *map(str, written))
