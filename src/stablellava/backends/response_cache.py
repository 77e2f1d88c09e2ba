"""Answers that were paid for, kept on disk as they came: a changed parser or another run reads them again.

One sqlite file in WAL mode: no server, safe when a process is killed, shared by several processes on one machine
(not over a network file system). Answers are written in groups by one thread; look-ups are a read of one row.
"""

import asyncio
import sqlite3
import time
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import zstandard

from stablellava.core.errors import RecordError

CACHE_FILE = "responses.sqlite"
"""Name of the file in the user's cache folder."""
_SCHEMA_VERSION = 1
_SCHEMA = """
CREATE TABLE IF NOT EXISTS answers (
    position INTEGER PRIMARY KEY,
    key BLOB NOT NULL UNIQUE,
    backend TEXT NOT NULL,
    model TEXT NOT NULL,
    created_s INTEGER NOT NULL,
    body BLOB NOT NULL
);
CREATE TABLE IF NOT EXISTS batches (
    tag TEXT PRIMARY KEY,
    owner TEXT NOT NULL,
    batch_id TEXT NOT NULL,
    requests BLOB NOT NULL
);
"""
_LOOKUP_SIZES = (1, 4, 16, 64)
_GROUP_SECONDS = 0.005
_BUSY_SECONDS = 60.0
_WAL_BYTES = 64 << 20
_INSERT = "INSERT OR IGNORE INTO answers (key, backend, model, created_s, body) VALUES (?, ?, ?, ?, ?)"


@dataclass(frozen=True, slots=True)
class CachedAnswer:
    """An answer to be kept: 32 hex digits that name it, who gave it, and its bytes."""

    key: str
    backend: str
    model: str
    body: bytes


@dataclass(frozen=True, slots=True)
class OpenBatch:
    """A batch of requests that a provider answers within hours.

    Attributes:
        tag: names it before the provider does.
        owner: hash of the chat model it belongs to.
        batch_id: the provider's name for it; empty until it gave one.
        requests: JSON of what is needed to read its answers.
    """

    tag: str
    owner: str
    batch_id: str
    requests: bytes


@dataclass
class _Group:
    """Answers that are written together, and who waits until they are on disk."""

    answers: list[CachedAnswer] = field(default_factory=list)
    waiting: list[asyncio.Future[None]] = field(default_factory=list)


class ResponseCache:
    """Keeps answers by key. Belongs to the process that opened it: open another one after a fork.

    Raises: RecordError when the file cannot be opened or is something else.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        self._writer = open_database(path)
        self._reader = open_database(path)
        self._thread = ThreadPoolExecutor(1, thread_name_prefix="response-cache")
        self._compressor = zstandard.ZstdCompressor(level=3)
        self._decompressor = zstandard.ZstdDecompressor()
        self._group: _Group | None = None
        self._lookups: dict[str, list[asyncio.Future[bytes | None]]] = {}

    def find(self, key: str) -> bytes | None:
        """Return the answer of that key, or None; takes some 10 microseconds. Raises: RecordError."""
        with explain_errors(self.path, "read"):
            row = self._reader.execute("SELECT body FROM answers WHERE key = ?", (bytes.fromhex(key),)).fetchone()
        return self._decompressor.decompress(row[0]) if row else None

    async def find_soon(self, key: str) -> bytes | None:
        """Return the same; what is asked for in one turn of the loop is looked up together.

        Every query lets other threads run and then waits its turn behind them, which costs more than the query.
        """
        loop = asyncio.get_running_loop()
        if not self._lookups:
            loop.call_soon(self._look_up)
        found: asyncio.Future[bytes | None] = loop.create_future()
        self._lookups.setdefault(key, []).append(found)
        return await found

    def _look_up(self) -> None:
        lookups, self._lookups = self._lookups, {}
        keys = list(lookups)
        try:
            with explain_errors(self.path, "read"):
                bodies = self._select([bytes.fromhex(key) for key in keys])
        except RecordError as exc:
            _settle([future for waiting in lookups.values() for future in waiting], exc)
            return
        for key, waiting in lookups.items():
            body = bodies.get(bytes.fromhex(key))
            _settle(waiting, None, self._decompressor.decompress(body) if body is not None else None)

    def _select(self, keys: list[bytes]) -> dict[bytes, bytes]:
        found: dict[bytes, bytes] = {}
        for start in range(0, len(keys), _LOOKUP_SIZES[-1]):
            chunk: list[bytes | None] = list(keys[start : start + _LOOKUP_SIZES[-1]])
            # Few different lengths, so that the statements stay prepared.
            size = next(size for size in _LOOKUP_SIZES if size >= len(chunk))
            chunk += [None] * (size - len(chunk))
            places = ",".join("?" * size)
            found.update(self._reader.execute(f"SELECT key, body FROM answers WHERE key IN ({places})", chunk))  # noqa: S608
        return found

    async def store(self, answer: CachedAnswer) -> None:
        """Return when the answer would survive the death of this process; an answer already there stays.

        Raises: RecordError when it cannot be written.
        """
        loop = asyncio.get_running_loop()
        if self._group is None:
            self._group = _Group()
            loop.call_later(_GROUP_SECONDS, self._write_group, loop)
        written = loop.create_future()
        self._group.answers.append(answer)
        self._group.waiting.append(written)
        await written

    def store_now(self, answers: Sequence[CachedAnswer]) -> None:
        """Do the same for several answers, outside an event loop."""
        self._thread.submit(self._write, answers).result()

    def keep_batch(self, batch: OpenBatch) -> None:
        """Remember a batch, or what became known of it, before anybody waits for it."""
        requests = self._compressor.compress(batch.requests)
        self._change(
            "INSERT OR REPLACE INTO batches VALUES (?, ?, ?, ?)", batch.tag, batch.owner, batch.batch_id, requests
        )

    def drop_batch(self, tag: str) -> None:
        """Forget a batch whose answers are kept."""
        self._change("DELETE FROM batches WHERE tag = ?", tag)

    def open_batches(self, owner: str) -> list[OpenBatch]:
        """Return the batches of an owner that were not collected yet."""
        with explain_errors(self.path, "read"):
            rows = self._reader.execute("SELECT * FROM batches WHERE owner = ? ORDER BY tag", (owner,)).fetchall()
        return [
            OpenBatch(tag, owner, batch_id, self._decompressor.decompress(blob)) for tag, owner, batch_id, blob in rows
        ]

    def close(self) -> None:
        """Finish writing and close the file."""
        self._thread.shutdown(wait=True)
        self._reader.close()
        self._writer.close()

    def _write_group(self, loop: asyncio.AbstractEventLoop) -> None:
        group, self._group = self._group, None
        assert group is not None
        written = loop.run_in_executor(self._thread, self._write, group.answers)
        written.add_done_callback(lambda future: _settle(group.waiting, future.exception()))

    def _write(self, answers: Sequence[CachedAnswer]) -> None:
        now = int(time.time())
        rows = [
            (bytes.fromhex(answer.key), answer.backend, answer.model, now, self._compressor.compress(answer.body))
            for answer in answers
        ]
        with explain_errors(self.path, "write"), self._writer:
            self._writer.executemany(_INSERT, rows)

    def _change(self, statement: str, *values: Any) -> None:
        def run() -> None:
            with explain_errors(self.path, "write"), self._writer:
                self._writer.execute(statement, values)

        self._thread.submit(run).result()


def open_database(path: Path) -> sqlite3.Connection:
    """Return a connection to a cache's file, which is made if it is not there.

    Each is used by one thread at a time, though not always by the one that opened it.

    Raises: RecordError when the file cannot be opened or is something else.
    """
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        return _connect(path)
    except (OSError, sqlite3.Error) as exc:
        raise RecordError(f"cannot open the response cache {path}: {exc}. Delete it, or choose another place") from exc


@contextmanager
def explain_errors(path: Path, verb: str) -> Iterator[None]:
    """Turn sqlite's errors into a RecordError that names the cache and what was done ("read", "write")."""
    try:
        yield
    except sqlite3.Error as exc:
        raise RecordError(f"cannot {verb} the response cache {path}: {exc}") from exc


def _connect(path: Path) -> sqlite3.Connection:
    connection = sqlite3.connect(path, timeout=_BUSY_SECONDS, check_same_thread=False)
    version = connection.execute("PRAGMA user_version").fetchone()[0]
    if version not in (0, _SCHEMA_VERSION):
        raise RecordError(f"the response cache {path} was written by another version ({version}): delete it")
    connection.execute("PRAGMA auto_vacuum = INCREMENTAL")
    connection.execute("PRAGMA journal_mode = WAL")
    connection.execute("PRAGMA synchronous = NORMAL")  # in WAL: loses nothing when the process dies
    connection.execute(f"PRAGMA journal_size_limit = {_WAL_BYTES}")
    connection.executescript(_SCHEMA)
    if not version:
        connection.execute(f"PRAGMA user_version = {_SCHEMA_VERSION}")
    return connection


def _settle(waiting: Sequence[asyncio.Future[Any]], error: BaseException | None, result: Any = None) -> None:
    """Tell all who still wait."""
    for future in waiting:
        if future.done():
            continue
        if error is None:
            future.set_result(result)
        else:
            future.set_exception(error)
