"""What a data folder was made from, and what is in it once it is complete."""

import fcntl
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from stablellava.core.errors import RecordError
from stablellava.core.ids import hash_id
from stablellava.core.record import Record
from stablellava.core.sample import ShardManifest
from stablellava.store.files import explain_disk_errors, write_atomic
from stablellava.store.shards import list_shards

DATA_SCHEMA_VERSION = 1
"""Raised whenever the same settings would give other bytes."""
_LOCK_NAME = ".lock"


class CapabilityCounts(Record):
    """What became of one capability's candidates."""

    accepted: int
    rejected: dict[str, int] = {}
    """Reason -> candidates."""


class DataManifest(Record):
    """One per data folder. ``inputs`` is everything that has a say in the data; the fingerprint is its hash."""

    schema_version: int = DATA_SCHEMA_VERSION
    fingerprint: str
    inputs: dict[str, Any]
    complete: bool = False
    attribution: str = ""
    """Licence line owed to the painter's material."""
    counts: dict[str, CapabilityCounts] = {}
    unfilled: dict[str, str] = {}
    """Capability -> why it has fewer samples than asked for."""
    shards: tuple[ShardManifest, ...] = ()


def manifest_path(data_dir: Path) -> Path:
    """Return where the manifest of a data folder lies."""
    return data_dir / "manifest.json"


def read_manifest(data_dir: Path) -> DataManifest:
    """Return the manifest. Raises: RecordError if there is none."""
    path = manifest_path(data_dir)
    if not path.is_file():
        raise RecordError(f"{data_dir}: no manifest.json; name the data folder of a run")
    return DataManifest.from_json(path.read_bytes(), str(path))


def write_manifest(data_dir: Path, manifest: DataManifest) -> None:
    """Write the manifest in one step."""
    write_atomic(manifest_path(data_dir), manifest.to_json() + b"\n")


def holds_data(data_dir: Path) -> bool:
    """Say whether anything was made there; a start that failed before its first shard leaves a manifest alone."""
    return bool(list_shards(data_dir)) or any((data_dir / "pools").glob("*/*"))


def open_manifest(data_dir: Path, inputs: Mapping[str, Any], attribution: str) -> DataManifest:
    """Start or go on with a data folder.

    Raises: RecordError if the folder holds data made from other inputs; names those that differ.
    """
    manifest = DataManifest(fingerprint=hash_id(dict(inputs)), inputs=dict(inputs), attribution=attribution)
    if not manifest_path(data_dir).is_file():
        if list_shards(data_dir):
            raise RecordError(f"{data_dir}: holds shards but no manifest.json; choose an empty folder")
        write_manifest(data_dir, manifest)
        return manifest
    existing = read_manifest(data_dir)
    if existing.fingerprint == manifest.fingerprint:
        return existing
    if not holds_data(data_dir):
        write_manifest(data_dir, manifest)
        return manifest
    differing = ", ".join(_differences(existing.inputs, manifest.inputs)) or "the order of fields"
    raise RecordError(
        f"{data_dir} holds data with fingerprint {existing.fingerprint[:12]}, these settings make "
        f"{manifest.fingerprint[:12]}; different: {differing}. Choose another run folder, or delete this one"
    )


@contextmanager
def lock_folder(data_dir: Path) -> Iterator[None]:
    """Keep a second process out of the folder; the lock dies with the process that holds it.

    Raises: RecordError if another process is at work there.
    """
    path = data_dir / _LOCK_NAME
    with explain_disk_errors(path):
        data_dir.mkdir(parents=True, exist_ok=True)
        file = path.open("w")
    with file:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError as exc:
            raise RecordError(f"{data_dir}: another process is writing there; wait for it or stop it") from exc
        try:
            yield
        finally:
            path.unlink(missing_ok=True)


def _differences(old: Mapping[str, Any], new: Mapping[str, Any], prefix: str = "") -> list[str]:
    found: list[str] = []
    for key in sorted({*old, *new}):
        before, after = old.get(key), new.get(key)
        if isinstance(before, Mapping) and isinstance(after, Mapping):
            found.extend(_differences(before, after, f"{prefix}{key}."))
        elif before != after:
            found.append(f"{prefix}{key} ({_short(before)} -> {_short(after)})")
    return found


def _short(value: Any) -> str:
    text = str(value)
    return text if len(text) <= 24 else text[:21] + "..."
