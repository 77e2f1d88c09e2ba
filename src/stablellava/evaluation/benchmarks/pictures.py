"""Pictures of benchmark rows, wherever they stand, gathered by content beside the log."""

import base64
import binascii
import hashlib
import os
from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import Any, Protocol

import pyarrow.parquet as pq

from stablellava.core.errors import RecordError
from stablellava.store.images import PictureRefused, decode_picture, image_path, resolve_inside, store_image

_SUFFIXES = ("", ".jpg", ".jpeg", ".png", ".JPG", ".webp")


@dataclass(frozen=True)
class Base64Picture:
    """A picture written into a text cell."""

    text: str


@dataclass(frozen=True)
class ParquetPicture:
    """A picture in a parquet file, read when it is wanted."""

    path: Path
    column: str
    row_group: int
    index: int
    """Of the row within its group."""


class Drawing(Protocol):
    """A picture that is made when it is wanted; equal ones are made once."""

    def draw(self) -> bytes:
        """Return it, encoded. Raises: RecordError."""
        ...


PictureSource = Path | Base64Picture | ParquetPicture | Drawing


def load_picture(source: PictureSource) -> bytes:
    """Return the encoded picture. Raises: RecordError with what is wrong, without saying where."""
    if isinstance(source, Path):
        return source.read_bytes()
    if isinstance(source, Base64Picture):
        try:
            return base64.b64decode("".join(source.text.split()), validate=True)
        except (binascii.Error, ValueError) as exc:
            shown = source.text[:20]
            raise RecordError(f"broken base64 that begins {shown!r} ({exc}); export the picture again") from exc
    if not isinstance(source, ParquetPicture):
        return source.draw()
    cell = _read_column(source.path, source.row_group, source.column)[source.index]
    data = cell.get("bytes") if isinstance(cell, dict) else cell
    if not isinstance(data, bytes):
        raise RecordError("holds no picture bytes; use a file that embeds its pictures")
    return data


def find_picture(name: str, folders: Sequence[Path]) -> Path:
    """Return the file of that name, with or without its suffix, in the first folder that has it.

    Raises: RecordError saying where it was looked for.
    """
    for folder in folders:
        for suffix in _SUFFIXES:
            try:
                return resolve_inside(folder, name + suffix, where="image")
            except PictureRefused as exc:
                if exc.reason == "image_outside_folder":
                    raise RecordError(f"{name!r} leaves {folder}; use a path inside it") from exc
    searched = ", ".join(map(str, folders))
    raise RecordError(f"no picture {name!r} in {searched}; put it there or name its folder with --images")


class PictureShelf:
    """Pictures by content below a folder; one that is there already is not decoded again."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self._stored: dict[PictureSource, tuple[str, str]] = {}

    def put(self, source: PictureSource) -> tuple[str, str]:
        """Return the path relative to the folder, and the sha256.

        Raises: RecordError if it is no whole picture, without saying where.
        """
        if source not in self._stored:
            self._stored[source] = self._store(source)
        return self._stored[source]

    def _store(self, source: PictureSource) -> tuple[str, str]:
        data = load_picture(source)
        sha256 = hashlib.sha256(data).hexdigest()
        try:
            path = image_path(self.folder, sha256)
        except RecordError:
            picture = decode_picture(data, "the picture")
            target = self.folder / "images" / sha256[:2] / (sha256 + picture.suffix)
            if not (isinstance(source, Path) and _link(source, target)):
                store_image(self.folder, data, picture)
            path = target
        return path.relative_to(self.folder).as_posix(), sha256


def _link(source: Path, target: Path) -> bool:
    """Spare the disk a second copy where the file system can; return whether it could."""
    target.parent.mkdir(parents=True, exist_ok=True)
    try:
        os.link(source, target)
    except OSError:
        return False
    return True


@lru_cache(maxsize=2)
def _read_column(path: Path, row_group: int, column: str) -> list[Any]:
    with pq.ParquetFile(path) as file:
        cells: list[Any] = file.read_row_group(row_group, columns=[column]).column(0).to_pylist()
    return cells
