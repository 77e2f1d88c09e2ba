"""Beside each shard, what a run that goes on has to know of it, so that it need not read the samples again.

Never needed: a summary that is missing, damaged or of other samples is made again from the shard.
"""

from pathlib import Path

import zstandard

from stablellava.store.files import write_atomic


def write_summary(data_dir: Path, shard_id: str, data: bytes) -> None:
    """Keep a shard's summary. Raises: RecordError when the disk is full."""
    write_atomic(_summary_path(data_dir, shard_id), zstandard.ZstdCompressor(write_checksum=True).compress(data))


def find_summary(data_dir: Path, shard_id: str) -> bytes | None:
    """Return what was kept for the shard; None if that is not there or damaged."""
    path = _summary_path(data_dir, shard_id)
    try:
        return zstandard.ZstdDecompressor().decompress(path.read_bytes())
    except (FileNotFoundError, zstandard.ZstdError):
        return None


def _summary_path(data_dir: Path, shard_id: str) -> Path:
    return data_dir / "summaries" / f"{shard_id}.json.zst"
