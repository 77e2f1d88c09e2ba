"""Memory for millions of entries: some ten bytes each, and the rest in an unlinked file."""

import os
import tempfile
import weakref
from array import array
from bisect import bisect_left
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

_MAX_BUFFERED = 1 << 12
_MAX_WAITING_BYTES = 1 << 16
_READ_BYTES = 1024


class CompactMap:
    """64-bit keys to 64-bit values in 16 bytes an entry: sorted arrays, and a small dict of the newest."""

    def __init__(self) -> None:
        self._keys: NDArray[np.uint64] = np.empty(0, dtype=np.uint64)
        self._values: NDArray[np.uint64] = np.empty(0, dtype=np.uint64)
        self._view = memoryview(self._keys)  # type: ignore[arg-type]  # numpy arrays are buffers
        self._newest: dict[int, int] = {}

    def __len__(self) -> int:
        return len(self._keys) + len(self._newest)

    def find(self, key: int) -> int | None:
        """Return the key's value, or None."""
        if key in self._newest:
            return self._newest[key]
        # numpy's search lets other threads run, and then waits its turn behind them.
        place = bisect_left(self._view, key)
        is_there = place < len(self._keys) and int(self._keys[place]) == key
        return int(self._values[place]) if is_there else None

    def add(self, key: int, value: int) -> None:
        """Add a key that is not there yet."""
        self._newest[key] = value
        if len(self._newest) >= _MAX_BUFFERED:
            self._merge()

    def _merge(self) -> None:
        keys = np.fromiter(self._newest.keys(), dtype=np.uint64, count=len(self._newest))
        values = np.fromiter(self._newest.values(), dtype=np.uint64, count=len(self._newest))
        order = np.argsort(keys)
        places = np.searchsorted(self._keys, keys[order])
        self._keys = np.insert(self._keys, places, keys[order])
        self._values = np.insert(self._values, places, values[order])
        self._view = memoryview(self._keys)  # type: ignore[arg-type]  # numpy arrays are buffers
        self._newest = {}


class DigestSet:
    """Content hashes by their first 64 bits. Two may be taken for one, which at worst keeps a file too many."""

    def __init__(self) -> None:
        self._known = CompactMap()

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
        self._file, path = tempfile.mkstemp(dir=folder)
        Path(path).unlink()
        weakref.finalize(self, os.close, self._file)
        self._waiting: list[bytes] = []
        self._size = self._written = 0

    def add(self, line: str) -> int:
        """Keep a text without line breaks and return its number."""
        place = self._size
        self._waiting.append(line.encode() + b"\n")
        self._size += len(self._waiting[-1])
        if self._size - self._written >= _MAX_WAITING_BYTES:
            self._flush()
        return place

    def read(self, place: int) -> str:
        """Return the text of that number."""
        self._flush()
        found = b""
        while b"\n" not in found:
            found += os.pread(self._file, _READ_BYTES, place + len(found))
        return found.partition(b"\n")[0].decode()

    def _flush(self) -> None:
        waiting = b"".join(self._waiting)
        while waiting:
            waiting = waiting[os.write(self._file, waiting) :]
        self._waiting, self._written = [], self._size


def view(numbers: "array[int]") -> NDArray[np.uint64]:
    """Return the numbers of an ``array("Q")`` without a copy; drop it before the array grows."""
    return np.frombuffer(numbers, dtype=np.uint64)
