"""What is in a shard, without reading its records: enough to find a page among a million samples."""

from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq

from stablellava.core.errors import RecordError
from stablellava.core.sample import ShardManifest


def read_num_samples(data_dir: Path, shard_id: str) -> int:
    """Return how many samples a committed shard holds. Raises: RecordError if its marker is damaged."""
    marker = data_dir / "shards" / f"{shard_id}.json"
    return ShardManifest.from_json(marker.read_bytes(), str(marker)).num_samples


def read_reject_reasons(data_dir: Path, shard_id: str) -> list[str]:
    """Return why each candidate of a committed shard was dropped, in order. Raises: RecordError if it is damaged."""
    path = data_dir / "rejects" / f"{shard_id}.parquet"
    try:
        return list(pq.read_table(path, columns=["reason"], use_threads=False)["reason"].to_pylist())
    except (OSError, pa.ArrowException, KeyError) as exc:
        raise RecordError(f"{path}: not a readable shard ({exc}); run synthesize again to repair it") from exc
