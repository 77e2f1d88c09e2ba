"""Verbs: import, export."""

from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from stablellava.cli.options import ConfigOption, JsonOption, PresetOption, RunOption

if TYPE_CHECKING:
    from rich.console import RenderableType

    from stablellava.store.export_plan import FileLimits
    from stablellava.store.exports import ExportReport
    from stablellava.store.layout import RunLayout
    from stablellava.synthesis.importing import ImportReport

_BYTES_PER_MB = 1_000_000
_MAX_KEYWORDS_SHOWN = 12
_FAULTS_OF_CONTENT = frozenset({"duplicate_row", "keyword_not_marked"})
"""Rows that are whole but of no use, as some of the released ones are: counted, and no user's mistake."""


class ExportForm(StrEnum):
    """Who is to read the export: LLaVA's trainer, chat fine-tuning, streaming trainers, or Hugging Face datasets."""

    llava = "llava"
    messages = "messages"
    webdataset = "webdataset"
    parquet = "parquet"


_FormOption = Annotated[
    ExportForm,
    typer.Option(
        "--form",
        "-f",
        help="llava: LLaVA's JSON and images/; messages: chat messages as JSON lines and images/; webdataset: tars "
        "for streaming; parquet: pictures inside, as Hugging Face datasets reads them.",
    ),
]
_ShardMbOption = Annotated[
    int | None,
    typer.Option("--shard-mb", help="webdataset, parquet: a file is full at about so many MB; 500 if not said.", min=1),
]
_ShardSamplesOption = Annotated[
    int | None, typer.Option("--shard-samples", help="webdataset, parquet: or at so many samples.", min=1)
]


def import_rows(
    files: Annotated[
        list[str],
        typer.Argument(
            help="JSON files, plain or .gz; settings to change may follow.", metavar="FILE... [KEY.PATH=VALUE]"
        ),
    ],
    run: RunOption = None,
    config: ConfigOption = None,
    preset: PresetOption = None,
    capability: Annotated[
        str | None,
        typer.Option("--capability", "-k", help="What the rows are about; by default the file's name.", metavar="NAME"),
    ] = None,
    images: Annotated[
        Path | None, typer.Option("--images", help="Where the pictures lie; by default beside the file.", metavar="DIR")
    ] = None,
    as_json: JsonOption = False,
) -> None:
    """Take rows that others made: LLaVA JSON with pictures, or the released StableLLaVA JSON, which is painted.

    Every row is verified like our own. Ends with exit code 2 if a row is broken; the good rows are kept.

    Example: stablellava import animal.json.gz food.json.gz --run runs/released
    """
    from stablellava.cli.failing import refuse_bad_rows
    from stablellava.cli.output import print_result
    from stablellava.cli.progress import show_progress
    from stablellava.cli.runs import RUNS_DIR, open_run, save_config
    from stablellava.synthesis.importing import import_rows as run_import

    overrides = [name for name in files if "=" in name and not Path(name).exists()]
    paths = [Path(name) for name in files if name not in overrides]
    settings, layout = open_run(config, preset, run or RUNS_DIR / "import", overrides)
    save_config(settings, layout)
    with show_progress("import") as bar:
        report = run_import(paths, settings, layout, capability, images, bar.show_import)
    bad_rows = _bad_rows(layout)
    print_result({**report.model_dump(mode="json"), "bad_rows": bad_rows}, as_json, *_describe_import(report))
    refuse_bad_rows(bad_rows)


def export_samples(
    form: _FormOption = ExportForm.llava,
    out: Annotated[
        Path | None, typer.Option("--out", "-o", help="Where to; by default export/<form> in the run.", metavar="DIR")
    ] = None,
    shard_mb: _ShardMbOption = None,
    shard_samples: _ShardSamplesOption = None,
    run: RunOption = None,
    as_json: JsonOption = False,
) -> None:
    """Write a run's samples with their pictures and the data card in a form that others read.

    The files of webdataset and parquet mix all capabilities, and are each written whole: an export that was stopped
    goes on with the same command, writes no finished file again and ends in the same bytes. SHA256SUMS checks a copy.

    Example: stablellava export --run runs/demo --form webdataset --shard-mb 1000 --out my_export
    """
    from stablellava.cli.output import note, print_result
    from stablellava.cli.progress import show_progress
    from stablellava.cli.runs import existing_run
    from stablellava.store import exports

    _, layout = existing_run(run)
    out = out or layout.root / "export" / form.value
    with show_progress("export") as bar:
        limits = _limits(shard_samples, shard_mb)
        report = exports.export_samples(layout.data_dir, out, form.value, limits, bar.show_export)
    print_result(report.model_dump(mode="json"), as_json, _describe_export(report))
    if not report.is_whole:
        note("the run is not finished: samples that are made later are not in this export")


def _limits(max_samples: int | None, max_mb: int | None) -> "FileLimits | None":
    from stablellava.store.export_plan import FileLimits

    if max_samples is None and max_mb is None:
        return None
    limits = FileLimits(max_samples=max_samples)
    return limits if max_mb is None else limits.model_copy(update={"max_bytes": max_mb * _BYTES_PER_MB})


def _describe_export(report: "ExportReport") -> str:
    told = f"{report.num_samples:,} samples with {report.num_images:,} pictures"
    size_mb = report.size_bytes / _BYTES_PER_MB
    kept = report.num_files - report.num_written
    size = f"{size_mb:,.0f} MB" if size_mb >= 10 else f"{size_mb:.1f} MB"
    files = f"{report.num_files:,} file{'s' if report.num_files > 1 else ''}, {size}"
    if kept:
        return f"{told} in {files}, of which {kept:,} stood there already -> {report.path}"
    rate = f"{report.num_samples / report.seconds:,.0f} samples/s" if report.seconds else "at once"
    return f"{told} in {files}, {report.seconds:,.1f} s ({rate}) -> {report.path}"


def _bad_rows(layout: "RunLayout") -> list[str]:
    """Return what is wrong with each row that could not be read as one."""
    from stablellava.store.shards import read_rejected

    return [
        f"{rejected.capability}: {rejected.detail}"
        for rejected in read_rejected(layout.data_dir)
        if rejected.stage == "import" and rejected.reason not in _FAULTS_OF_CONTENT
    ]


def _describe_import(report: "ImportReport") -> "list[RenderableType]":
    from stablellava.cli.tables import synthesis_table

    lines: list[RenderableType] = [synthesis_table(report.synthesis)]
    lines.append(f"{report.num_rows:,} rows, of them {report.num_exact_duplicates:,} exact duplicates")
    if report.num_keywords:
        num, total = report.num_drawable_keywords, report.num_keywords
        lines.append(f"{num:,} of {total:,} distinct keywords can be drawn ({100 * num / total:.0f} %)")
    for reason, keywords in report.not_drawable.items():
        more = ", ..." if len(keywords) > _MAX_KEYWORDS_SHOWN else ""
        lines.append(f"not drawn, {reason} ({len(keywords)}): {', '.join(keywords[:_MAX_KEYWORDS_SHOWN])}{more}")
    return lines
