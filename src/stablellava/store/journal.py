"""What an unfinished shard has already paid for, so that a resumed run asks no model twice.

One JSON object per line: a key and a record. The last line may be torn by a kill and is then dropped.
Journals are deleted when the run is complete; nothing in them outlives it.
"""

import os
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import orjson

from stablellava.store.files import explain_disk_errors


class ShardJournal:
    """Results of one shard by key, on disk as soon as they are added."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._entries = _read(path)

    def find(self, key: str) -> dict[str, Any] | None:
        """Return what was added under the key, or None."""
        return self._entries.get(key)

    def add(self, entries: Sequence[tuple[str, dict[str, Any]]]) -> None:
        """Append all entries in one write.

        Raises: RecordError when the disk is full.
        """
        if not entries:
            return
        lines = b"".join(orjson.dumps({"key": key, "value": value}) + b"\n" for key, value in entries)
        with explain_disk_errors(self._path):
            self._path.parent.mkdir(parents=True, exist_ok=True)
            with self._path.open("ab") as file:
                file.write(lines)
                file.flush()
                os.fsync(file.fileno())
        self._entries.update(entries)


def _read(path: Path) -> dict[str, dict[str, Any]]:
    if not path.exists():
        return {}
    whole, _, torn = path.read_bytes().rpartition(b"\n")
    if torn:
        # Later lines must not be glued to a torn one.
        with path.open("r+b") as file:
            file.truncate(len(whole) + 1 if whole else 0)
    parsed = (orjson.loads(line) for line in whole.split(b"\n") if line)
    return {entry["key"]: entry["value"] for entry in parsed}
