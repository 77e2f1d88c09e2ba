"""Writing files so that a kill or a full disk never leaves half of one under its final name."""

import errno
import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from stablellava.core.errors import RecordError

TEMPORARY_PREFIX = ".tmp-"
_NO_ROOM = {errno.ENOSPC, errno.EDQUOT, errno.EFBIG}


@contextmanager
def explain_disk_errors(path: Path) -> Iterator[None]:
    """Turn the disk's refusals into the user's language.

    Raises: RecordError for a full disk, a quota, a read-only or forbidden place.
    """
    try:
        yield
    except OSError as exc:
        if exc.errno in _NO_ROOM:
            message = f"no space left to write {path}: free some space and run again; finished shards are kept"
        elif isinstance(exc, PermissionError) or exc.errno == errno.EROFS:
            message = f"cannot write {path}: {exc.strerror}; choose a folder you may write to"
        else:
            raise
        raise RecordError(message) from exc


def write_atomic(path: Path, data: bytes) -> None:
    """Put the bytes at the path in one step: readers see the old file, the new one or none.

    Raises: RecordError when the disk is full or the folder may not be written to.
    """
    temporary = path.with_name(f"{TEMPORARY_PREFIX}{os.getpid()}-{path.name}")
    with explain_disk_errors(path):
        path.parent.mkdir(parents=True, exist_ok=True)
        try:
            with temporary.open("wb") as file:
                file.write(data)
                file.flush()
                os.fsync(file.fileno())
            temporary.replace(path)
        except BaseException:
            temporary.unlink(missing_ok=True)
            raise


def list_files(folder: Path) -> list[Path]:
    """Return all files below the folder, sorted; none if there is no folder."""
    return sorted(path for path in folder.rglob("*") if path.is_file())
