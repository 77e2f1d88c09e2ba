"""Counting and deleting what a response cache holds, also beside runs that use it."""

import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from stablellava.backends.response_cache import explain_errors, open_database

_ROWS_PER_DELETE = 1_000


@dataclass(frozen=True, slots=True)
class CacheShare:
    """What the cache holds of one model."""

    backend: str
    model: str
    num_answers: int
    size_bytes: int
    oldest_s: int
    """Seconds since 1970."""
    newest_s: int


class CacheUpkeep:
    """Of one cache; close it when done.

    Raises: RecordError when the file cannot be opened or is something else.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        self._connection = open_database(path)

    def stats(self) -> list[CacheShare]:
        """Return what is kept per backend and model; reads the whole file. Raises: RecordError."""
        with explain_errors(self.path, "read"):
            rows = self._connection.execute(
                "SELECT backend, model, COUNT(*), SUM(LENGTH(body)), MIN(created_s), MAX(created_s) "
                "FROM answers GROUP BY backend, model ORDER BY backend, model"
            ).fetchall()
        return [CacheShare(*row) for row in rows]

    def prune(
        self, older_than_s: float | None = None, model: str | None = None, max_size_bytes: int | None = None
    ) -> int:
        """Delete answers older than so many seconds, or of a model, or the oldest above a size; return how many.

        Where age and model are both given, an answer must be both.

        Raises: RecordError (full disk).
        """
        conditions: list[str] = []
        values: list[Any] = []
        if older_than_s is not None:
            conditions.append("created_s < ?")
            values.append(time.time() - older_than_s)
        if model is not None:
            conditions.append("model = ?")
            values.append(model)
        num_deleted = 0
        with explain_errors(self.path, "write"):
            while conditions and (num_rows := self._delete_oldest(" AND ".join(conditions), values)):
                num_deleted += num_rows
            while max_size_bytes is not None and self.size_bytes > max_size_bytes:
                num_rows = self._delete_oldest("1", [])
                if not num_rows:
                    break
                num_deleted += num_rows
            self._connection.executescript("PRAGMA incremental_vacuum")  # execute() would free one page
            self._connection.execute("PRAGMA wal_checkpoint(TRUNCATE)").fetchall()
        return num_deleted

    @property
    def size_bytes(self) -> int:
        """Bytes in use on disk, free pages not counted."""
        (pages,), (free,), (page_bytes,) = (
            self._connection.execute(f"PRAGMA {name}").fetchone()
            for name in ("page_count", "freelist_count", "page_size")
        )
        return int((pages - free) * page_bytes)

    def close(self) -> None:
        """Close the file."""
        self._connection.close()

    def _delete_oldest(self, condition: str, values: list[Any]) -> int:
        """Delete the oldest rows that fit, some at a time, so that no other process waits long; return how many."""
        oldest = f"SELECT position FROM answers WHERE {condition} ORDER BY position LIMIT {_ROWS_PER_DELETE}"  # noqa: S608
        with self._connection:
            return self._connection.execute(f"DELETE FROM answers WHERE position IN ({oldest})", values).rowcount  # noqa: S608
