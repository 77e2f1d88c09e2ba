"""Data in the forms that others read.

- ``llava``: one JSON list, rows of id, image and conversations, ``<image>`` where a picture stands, and images/.
- ``messages``: chat messages as JSON lines, contents as lists of image and text parts, and images/.
- ``webdataset``: LLaVA's rows and their pictures in tars of bounded size.
- ``parquet``: chat messages with the pictures inside, as Hugging Face ``datasets`` reads them.

Every export carries the data card. The last two go on where they were stopped.
"""

import os
import shutil
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Literal, get_args

import orjson

from stablellava.core.errors import ConfigError, RecordError
from stablellava.core.record import Record
from stablellava.core.sample import Sample
from stablellava.core.suggesting import suggest_name
from stablellava.store.export_card import write_export_card
from stablellava.store.export_files import STATE_DIR, FileExport, Progress, WriteFile
from stablellava.store.export_parquet import ParquetWriter, name_parquet_files
from stablellava.store.export_plan import FileLimits, count_samples, plan_export
from stablellava.store.export_rows import shown_order, to_llava_row, to_messages
from stablellava.store.export_tar import TarWriter, name_tars
from stablellava.store.files import TEMPORARY_PREFIX, explain_disk_errors, write_atomic
from stablellava.store.images import image_path
from stablellava.store.manifest import lock_folder, manifest_path, read_manifest
from stablellava.store.shards import read_painted_samples

ExportFormat = Literal["llava", "messages", "webdataset", "parquet"]

_SEVERAL_FILES = ("webdataset", "parquet")
_ROWS_FILES = {"llava": "llava.json", "messages": "messages.jsonl"}


class ExportReport(Record):
    """What is there after an export; ``num_written`` counts the files that this call had to write."""

    path: str
    num_samples: int
    num_images: int
    num_files: int = 1
    num_written: int = 1
    size_bytes: int
    """Of the files of rows, with the pictures that are inside them."""
    seconds: float = 0.0
    is_whole: bool = True
    """False if the run was not finished, so that more samples may come."""


def export_samples(
    data_dir: Path, out_dir: Path, form: str, limits: FileLimits | None = None, progress: Progress | None = None
) -> ExportReport:
    """Write all samples of a data folder below ``out_dir``, with their pictures and the data card.

    Raises: ConfigError for an unknown form, or limits where one file is written; RecordError if there are no samples,
        the folder is in use or holds another export, or the disk is full.
    """
    started = time.monotonic()
    if out_dir.exists() and not out_dir.is_dir():
        raise ConfigError(f"{str(out_dir)!r} is a file; name a folder with --out")
    _refuse_other_form(out_dir, form)
    if form in _SEVERAL_FILES:
        report = _export_files(data_dir, out_dir, form, limits or FileLimits(), progress)
    elif form not in get_args(ExportFormat):
        raise ConfigError(f"no export form named {form!r}. {suggest_name(form, get_args(ExportFormat))}")
    elif limits is not None:
        raise ConfigError(f"the form {form!r} is one file; limits for files go with webdataset or parquet")
    else:
        with lock_folder(out_dir):
            samples = _copy_images(data_dir, out_dir, progress)
            report = (_write_llava if form == "llava" else _write_messages)(samples, out_dir)
            card = data_dir / "card.md"
            if card.is_file():
                write_atomic(out_dir / "README.md", card.read_bytes())
    is_whole = not manifest_path(data_dir).is_file() or read_manifest(data_dir).complete
    seconds = round(time.monotonic() - started, 3)
    return report.model_copy(update={"seconds": seconds, "is_whole": is_whole})


def _refuse_other_form(out_dir: Path, form: str) -> None:
    """Two exports in one folder would share a card, and be read as one by whoever is given the folder."""
    others = [name for other, name in _ROWS_FILES.items() if other != form]
    if form in _ROWS_FILES:
        others.append(STATE_DIR)
    held = next((name for name in others if (out_dir / name).exists()), None)
    if held is not None:
        raise RecordError(
            f"{out_dir} holds an export in another form ({held}); choose another folder with --out, or delete this one"
        )


def _export_files(
    data_dir: Path,
    out_dir: Path,
    form: str,
    limits: FileLimits,
    progress: Progress | None,
) -> ExportReport:
    plan = plan_export(data_dir, limits)
    is_tar = form == "webdataset"
    names = (name_tars if is_tar else name_parquet_files)(len(plan.ends))
    writer: WriteFile = TarWriter(data_dir) if is_tar else ParquetWriter(data_dir)
    export = FileExport(plan, out_dir, form, names)
    files = export.write_missing(writer, progress)
    write_export_card(data_dir, out_dir, form, plan.num_samples, len(files))
    return ExportReport(
        path=str(out_dir if is_tar else out_dir / "data"),
        num_samples=plan.num_samples,
        num_images=sum(file.num_images for file in files),
        num_files=len(files),
        num_written=export.num_written,
        size_bytes=sum(file.size_bytes for file in files),
    )


_Shown = Iterator[tuple[Sample, list[str]]]
"""Samples with the paths of their copied pictures, relative to the export, in dialogue order."""


def _write_llava(samples: _Shown, out_dir: Path) -> ExportReport:
    rows = [to_llava_row(sample, images) for sample, images in samples]
    data = orjson.dumps(rows, option=orjson.OPT_INDENT_2) + b"\n"
    num_images = sum(1 if isinstance(row["image"], str) else len(row["image"]) for row in rows)
    return _write_rows(out_dir / _ROWS_FILES["llava"], data, len(rows), num_images)


def _write_messages(samples: _Shown, out_dir: Path) -> ExportReport:
    rows = [{"id": sample.sample_id, "images": images, "messages": to_messages(sample)} for sample, images in samples]
    data = b"".join(orjson.dumps(row) + b"\n" for row in rows)
    return _write_rows(out_dir / _ROWS_FILES["messages"], data, len(rows), sum(len(row["images"]) for row in rows))


def _write_rows(path: Path, data: bytes, num_samples: int, num_images: int) -> ExportReport:
    write_atomic(path, data)
    return ExportReport(path=str(path), num_samples=num_samples, num_images=num_images, size_bytes=len(data))


def _copy_images(data_dir: Path, out_dir: Path, progress: Progress | None) -> _Shown:
    num_bytes, total = 0, count_samples(data_dir)
    for done, sample in enumerate(read_painted_samples(data_dir), start=1):
        names = []
        for index in shown_order(sample):
            source = image_path(data_dir, sample.paintings[index].sha256)
            target = out_dir / "images" / source.name
            num_bytes += _copy_image(source, target)
            names.append(f"images/{source.name}")
        yield sample, names
        if progress is not None:
            progress(done, total, num_bytes)
    os.sync()  # once for all pictures: one by one it takes longer than everything else together


def _copy_image(source: Path, target: Path) -> int:
    """Copy a picture unless it is there whole. Returns the bytes written."""
    size = source.stat().st_size
    if target.is_file() and target.stat().st_size == size:
        return 0
    temporary = target.with_name(f"{TEMPORARY_PREFIX}{target.name}")
    with explain_disk_errors(target):
        target.parent.mkdir(parents=True, exist_ok=True)
        try:
            shutil.copyfile(source, temporary)
            temporary.replace(target)
        except BaseException:
            temporary.unlink(missing_ok=True)
            raise
    return size
