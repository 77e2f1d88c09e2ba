"""WebDataset tars: members of one name and several endings make a row.

Nothing is ever unpacked, so no member can reach a file outside: texts and pictures are read from
the place in the tar where their bytes lie. What stays in memory is two numbers per row.
"""

import re
import tarfile
from array import array
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import islice
from pathlib import Path, PurePosixPath
from typing import Any

import orjson

from stablellava.core.errors import RecordError
from stablellava.training.sources.rows import RowRefused

TAR_SUFFIXES = (".tar",)
_KEY = re.compile(r"(?s)((?:.*/)?[^./][^./]*)\.([^/]*)$")
_PICTURE_ENDINGS = ("jpg", "jpeg", "png", "webp", "gif", "bmp", "tif", "tiff")
_CAPTION_ENDINGS = ("txt", "caption")


@dataclass(frozen=True, slots=True)
class TarImage:
    """A picture inside a tar."""

    path: Path
    member: str
    offset: int
    size: int

    @property
    def name(self) -> str:
        return f"{self.path.name}/{self.member}"

    def __str__(self) -> str:
        return f"{self.path}, member {self.member}"

    def read_bytes(self) -> bytes:
        """Return the encoded picture."""
        with self.path.open("rb") as file:
            file.seek(self.offset)
            return file.read(self.size)


class TarRows:
    """The rows of one tar: a .json (a row) or a .txt (a caption), and pictures."""

    def __init__(self, path: Path):
        """Go over the members' headers. Raises: RecordError if it is no tar or a compressed one."""
        self.path = path
        self._starts, self._counts = array("q"), array("q")
        self._broken: dict[int, str] = {}
        self._find_rows()

    def __len__(self) -> int:
        return len(self._starts)

    def number_of(self, index: int) -> int:
        return index + 1

    def read(self, index: int) -> Any:
        """Return the row, its pictures as references. Raises: RowRefused."""
        if index in self._broken:
            raise RowRefused("tar_damaged", f"the tar ends early or is damaged: {self._broken[index]}")
        with self.path.open("rb") as file:
            file.seek(self._starts[index])
            with tarfile.open(fileobj=file, mode="r:") as tar:
                members = list(islice(tar, self._counts[index]))
            texts, pictures = self._sort(members)
            for ending, member in texts.items():
                file.seek(member.offset_data)
                return _join(_parse(ending, file.read(member.size)), pictures)
        names = ", ".join(member.name for member in members)
        raise RowRefused("no_text_member", "the sample has no .json and no .txt member", names)

    def _sort(self, members: list[tarfile.TarInfo]) -> tuple[dict[str, tarfile.TarInfo], list[TarImage]]:
        """Return the text members by ending, .json first, and the pictures in the tar's order."""
        texts: dict[str, tarfile.TarInfo] = {}
        pictures: list[TarImage] = []
        for member in members:
            if PurePosixPath(member.name).is_absolute() or ".." in PurePosixPath(member.name).parts:
                raise RowRefused("member_outside", "a member's name leaves the tar", member.name)
            if not member.isreg() or member.issparse():
                raise RowRefused("member_not_a_file", "a member is a link or a device", member.name)
            ending = member.name.lower().rpartition(".")[2]
            if ending in ("json", *_CAPTION_ENDINGS):
                texts[ending] = member
            elif ending in _PICTURE_ENDINGS:
                pictures.append(TarImage(self.path, member.name, member.offset_data, member.size))
        return dict(sorted(texts.items(), key=lambda entry: entry[0] != "json")), pictures

    def _find_rows(self) -> None:
        previous = None
        try:
            for key, offset in _iter_members(self.path):
                if key != previous:
                    self._starts.append(offset)
                    self._counts.append(0)
                    previous = key
                self._counts[-1] += 1
        except FileNotFoundError as exc:
            raise RecordError(f"{self.path}: no such file") from exc
        except (tarfile.TarError, OSError, EOFError) as exc:
            if not self._starts:
                raise RecordError(f"{self.path}: not a plain tar ({exc}); unpack a compressed one first") from exc
            # The last sample may lack members; it is reported instead of used.
            self._broken[len(self._starts) - 1] = str(exc)


def _iter_members(path: Path) -> Iterator[tuple[str, int]]:
    """Yield key and header's place of every member that is not a folder."""
    with tarfile.open(path, mode="r:") as tar:
        for member in tar:
            tar.members = []  # type: ignore[attr-defined]  # or tarfile keeps every header it has seen
            if member.isdir():
                continue
            match = _KEY.match(member.name)
            yield (match[1] if match else member.name), member.offset


def _parse(ending: str, data: bytes) -> Any:
    try:
        if ending == "json":
            return orjson.loads(data)
        caption = data.decode("utf-8")
    except ValueError as exc:
        raise RowRefused("not_json", f"not {'JSON' if ending == 'json' else 'UTF-8'}: {exc}", data[:200]) from exc
    asked = {"from": "human", "value": "<image>"}
    return {"conversations": [asked, {"from": "gpt", "value": caption}]}


def _join(row: Any, pictures: list[TarImage]) -> Any:
    """Return the row with the pictures it names; all in the tar's order if it names none, or as many by other names."""
    named = row.get("image", row.get("images")) if isinstance(row, dict) else row
    names = [named] if isinstance(named, str) else named
    if not isinstance(row, dict) or not isinstance(names, list | None):
        return row
    if names is None:
        return {**row, "image": pictures}
    by_name = {PurePosixPath(picture.member).name: picture for picture in pictures}
    by_name |= {picture.member: picture for picture in pictures}
    chosen = [by_name.get(name) if isinstance(name, str) else None for name in names]
    if len(names) == len(pictures) and not any(chosen):
        chosen = list(pictures)
    found = [picture or name for picture, name in zip(chosen, names, strict=True)]
    return {**{key: value for key, value in row.items() if key != "images"}, "image": found}
