"""Parquet tables of rows. Texts are read by row group; pictures stay in the file until they are asked for."""

from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from stablellava.core.errors import RecordError
from stablellava.store.images import PictureRefused, resolve_inside
from stablellava.training.sources.rows import RowRefused, shorten

PARQUET_SUFFIXES = (".parquet",)
_PICTURE_COLUMNS = ("image", "images")
_GROUPS_HELD = 4
"""Row groups of pictures kept in memory; rows are mostly read in the file's order."""


@dataclass(frozen=True, slots=True)
class ParquetImage:
    """A picture in a column of bytes, or of structs of bytes and path as Hugging Face ``datasets`` writes them."""

    path: Path
    column: str
    group: int
    row: int
    """Within the group."""
    place: int
    """Within the row's list."""
    folder: Path
    """Where the picture lies if the struct has a path instead of bytes."""

    @property
    def name(self) -> str:
        return f"{self.path.name}/{self.group}/{self.row}/{self.place}"

    def __str__(self) -> str:
        return f"{self.path}, row group {self.group}, row {self.row + 1}, picture {self.place + 1}"

    def read_bytes(self) -> bytes:
        """Return the encoded picture.

        Raises: PictureRefused ("image_missing") without bytes and without a file, ("image_unreadable") for a damaged
            row group; FileNotFoundError without the table.
        """
        try:
            value = _picture_column(self.path, self.group, self.column)[self.row].as_py()
        except FileNotFoundError:
            raise
        except (OSError, pa.ArrowException) as exc:
            raise PictureRefused("image_unreadable", f"image {self} cannot be read: {shorten(exc)}") from exc
        value = value[self.place] if isinstance(value, list) else value
        data = value.get("bytes") if isinstance(value, dict) else value
        if data is not None:
            return bytes(data)
        named = value.get("path") if isinstance(value, dict) else None
        if not named:
            raise PictureRefused("image_missing", f"{self}: neither bytes nor a path")
        return resolve_inside(self.folder, named, str(self)).read_bytes()


class ParquetRows:
    """The rows of one Parquet file."""

    def __init__(self, path: Path, folder: Path):
        """Read the file's footer. Raises: RecordError if it is no Parquet file."""
        self.path = path
        self.folder = folder
        try:
            with pq.ParquetFile(path) as file:
                metadata = file.metadata
                sizes = [metadata.row_group(group).num_rows for group in range(metadata.num_row_groups)]
                leaves = [file.schema.column(number).path for number in range(len(file.schema))]
        except (OSError, pa.ArrowException) as exc:
            raise RecordError(f"{path}: not a readable Parquet file ({exc})") from exc
        self._ends = np.cumsum(sizes, dtype=np.int64)
        # The bytes beside a path are left in the file until the picture is decoded.
        self._columns = [
            leaf for leaf in leaves if not (leaf.endswith(".bytes") and f"{leaf.removesuffix('.bytes')}.path" in leaves)
        ]
        self._held: tuple[int, list[dict[str, Any]]] = (-1, [])

    def __len__(self) -> int:
        return int(self._ends[-1]) if len(self._ends) else 0

    def number_of(self, index: int) -> int:
        return index + 1

    def read(self, index: int) -> Any:
        """Return the row, its pictures as references. Raises: RowRefused ("not_parquet") for a damaged row group."""
        group = int(np.searchsorted(self._ends, index, side="right"))
        within = index - (int(self._ends[group - 1]) if group else 0)
        if self._held[0] != group:
            self._held = (group, self._read_group(group))
        row = dict(self._held[1][within])
        for column in _PICTURE_COLUMNS:
            if row.get(column) is not None:
                row[column] = self._to_references(row[column], column, group, within)
        return row

    def _read_group(self, group: int) -> list[dict[str, Any]]:
        try:
            with pq.ParquetFile(self.path) as file:
                rows: list[dict[str, Any]] = file.read_row_group(group, self._columns, use_threads=False).to_pylist()
        except (OSError, pa.ArrowException, UnicodeDecodeError) as exc:
            raise RowRefused("not_parquet", f"row group {group} cannot be read: {exc}") from exc
        return rows

    def _to_references(self, value: Any, column: str, group: int, row: int) -> list[Any]:
        values = value if isinstance(value, list) else [value]
        return [
            item if isinstance(item, str) else ParquetImage(self.path, column, group, row, place, self.folder)
            for place, item in enumerate(values)
        ]


@lru_cache(maxsize=_GROUPS_HELD)
def _picture_column(path: Path, group: int, column: str) -> pa.ChunkedArray:
    with pq.ParquetFile(path) as file:
        return file.read_row_group(group, [column], use_threads=False).column(column)
