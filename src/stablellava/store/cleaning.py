"""Removing what interrupted runs left behind."""

import shutil
from collections.abc import Container
from pathlib import Path

from stablellava.store.files import TEMPORARY_PREFIX, list_files


def journal_path(data_dir: Path, shard_id: str) -> Path:
    """Return where the journal of an unfinished shard lies."""
    return data_dir / "journal" / f"{shard_id}.jsonl"


def remove_leftovers(data_dir: Path, used_images: Container[str]) -> int:
    """Delete journals, temporary files and pictures that no record names; return how many pictures went."""
    shutil.rmtree(data_dir / "journal", ignore_errors=True)
    for path in list_files(data_dir):
        if path.name.startswith(TEMPORARY_PREFIX):
            path.unlink()
    orphans = [path for path in list_files(data_dir / "images") if path.stem not in used_images]
    for path in orphans:
        path.unlink()
        if not any(path.parent.iterdir()):
            path.parent.rmdir()
    return len(orphans)
