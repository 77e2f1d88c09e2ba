"""Opening the file formats that benchmarks come in: TSV, JSON, JSON lines, parquet."""

import csv
import io
import json
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any, Literal

import orjson
import pyarrow as pa
import pyarrow.parquet as pq

from stablellava.core.errors import RecordError
from stablellava.evaluation.benchmarks.pictures import ParquetPicture
from stablellava.evaluation.benchmarks.rows import Row

_MAX_CELL = 2**31 - 1
"""csv refuses cells over 131,072 characters by default; a base64 picture is longer."""
_SEPARATORS = {"tabs": "\t", "commas": ","}


def read_separated(path: Path, separated_by: Literal["tabs", "commas"] = "tabs") -> Iterator[Row]:
    """Yield rows, counted as a spreadsheet shows them: the header is row 1.

    Raises: RecordError for a file that is missing, empty or not UTF-8.
    """
    csv.field_size_limit(_MAX_CELL)
    reader = csv.reader(io.StringIO(_read_text(path), newline=""), delimiter=_SEPARATORS[separated_by])
    header = next(reader, None)
    if not header:
        raise RecordError(f"{path} is empty; a table with a header row is needed")
    number = 1
    try:
        for number, cells in enumerate(reader, start=2):
            problem = f"{len(cells)} cells for {len(header)} columns; quote the {separated_by}"
            if cells:
                found = dict(zip(header, cells, strict=False))
                yield Row(path, f"row {number}", found, problem if len(cells) > len(header) else "")
    except csv.Error as exc:
        raise RecordError(f"{path}, after row {number}: not readable as a table: {exc}") from exc


def read_json_lines(path: Path) -> Iterator[Row]:
    """Yield one row per line that is not blank.

    Raises: RecordError for a file that is missing or not UTF-8.
    """
    for number, line in enumerate(_read_text(path).split("\n"), start=1):
        if line.strip():
            try:
                yield build_row(path, f"line {number}", _parse_json(line))
            except ValueError as exc:
                yield Row(path, f"line {number}", {}, f"broken JSON: {exc}")


def read_json(path: Path) -> Any:
    """Return what a JSON file holds.

    Raises: RecordError for a file that is missing, not UTF-8 or broken.
    """
    try:
        return _parse_json(_read_text(path))
    except ValueError as exc:
        raise RecordError(f"{path}: broken JSON: {exc}") from exc


def read_records(path: Path) -> Iterator[Row]:
    """Yield rows of a table by its suffix: .tsv, .jsonl, .parquet, or .json with a list of objects.

    Raises: RecordError for a folder, another suffix, and what the single formats raise.
    """
    ensure_file(path)
    if path.suffix == ".tsv":
        yield from read_separated(path)
    elif path.suffix == ".jsonl":
        yield from read_json_lines(path)
    elif path.suffix == ".parquet":
        yield from read_parquet(path)
    elif path.suffix == ".json":
        rows = read_json(path)
        if not isinstance(rows, list):
            raise RecordError(f"{path} holds {type(rows).__name__}; a list of objects is needed")
        yield from list_rows(path, rows)
    else:
        raise RecordError(f"{path}: the suffix {path.suffix!r} is none of .tsv, .jsonl, .parquet, .json")


def list_rows(path: Path, rows: Sequence[object], name: str = "entry") -> Iterator[Row]:
    """Yield the objects of a list, counted from 1."""
    for number, cells in enumerate(rows, start=1):
        yield build_row(path, f"{name} {number}", cells)


def read_parquet(path: Path) -> Iterator[Row]:
    """Yield rows, counted from 1; cells with pictures hold a ``ParquetPicture`` instead of bytes.

    Raises: RecordError for a file that is missing or no parquet file.
    """
    ensure_file(path)
    try:
        with pq.ParquetFile(path) as file:
            fields = {field.name: field.type for field in file.schema_arrow}
            pictures = [name for name, kind in fields.items() if _holds_bytes(kind)]
            plain = [name for name in fields if name not in pictures]
            number = 0
            for group in range(file.num_row_groups):
                rows = file.read_row_group(group, columns=plain).to_pylist() if plain else []
                present = {name: _are_present(file, group, name) for name in pictures}
                for index, cells in enumerate(rows):
                    number += 1
                    found = {
                        name: ParquetPicture(path, name, group, index) if present[name][index] else None
                        for name in pictures
                    }
                    yield Row(path, f"row {number}", {**cells, **found})
    except pa.ArrowException as exc:
        raise RecordError(f"{path}: not a readable parquet file: {exc}") from exc


def build_row(path: Path, place: str, cells: object) -> Row:
    """Return a row of an object; anything else is a row with a problem."""
    if isinstance(cells, dict):
        return Row(path, place, cells)
    return Row(path, place, {}, f"{str(cells)[:60]!r} is no JSON object; each row must be one")


def as_object(value: object, path: Path) -> dict[str, Any]:
    """Return what a file holds as an object. Raises: RecordError for anything else."""
    if not isinstance(value, dict):
        raise RecordError(f"{path} holds {str(value)[:60]!r}; a JSON object is needed")
    return value


def ensure_file(path: Path) -> None:
    """Raise RecordError unless there is such a file."""
    if not path.is_file():
        kind = "is a folder; name a file in it" if path.is_dir() else "does not exist; check the path"
        raise RecordError(f"{path} {kind}")


def _parse_json(text: str) -> Any:
    """Return parsed JSON; NaN, which Python's own writer leaves in files, is a number as any other.

    Raises: ValueError.
    """
    try:
        return orjson.loads(text)
    except orjson.JSONDecodeError:
        try:
            parsed = json.loads(text)
        except RecursionError as exc:
            raise ValueError("nested too deeply to be read") from exc
        # Python takes half of a character ("\ud83d") as well, which then cannot be written anywhere.
        json.dumps(parsed, ensure_ascii=False).encode()
        return parsed


def _read_text(path: Path) -> str:
    ensure_file(path)
    data = path.read_bytes()
    try:
        return data.decode("utf-8-sig")
    except UnicodeDecodeError as exc:
        line = data.count(b"\n", 0, exc.start) + 1
        bad = f"0x{data[exc.start]:02x}"
        raise RecordError(f"{path}, line {line}: byte {bad} is not UTF-8; save the file as UTF-8") from exc


def _holds_bytes(kind: pa.DataType) -> bool:
    is_bytes = pa.types.is_binary(kind) or pa.types.is_large_binary(kind)
    return is_bytes or (pa.types.is_struct(kind) and any(field.name == "bytes" for field in kind))


def _are_present(file: pq.ParquetFile, group: int, column: str) -> list[bool]:
    cells = file.read_row_group(group, columns=[column]).column(0)
    if pa.types.is_struct(cells.type):
        cells = cells.combine_chunks().field("bytes")
    present: list[bool] = cells.is_valid().to_pylist()
    return present
