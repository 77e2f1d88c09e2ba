"""JSON lists and JSON lines, larger than memory: rows are found once and parsed one at a time.

The file is mapped, not read; what stays in memory is two numbers per row.
"""

import gzip
import mmap
import re
import zlib
from array import array
from pathlib import Path
from typing import Any

import orjson

from stablellava.core.errors import RecordError
from stablellava.training.sources.rows import RowRefused

JSON_SUFFIXES = (".json", ".jsonl", ".ndjson", ".json.gz", ".jsonl.gz", ".ndjson.gz")
_MAX_UNPACKED_BYTES = 4_000_000_000
_STRING = re.compile(rb'"[^"\\]*+(?:\\.[^"\\]*+)*+"', re.DOTALL)
_TO_BRACKET = re.compile(rb'(?:[^"{}\[\]]++|' + _STRING.pattern + rb")*+[{}\[\]]", re.DOTALL)
"""Everything up to and with the next bracket that is not inside a string."""
_OPEN, _LIST_END = (ord("{"), ord("[")), ord("]")
_SPACE = re.compile(rb"[\s,]*+")
_SCALAR_END = re.compile(rb"[,\]]")
_BOM = b"\xef\xbb\xbf"


class JsonFile:
    """The rows of a .json list or of JSON lines, also compressed (then held in memory)."""

    def __init__(self, path: Path):
        """Find the rows. Raises: RecordError if the file is missing, empty or neither a list nor lines."""
        self.path = path
        self._data = _open(path)
        self._starts, self._ends, self._lines = array("q"), array("q"), array("q")
        start = len(_BOM) if self._data[: len(_BOM)] == _BOM else 0
        first = _SPACE.match(self._data, start)
        begin = first.end() if first else start
        if self._data[begin : begin + 1] == b"[":
            self._find_list(begin + 1)
        elif self._data[begin : begin + 1] == b"{":
            self._find_lines(start)
        else:
            found = bytes(self._data[begin : begin + 40])
            raise RecordError(f"{path}: neither a JSON list nor JSON lines; it begins with {found!r}")

    def __len__(self) -> int:
        return len(self._starts)

    def number_of(self, index: int) -> int:
        return self._lines[index] if self._lines else index + 1

    def read(self, index: int) -> Any:
        """Return the parsed row. Raises: RowRefused ("not_json")."""
        data = self._data[self._starts[index] : self._ends[index]]
        try:
            return orjson.loads(data)
        except orjson.JSONDecodeError as exc:
            raise RowRefused("not_json", f"not JSON: {exc}", data[:200].decode(errors="replace")) from exc

    def _find_lines(self, start: int) -> None:
        number, size = 0, len(self._data)
        while start < size:
            end = self._data.find(b"\n", start)
            end = size if end < 0 else end
            number += 1
            if self._data[start:end].strip():
                self._add(start, end)
                self._lines.append(number)
            start = end + 1

    def _find_list(self, start: int) -> None:
        size = len(self._data)
        while True:
            space = _SPACE.match(self._data, start)
            start = space.end() if space else start
            if start >= size:
                # The list is not closed. The place where its end should be counts as a row, so that it is reported.
                self._add(size, size)
                return
            if self._data[start] == _LIST_END:
                return
            end = self._end_of_value(start)
            self._add(start, size if end is None else end)
            if end is None:
                return
            start = end

    def _end_of_value(self, start: int) -> int | None:
        """Return where the value ends; None if it does not."""
        if self._data[start] not in _OPEN:
            string = _STRING.match(self._data, start)
            after = string.end() if string else start
            found = _SCALAR_END.search(self._data, after)
            return max(found.start() if found else len(self._data), start + 1)
        depth, end = 0, start
        while bracket := _TO_BRACKET.match(self._data, end):
            end = bracket.end()
            depth += 1 if self._data[end - 1] in _OPEN else -1
            if not depth:
                return end
        return None

    def _add(self, start: int, end: int) -> None:
        self._starts.append(start)
        self._ends.append(end)


def _open(path: Path) -> mmap.mmap | bytes:
    try:
        if path.suffix == ".gz":
            with gzip.open(path) as packed:
                data = packed.read(_MAX_UNPACKED_BYTES + 1)
            if len(data) > _MAX_UNPACKED_BYTES:
                raise RecordError(f"{path}: unpacks to more than {_MAX_UNPACKED_BYTES:,} bytes; unpack it with gunzip")
            return data
        with path.open("rb") as file:
            return mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ)
    except FileNotFoundError as exc:
        raise RecordError(f"{path}: no such file") from exc
    except ValueError as exc:  # an empty file cannot be mapped
        raise RecordError(f"{path}: the file is empty") from exc
    except (OSError, EOFError, zlib.error) as exc:
        raise RecordError(f"{path}: cannot be read ({exc}); fetch the file again") from exc
