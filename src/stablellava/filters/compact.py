"""What has to be known of millions of entries: on disk in unlinked files, a bounded rest in memory.

Files are written by plain calls, so that a full disk is an error, and read through maps: other than a call, a look
into a map does not let other threads run, and so does not wait its turn behind them. What was looked at counts as this
process's memory until ``let_go``.
"""

import mmap
import os
import tempfile
import weakref
from array import array
from bisect import bisect_left
from collections.abc import Iterable, Iterator, Sequence
from itertools import accumulate
from pathlib import Path
from typing import Generic, TypeVar

import numpy as np
from numpy.typing import NDArray

_MAX_BUFFERED = 1 << 12
_MAX_WAITING_BYTES = 1 << 16
_READ_BYTES = 1024
_NUMBER_BYTES = 8
_ROWS_PER_BLOCK = 128
_BLOCKS_PER_MAP = 1 << 12
"""Few maps: each holds a file handle. Address space that no row lies in yet takes no room on the disk."""
_BLOCKS_PER_PART = 32

Key = TypeVar("Key")


class CompactMap:
    """64-bit keys to 64-bit values: a sorted file, and a small dict of the newest.

    Args:
        folder: on the disk to use; the system's place for temporary files if None.
    """

    def __init__(self, folder: Path | None = None) -> None:
        self._folder = folder
        self._sorted: mmap.mmap | None = None
        self._keys = self._values = memoryview(b"").cast("Q")
        self._newest: dict[int, int] = {}

    def __len__(self) -> int:
        return len(self._keys) + len(self._newest)

    def find(self, key: int) -> int | None:
        """Return the key's value, or None."""
        if key in self._newest:
            return self._newest[key]
        place = bisect_left(self._keys, key)  # numpy would let other threads run
        is_there = place < len(self._keys) and self._keys[place] == key
        return self._values[place] if is_there else None

    def add(self, key: int, value: int) -> None:
        """Add a key that is not there yet."""
        self._newest[key] = value
        if len(self._newest) >= _MAX_BUFFERED:
            self._merge()

    def add_all(self, entries: Iterable[tuple[int, int]]) -> None:
        """Add keys that are not there yet."""
        self._newest.update(entries)
        if len(self._newest) >= _MAX_BUFFERED:
            self._merge()

    def let_go(self) -> None:
        """Give back the memory of what was looked at."""
        if self._sorted is not None:
            _drop_pages(self._sorted)

    def _merge(self) -> None:
        keys = np.fromiter(self._newest.keys(), dtype=np.uint64, count=len(self._newest))
        values = np.fromiter(self._newest.values(), dtype=np.uint64, count=len(self._newest))
        order = np.argsort(keys)
        known, known_values = np.asarray(self._keys), np.asarray(self._values)
        places = np.searchsorted(known, keys[order])
        written = np.insert(known, places, keys[order]).tobytes()
        written += np.insert(known_values, places, values[order]).tobytes()
        file = _open_unlinked(self._folder)
        try:
            _write_all(file, written)
            self._sorted = mmap.mmap(file, len(written), access=mmap.ACCESS_READ)
        finally:
            os.close(file)
        numbers = memoryview(self._sorted).cast("Q")
        self._keys, self._values = numbers[: len(numbers) // 2], numbers[len(numbers) // 2 :]
        self._newest = {}


class DigestSet:
    """Content hashes by their first 64 bits. Two may be taken for one, which at worst keeps a file too many.

    Args:
        folder: as for CompactMap.
    """

    def __init__(self, folder: Path | None = None) -> None:
        self._known = CompactMap(folder)

    def __contains__(self, digest: object) -> bool:
        return isinstance(digest, str) and self._known.find(_first_bits(digest)) is not None

    def add(self, digest: str) -> None:
        """Remember a digest of at least 16 hex digits."""
        bits = _first_bits(digest)
        if self._known.find(bits) is None:
            self._known.add(bits, 0)


def _first_bits(digest: str) -> int:
    return int(digest[:16], 16)


class SpillFile:
    """Texts of one line on disk, found again by the number that ``add`` returned. Gone when the process ends.

    Args:
        folder: on the disk to use; the system's place for temporary files if None.
    """

    def __init__(self, folder: Path | None = None) -> None:
        self._file = _open_unlinked(folder)
        weakref.finalize(self, os.close, self._file)
        self._waiting: list[bytes] = []
        self._size = self._written = 0

    def add(self, line: str) -> int:
        """Keep a text without line breaks and return its number."""
        return self.add_all([line])[0]

    def add_all(self, lines: Sequence[str]) -> list[int]:
        """Keep several and return their numbers."""
        written = [line.encode() + b"\n" for line in lines]
        *places, self._size = accumulate(map(len, written), initial=self._size)
        self._waiting += written
        if self._size - self._written >= _MAX_WAITING_BYTES:
            self._flush()
        return places

    def read(self, place: int) -> str:
        """Return the text of that number."""
        self._flush()
        found = b""
        while b"\n" not in found:
            found += os.pread(self._file, _READ_BYTES, place + len(found))
        return found.partition(b"\n")[0].decode()

    def _flush(self) -> None:
        _write_all(self._file, b"".join(self._waiting))
        self._waiting, self._written = [], self._size


class RowFile(Generic[Key]):
    """Rows of 64-bit numbers, kept apart by key, in the order they were added; memory holds the last few of each key.

    Args:
        num_columns: numbers in a row.
        folder: on the disk to use; the system's place for temporary files if None.
    """

    def __init__(self, num_columns: int, folder: Path | None = None) -> None:
        self._num_columns = num_columns
        self._file = _open_unlinked(folder)
        weakref.finalize(self, os.close, self._file)
        self._newest: dict[Key, array[int]] = {}
        self._blocks: dict[Key, array[int]] = {}
        self._num_blocks = 0
        self._maps: list[mmap.mmap] = []

    def add(self, key: Key, row: Sequence[int]) -> None:
        """Add a row behind the others of its key."""
        newest = self._newest.setdefault(key, array("Q"))
        newest.extend(row)
        if len(newest) == self._num_columns * _ROWS_PER_BLOCK:
            self._write_block(key, _columns_of(newest, self._num_columns).tobytes())
            del newest[:]

    def parts(self, key: Key) -> Iterator[NDArray[np.uint64]]:
        """Yield the key's rows in order, some thousands at a time. Shape: [columns, rows]."""
        blocks = self._blocks.get(key, ())
        for start in range(0, len(blocks), _BLOCKS_PER_PART):
            part = [self._view_block(number) for number in blocks[start : start + _BLOCKS_PER_PART]]
            yield part[0] if len(part) == 1 else np.concatenate(part, axis=1)
        if newest := self._newest.get(key):
            yield _columns_of(newest, self._num_columns)

    def let_go(self) -> None:
        """Give back the memory of what was looked at."""
        for mapped in self._maps:
            _drop_pages(mapped)

    @property
    def _block_bytes(self) -> int:
        return self._num_columns * _ROWS_PER_BLOCK * _NUMBER_BYTES

    def _write_block(self, key: Key, data: bytes) -> None:
        if self._num_blocks == len(self._maps) * _BLOCKS_PER_MAP:
            length, start = _BLOCKS_PER_MAP * self._block_bytes, self._num_blocks * self._block_bytes
            os.ftruncate(self._file, start + length)
            self._maps.append(mmap.mmap(self._file, length, access=mmap.ACCESS_READ, offset=start))
        _write_all(self._file, data)
        self._blocks.setdefault(key, array("Q")).append(self._num_blocks)
        self._num_blocks += 1

    def _view_block(self, number: int) -> NDArray[np.uint64]:
        mapped, place = divmod(number, _BLOCKS_PER_MAP)
        length = self._num_columns * _ROWS_PER_BLOCK
        block = np.frombuffer(self._maps[mapped], dtype=np.uint64, count=length, offset=place * self._block_bytes)
        return block.reshape(self._num_columns, _ROWS_PER_BLOCK)


def _columns_of(rows: "array[int]", num_columns: int) -> NDArray[np.uint64]:
    """Return a copy of rows by columns: an array cannot grow while it is looked at."""
    return np.array(rows, dtype=np.uint64).reshape(-1, num_columns).T.copy()


def _open_unlinked(folder: Path | None) -> int:
    file, path = tempfile.mkstemp(dir=folder)
    Path(path).unlink()
    return file


def _write_all(file: int, data: bytes) -> None:
    rest = memoryview(data)
    while rest:
        rest = rest[os.write(file, rest) :]


def _drop_pages(mapped: mmap.mmap) -> None:
    if hasattr(mmap, "MADV_DONTNEED"):
        mapped.madvise(mmap.MADV_DONTNEED)
