"""Verb: data check."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from stablellava.cli.options import JsonOption

if TYPE_CHECKING:  # pyarrow and transformers cost time to import
    from stablellava.training.sources.checking import SourceReport

_SHOWN_BY_DEFAULT = 10


def check(
    paths: Annotated[
        list[str],
        typer.Argument(
            help="A .json, .jsonl, .parquet or .tar file, a folder or pattern of them, a run.", metavar="SOURCE"
        ),
    ],
    images: Annotated[
        str, typer.Option("--images", "-i", help="Folder that image names are relative to.", metavar="DIR")
    ] = "",
    decode: Annotated[
        bool, typer.Option("--decode/--no-decode", help="Decode every picture, or only see that it is there.")
    ] = True,
    workers: Annotated[int, typer.Option("--workers", "-w", min=1, help="Threads that decode pictures.")] = 1,
    strict: Annotated[bool, typer.Option("--strict", help="Exit with 2 if any row is bad.")] = False,
    report: Annotated[
        Path | None, typer.Option("--report", "-o", help="Write every bad row to this JSON file.", metavar="FILE")
    ] = None,
    num: Annotated[int, typer.Option("-n", "--num", min=0, help="How many bad rows to show.")] = _SHOWN_BY_DEFAULT,
    as_json: JsonOption = False,
) -> None:
    """Look at every row and picture of training data: what can be used, and what not and why.

    Exits with 2 if nothing can be used.

    Example: stablellava data check llava_v1_5_mix665k.json --images data/images --report bad.json
    """
    from stablellava.cli.output import note, print_result
    from stablellava.cli.progress import show_progress
    from stablellava.config.training import SourceSettings
    from stablellava.core.errors import UserError
    from stablellava.store.files import write_atomic
    from stablellava.training.mixing import name_sources
    from stablellava.training.sources.checking import check_source
    from stablellava.training.sources.source import open_source
    from stablellava.training.stage_data import SourceReports

    asked = [SourceSettings(path=path, images=images) for path in paths]
    sources = [open_source(settings, name) for settings, name in zip(asked, name_sources(asked), strict=True)]
    with show_progress("data check") as bar:
        found = [
            check_source(source, decode, workers, lambda done, total: bar.show_training("rows", done, total, ""))
            for source in sources
        ]
    result = SourceReports(sources=tuple(found))
    if report is not None:
        write_atomic(report, result.to_json() + b"\n")
    print_result(result.model_dump(mode="json"), as_json, *_tables(found, num))
    num_bad = sum(len(source.bad) for source in found)
    if not any(source.num_good for source in found) or (strict and num_bad):
        note(f"stablellava: {num_bad:,} rows cannot be used")
        raise typer.Exit(UserError.exit_code)


def _tables(found: "list[SourceReport]", num: int) -> list[Any]:
    from stablellava.cli.tables import text_table

    counts = [
        (source.source, f"{source.num_rows:,}", f"{source.num_good:,}", f"{len(source.bad):,}", f"{source.num_shown:,}")
        for source in found
    ]
    tables: list[Any] = [text_table(("source", "rows", "good", "bad", "pictures"), counts)]
    kinds = [(source.source, "good", note, f"{count:,}") for source in found for note, count in source.notes.items()]
    kinds += [(source.source, "bad", why, f"{count:,}") for source in found for why, count in source.reasons.items()]
    tables.append(text_table(("source", "rows", "kind or reason", "count"), kinds))
    bad = [row for source in found for row in source.bad]
    lines = [
        f"{row.file}, row {row.row}: {row.reason}: {row.detail}" + (f" (found {row.value})" if row.value else "")
        for row in bad[:num]
    ]
    if len(bad) > num:
        lines.append(f"... and {len(bad) - num:,} more; --report FILE lists every one")
    return [*tables, "\n".join(lines)] if lines else tables
