"""Parquet files as Hugging Face ``datasets`` lays them out: pictures inside, as structs of bytes and path."""

from collections.abc import Iterator
from pathlib import Path
from typing import IO, Any

import orjson
import pyarrow as pa
import pyarrow.parquet as pq

from stablellava.core.sample import Sample
from stablellava.store.export_rows import describe_origin, describe_subject, read_shown, shown_order, to_messages

_ROWS_PER_GROUP = 100
"""What Hugging Face uses for pictures: one picture read at random costs reading its row group."""
_BYTES_PER_GROUP = 64_000_000
"""Bounds memory: a group's pictures are held at once."""

_TEXT = {"dtype": "string", "_type": "Value"}
_PART = pa.struct([("type", pa.string()), ("text", pa.string())])
_MESSAGE = pa.struct([("role", pa.string()), ("content", pa.list_(_PART))])
_IMAGE = pa.struct([("bytes", pa.binary()), ("path", pa.string())])
_SUBJECT_COLUMNS = ("capability", "keyword", "setting")
_PICTURES_LEAF = "images.list.element.bytes"

COLUMNS = {
    "id": "the sample's id",
    "images": "pictures in the order in which the dialogue shows them, bytes as they were painted",
    "messages": "turns of role and content; contents are lists of parts, image or text",
    "capability": "what the sample trains",
    "keyword": "the thing that the prompt is about",
    "setting": "the place it was set in",
    "prompts": "what the painter was asked for, one prompt a picture",
    "provenance": "JSON: writer, prompts with weights, each picture's digest, seed and painter, the checks' scores",
}


def name_parquet_files(num_files: int) -> list[str]:
    """Return the names by which Hugging Face knows a split's files."""
    return [f"data/train-{number:05d}-of-{num_files:05d}.parquet" for number in range(num_files)]


class ParquetWriter:
    """Writes samples of a data folder in row groups of bounded size."""

    def __init__(self, data_dir: Path) -> None:
        self._data_dir = data_dir

    def __call__(self, file: IO[bytes], first: int, samples: Iterator[Sample]) -> int:
        """Write a whole file. Returns the number of pictures."""
        schema = _build_schema()
        num_images = 0
        # Pictures are compressed already; a dictionary or a minimum of them would only cost room.
        compression = {leaf: "zstd" for leaf in _list_leaves(schema) if leaf != _PICTURES_LEAF}
        with pq.ParquetWriter(
            file,
            schema,
            compression={**compression, _PICTURES_LEAF: "none"},
            use_dictionary=[*_SUBJECT_COLUMNS, "messages.list.element.role"],
            write_statistics=["id", *_SUBJECT_COLUMNS],
        ) as writer:
            for rows in _group(self._to_row(sample) for sample in samples):
                writer.write_table(pa.Table.from_pylist(rows, schema=schema))
                num_images += sum(len(row["images"]) for row in rows)
        return num_images

    def _to_row(self, sample: Sample) -> dict[str, Any]:
        pictures = read_shown(self._data_dir, sample)
        shown = [pictures[index] for index in shown_order(sample)]
        return {
            "id": sample.sample_id,
            "images": [{"bytes": picture.data, "path": picture.name} for picture in shown],
            "messages": to_messages(sample),
            **describe_subject(sample),
            "provenance": describe_origin(sample),
        }


def _build_schema() -> pa.Schema:
    types = {"images": pa.list_(_IMAGE), "messages": pa.list_(_MESSAGE), "prompts": pa.list_(pa.string())}
    # Lists as JSON lists: datasets before version 4 does not know the type "List".
    features: dict[str, Any] = {
        "images": [{"_type": "Image"}],
        "messages": [{"role": _TEXT, "content": [{"type": _TEXT, "text": _TEXT}]}],
        "prompts": [_TEXT],
    }
    return pa.schema(
        [(name, types.get(name, pa.string())) for name in COLUMNS],
        # The key by which Hugging Face datasets learns that the structs are pictures.
        metadata={b"huggingface": orjson.dumps({"info": {"features": {k: features.get(k, _TEXT) for k in COLUMNS}}})},
    )


def _list_leaves(schema: pa.Schema) -> list[str]:
    buffer = pa.BufferOutputStream()
    with pq.ParquetWriter(buffer, schema):
        pass
    leaves = pq.ParquetFile(pa.BufferReader(buffer.getvalue())).schema
    return [leaves.column(number).path for number in range(len(leaves))]


def _group(rows: Iterator[dict[str, Any]]) -> Iterator[list[dict[str, Any]]]:
    group: list[dict[str, Any]] = []
    num_bytes = 0
    for row in rows:
        group.append(row)
        num_bytes += sum(len(image["bytes"]) for image in row["images"])
        if len(group) == _ROWS_PER_GROUP or num_bytes >= _BYTES_PER_GROUP:
            yield group
            group, num_bytes = [], 0
    if group:
        yield group
