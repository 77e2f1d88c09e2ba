"""Writing the files of an export one after the other, each whole or not at all.

What is finished stands in ``.export/files.jsonl``: an export that was stopped goes on with the first file that is
not there, and ends in the same bytes.
"""

import hashlib
import os
from collections.abc import Callable, Iterator, Sequence
from io import BufferedRandom
from pathlib import Path
from typing import IO

from stablellava.core.errors import RecordError
from stablellava.core.record import Record
from stablellava.core.sample import Sample
from stablellava.store.export_plan import ExportPlan, read_planned
from stablellava.store.files import TEMPORARY_PREFIX, explain_disk_errors, write_atomic
from stablellava.store.journal import ShardJournal
from stablellava.store.manifest import lock_folder

STATE_DIR = ".export"

Progress = Callable[[int, int, int], None]
"""Called with samples done, samples in all, and bytes written by this call."""
WriteFile = Callable[[IO[bytes], int, Iterator[Sample]], int]
"""Writes samples, the first of which has the given place, to a file; returns how many pictures they show."""


class ExportedFile(Record):
    """A finished file of an export."""

    name: str
    num_samples: int
    num_images: int
    size_bytes: int
    sha256: str


class _ExportState(Record):
    """What the files of a folder are the export of."""

    form: str
    identity: str
    version: int = 1
    """Raised whenever the same samples would give other bytes, so that no export is half of one and half of another."""


class FileExport:
    """The files of one plan in one folder. Use ``write_missing`` once."""

    def __init__(self, plan: ExportPlan, out_dir: Path, form: str, names: Sequence[str]) -> None:
        self._plan = plan
        self._out_dir = out_dir
        self._names = names
        self._state = _ExportState(form=form, identity=plan.identity)
        self._num_done = self._num_bytes = 0
        self._progress: Progress | None = None
        self.num_written = 0

    def write_missing(self, write_file: WriteFile, progress: Progress | None = None) -> list[ExportedFile]:
        """Write what is not there yet and return all files, in order.

        Raises: RecordError if another process writes there, the folder holds another export, or the disk is full.
        """
        self._progress = progress
        with lock_folder(self._out_dir):
            self._claim()
            journal = ShardJournal(self._out_dir / STATE_DIR / "files.jsonl")
            finished = {name: _find_finished(self._out_dir, journal, name) for name in self._names}
            self._num_done = sum(file.num_samples for file in finished.values() if file)
            files = []
            for number, name in enumerate(self._names):
                file = finished[name]
                files.append(file or self._write(number, name, write_file, journal))
            sums = "".join(f"{file.sha256}  {file.name}\n" for file in files)
            write_atomic(self._out_dir / "SHA256SUMS", sums.encode())
        return files

    def _claim(self) -> None:
        path = self._out_dir / STATE_DIR / "state.json"
        if path.is_file():
            if _ExportState.from_json(path.read_bytes(), str(path)) == self._state:
                return
            raise RecordError(
                f"{self._out_dir} holds an export of other samples, in another form or cut into other files; "
                "choose another folder with --out, or delete this one"
            )
        taken = next((name for name in self._names if (self._out_dir / name).exists()), None)
        if taken:
            raise RecordError(
                f"{self._out_dir / taken} is there and not from an export; choose another folder with --out"
            )
        write_atomic(path, self._state.to_json() + b"\n")

    def _write(self, number: int, name: str, write_file: WriteFile, journal: ShardJournal) -> ExportedFile:
        path = self._out_dir / name
        temporary = path.with_name(f"{TEMPORARY_PREFIX}{path.name}")
        span = self._plan.span_of(number)
        with explain_disk_errors(path):
            path.parent.mkdir(parents=True, exist_ok=True)
            try:
                with temporary.open("w+b") as file:
                    num_images = write_file(file, span.start, self._count(number, file))
                    written = _describe(file, name, len(span), num_images)
                    os.fsync(file.fileno())
                # Noted before it has its name: a kill in between costs this file, never leaves one unknown.
                if journal.find(name) != written.model_dump(mode="json"):
                    journal.add([(name, written.model_dump(mode="json"))])
                temporary.replace(path)
            except BaseException:
                temporary.unlink(missing_ok=True)
                raise
        self.num_written += 1
        self._num_bytes += written.size_bytes
        return written

    def _count(self, number: int, file: IO[bytes]) -> Iterator[Sample]:
        for sample in read_planned(self._plan, number):
            yield sample
            self._num_done += 1
            if self._progress is not None:
                self._progress(self._num_done, self._plan.num_samples, self._num_bytes + file.tell())


def _describe(file: BufferedRandom, name: str, num_samples: int, num_images: int) -> ExportedFile:
    size = file.seek(0, os.SEEK_END)
    file.seek(0)
    sha256 = hashlib.file_digest(file, "sha256").hexdigest()
    return ExportedFile(name=name, num_samples=num_samples, num_images=num_images, size_bytes=size, sha256=sha256)


def _find_finished(out_dir: Path, journal: ShardJournal, name: str) -> ExportedFile | None:
    known = journal.find(name)
    if known is None:
        return None
    file = ExportedFile.model_validate(known)
    path = out_dir / name
    return file if path.is_file() and path.stat().st_size == file.size_bytes else None
