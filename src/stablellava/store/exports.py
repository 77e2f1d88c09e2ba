"""Data in the forms that others read.

- ``llava``: one JSON list, rows of id, image and conversations, ``<image>`` where a picture stands, and images/.
- ``messages``: chat messages as JSON lines, contents as lists of image and text parts, and images/.
- ``parquet``: the same messages with the pictures inside, as Hugging Face ``datasets`` reads them.

Every export carries the data card.
"""

from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from typing import Any, Literal, get_args

import orjson
import pyarrow as pa
import pyarrow.parquet as pq

from stablellava.core.draft import Turn
from stablellava.core.errors import ConfigError
from stablellava.core.record import Record
from stablellava.core.sample import Sample
from stablellava.core.suggesting import suggest_name
from stablellava.store.files import TEMPORARY_PREFIX, explain_disk_errors, write_atomic
from stablellava.store.images import image_path
from stablellava.store.shards import read_painted_samples

ExportFormat = Literal["llava", "messages", "parquet"]
IMAGE_TAG = "<image>"
_ROWS_PER_GROUP = 500
"""Bounds memory: so many samples' pictures are held at once."""


class ExportReport(Record):
    """What was written."""

    path: str
    num_samples: int
    num_images: int


def export_samples(data_dir: Path, out_dir: Path, form: str) -> ExportReport:
    """Write all samples of a data folder below ``out_dir``, with their pictures and the data card.

    Raises: ConfigError for an unknown form, RecordError if there are no samples or the disk is full.
    """
    writers: dict[str, Callable[[Path, Path], ExportReport]] = {
        "llava": _export_llava,
        "messages": _export_messages,
        "parquet": _export_parquet,
    }
    if form not in writers:
        raise ConfigError(f"no export form named {form!r}. {suggest_name(form, get_args(ExportFormat))}")
    report = writers[form](data_dir, out_dir)
    card = data_dir / "card.md"
    if card.is_file():
        write_atomic(out_dir / "README.md", card.read_bytes())
    return report


def to_llava_row(sample: Sample, images: list[str]) -> dict[str, Any]:
    """Return a row of LLaVA's JSON; ``image`` is a list only when there are several."""
    return {
        "id": sample.sample_id,
        "image": images[0] if len(images) == 1 else images,
        "conversations": [
            {"from": "human" if turn.speaker == "user" else "gpt", "value": _tagged(turn)}
            for turn in sample.draft.turns
        ],
    }


def to_messages(sample: Sample) -> list[dict[str, Any]]:
    """Return chat messages; every part has both keys, so that tables of them have one schema."""
    return [
        {
            "role": turn.speaker,
            "content": [
                *({"type": "image", "text": None} for _ in turn.images),
                {"type": "text", "text": turn.text},
            ],
        }
        for turn in sample.draft.turns
    ]


def _tagged(turn: Turn) -> str:
    return "".join(f"{IMAGE_TAG}\n" for _ in turn.images) + turn.text


def _export_llava(data_dir: Path, out_dir: Path) -> ExportReport:
    rows = [to_llava_row(sample, images) for sample, images in _with_images(data_dir, out_dir)]
    path = out_dir / "llava.json"
    write_atomic(path, orjson.dumps(rows, option=orjson.OPT_INDENT_2) + b"\n")
    num_images = sum(1 if isinstance(row["image"], str) else len(row["image"]) for row in rows)
    return ExportReport(path=str(path), num_samples=len(rows), num_images=num_images)


def _export_messages(data_dir: Path, out_dir: Path) -> ExportReport:
    rows = [
        {"id": sample.sample_id, "images": images, "messages": to_messages(sample)}
        for sample, images in _with_images(data_dir, out_dir)
    ]
    path = out_dir / "messages.jsonl"
    write_atomic(path, b"".join(orjson.dumps(row) + b"\n" for row in rows))
    return ExportReport(path=str(path), num_samples=len(rows), num_images=sum(len(row["images"]) for row in rows))


def _with_images(data_dir: Path, out_dir: Path) -> Iterator[tuple[Sample, list[str]]]:
    """Yield samples with the paths of their copied pictures, relative to ``out_dir``, in dialogue order."""
    for sample in read_painted_samples(data_dir):
        names = []
        for index in _shown_order(sample):
            source = image_path(data_dir, sample.paintings[index].sha256)
            target = out_dir / "images" / source.name
            if not target.exists():
                write_atomic(target, source.read_bytes())
            names.append(f"images/{source.name}")
        yield sample, names


def _shown_order(sample: Sample) -> list[int]:
    return [index for turn in sample.draft.turns for index in turn.images]


_PART = pa.struct([("type", pa.string()), ("text", pa.string())])
_MESSAGE = pa.struct([("role", pa.string()), ("content", pa.list_(_PART))])
_IMAGE = pa.struct([("bytes", pa.binary()), ("path", pa.string())])


def _parquet_schema() -> pa.Schema:
    fields = [("id", pa.string()), ("images", pa.list_(_IMAGE)), ("messages", pa.list_(_MESSAGE))]
    text = {"dtype": "string", "_type": "Value"}
    part = {"type": text, "text": text}
    features = {
        "id": text,
        "images": {"feature": {"_type": "Image"}, "_type": "List"},
        "messages": {
            "feature": {"role": text, "content": {"feature": part, "_type": "List"}},
            "_type": "List",
        },
    }
    # The key by which Hugging Face datasets learns that the structs are pictures.
    return pa.schema(fields, metadata={b"huggingface": orjson.dumps({"info": {"features": features}})})


def _export_parquet(data_dir: Path, out_dir: Path) -> ExportReport:
    path = out_dir / "train.parquet"
    schema = _parquet_schema()
    num_samples = num_images = 0
    temporary = path.with_name(f"{TEMPORARY_PREFIX}{path.name}")
    with explain_disk_errors(path):
        out_dir.mkdir(parents=True, exist_ok=True)
        with pq.ParquetWriter(temporary, schema, compression="zstd") as writer:
            for rows in _groups(_parquet_row(data_dir, sample) for sample in read_painted_samples(data_dir)):
                writer.write_table(pa.Table.from_pylist(rows, schema=schema))
                num_samples += len(rows)
                num_images += sum(len(row["images"]) for row in rows)
        temporary.replace(path)
    return ExportReport(path=str(path), num_samples=num_samples, num_images=num_images)


def _parquet_row(data_dir: Path, sample: Sample) -> dict[str, Any]:
    paths = [image_path(data_dir, sample.paintings[index].sha256) for index in _shown_order(sample)]
    images = [{"bytes": path.read_bytes(), "path": path.name} for path in paths]
    return {"id": sample.sample_id, "images": images, "messages": to_messages(sample)}


def _groups(rows: Iterable[dict[str, Any]]) -> Iterator[list[dict[str, Any]]]:
    group: list[dict[str, Any]] = []
    for row in rows:
        group.append(row)
        if len(group) == _ROWS_PER_GROUP:
            yield group
            group = []
    if group:
        yield group
