"""Verbs: import, export."""

from enum import StrEnum
from pathlib import Path
from typing import Annotated

import typer

from stablellava.cli.options import JsonOption, RunOption


class ExportForm(StrEnum):
    """Who is to read the export: LLaVA's trainer, chat fine-tuning, or Hugging Face datasets."""

    llava = "llava"
    messages = "messages"
    parquet = "parquet"


def export_samples(
    form: Annotated[ExportForm, typer.Option("--form", "-f", help="Which form.")] = ExportForm.llava,
    out: Annotated[
        Path | None, typer.Option("--out", "-o", help="Where to; by default export/<form> in the run.", metavar="DIR")
    ] = None,
    run: RunOption = None,
    as_json: JsonOption = False,
) -> None:
    """Write a run's samples with their pictures and the data card in a form that others read.

    Example: stablellava export --run runs/demo --form llava --out my_export
    """
    from stablellava.cli.output import print_result
    from stablellava.cli.runs import existing_run
    from stablellava.store import exports

    _, layout = existing_run(run)
    report = exports.export_samples(layout.data_dir, out or layout.root / "export" / form.value, form.value)
    told = f"{report.num_samples:,} samples with {report.num_images:,} pictures -> {report.path}"
    print_result(report.model_dump(mode="json"), as_json, told)
