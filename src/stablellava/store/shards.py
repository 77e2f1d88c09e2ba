"""Samples and rejects in Parquet shards. A shard is there when its marker is.

Every row carries its whole record as canonical JSON (column ``record``); the other columns repeat what one
wants to select by. Equal outcomes give equal bytes: fixed schema, fixed compression, no times.
"""

import hashlib
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import orjson
import pyarrow as pa
import pyarrow.json
import pyarrow.parquet as pq

from stablellava.core.errors import RecordError
from stablellava.core.sample import Rejected, Sample, ShardManifest
from stablellava.store.files import write_atomic

Outcome = Sample | Rejected

_TURN = pa.struct([("speaker", pa.string()), ("text", pa.string()), ("images", pa.list_(pa.int32()))])
SAMPLE_SCHEMA = pa.schema(
    [
        ("sample_id", pa.string()),
        ("capability", pa.string()),
        ("keyword", pa.string()),
        ("setting", pa.string()),
        ("images", pa.list_(pa.string())),
        ("prompts", pa.list_(pa.string())),
        ("turns", pa.list_(_TURN)),
        ("num_repaints", pa.int32()),
        ("record", pa.string()),
    ]
)
REJECT_SCHEMA = pa.schema(
    [
        ("draft_id", pa.string()),
        ("capability", pa.string()),
        ("keyword", pa.string()),
        ("stage", pa.string()),
        ("reason", pa.string()),
        ("detail", pa.string()),
        ("record", pa.string()),
    ]
)


def commit_shard(data_dir: Path, shard_id: str, outcomes: Sequence[Outcome]) -> ShardManifest:
    """Write samples, rejects and, last, the marker. ``shard_id`` is "capability/name"."""
    samples = [outcome for outcome in outcomes if isinstance(outcome, Sample)]
    rejects = [outcome for outcome in outcomes if isinstance(outcome, Rejected)]
    sample_bytes = _to_parquet([_sample_row(sample) for sample in samples], SAMPLE_SCHEMA)
    reject_bytes = _to_parquet([_reject_row(rejected) for rejected in rejects], REJECT_SCHEMA)
    manifest = ShardManifest(
        shard_id=shard_id,
        num_samples=len(samples),
        num_rejected=len(rejects),
        samples_sha256=hashlib.sha256(sample_bytes).hexdigest(),
        rejects_sha256=hashlib.sha256(reject_bytes).hexdigest(),
    )
    write_atomic(_samples_path(data_dir, shard_id), sample_bytes)
    write_atomic(_rejects_path(data_dir, shard_id), reject_bytes)
    write_atomic(_marker_path(data_dir, shard_id), manifest.to_json() + b"\n")
    return manifest


def find_shard(data_dir: Path, shard_id: str) -> ShardManifest | None:
    """Return the marker of a committed shard whose files are as it says, or None."""
    marker = _marker_path(data_dir, shard_id)
    if not marker.exists():
        return None
    manifest = ShardManifest.from_json(marker.read_bytes(), str(marker))
    expected = (
        (_samples_path(data_dir, shard_id), manifest.samples_sha256),
        (_rejects_path(data_dir, shard_id), manifest.rejects_sha256),
    )
    is_whole = all(path.is_file() and _digest(path) == sha256 for path, sha256 in expected)
    return manifest if is_whole else None


def forget_shard(data_dir: Path, shard_id: str) -> None:
    """Take back a commit, so that the shard is made again."""
    _marker_path(data_dir, shard_id).unlink()


def list_shards(data_dir: Path) -> list[str]:
    """Return the ids of all committed shards, sorted."""
    folder = data_dir / "shards"
    return sorted(path.relative_to(folder).with_suffix("").as_posix() for path in folder.glob("*/*.json"))


def read_shard(data_dir: Path, shard_id: str) -> tuple[list[Sample], list[Rejected]]:
    """Return samples and rejects of a committed shard, each in the order they were planned."""
    samples_path, rejects_path = _samples_path(data_dir, shard_id), _rejects_path(data_dir, shard_id)
    samples = [Sample.from_json(text, str(samples_path)) for text in _read_records(samples_path)]
    rejects = [Rejected.from_json(text, str(rejects_path)) for text in _read_records(rejects_path)]
    return samples, rejects


def read_samples(data_dir: Path) -> Iterator[Sample]:
    """Yield all accepted samples below a data folder, in a fixed order.

    Raises: RecordError if there are none or a shard is damaged.
    """
    for shard_id in _known_shards(data_dir):
        path = _samples_path(data_dir, shard_id)
        for text in _read_records(path):
            yield Sample.from_json(text, str(path))


def read_painted_samples(data_dir: Path) -> Iterator[Sample]:
    """Yield all accepted samples, each of which has its pictures. Raises: as ``read_samples``; RecordError if not."""
    for sample in read_samples(data_dir):
        if len(sample.paintings) < len(sample.draft.prompts):
            raise RecordError(
                f"{data_dir}: sample {sample.sample_id} is a draft without a picture (synthesis.painter was null). "
                "Make the run anew in another folder with a painter: drafts that a chat model wrote come from the cache"
            )
        yield sample


def read_rejected(data_dir: Path) -> Iterator[Rejected]:
    """Yield all rejects below a data folder, in a fixed order. Raises: as ``read_samples``."""
    for shard_id in _known_shards(data_dir):
        path = _rejects_path(data_dir, shard_id)
        for text in _read_records(path):
            yield Rejected.from_json(text, str(path))


def _known_shards(data_dir: Path) -> list[str]:
    shard_ids = list_shards(data_dir)
    if not shard_ids:
        raise RecordError(f"{data_dir}: no samples there; run 'stablellava synthesize' first or check the path")
    return shard_ids


def _samples_path(data_dir: Path, shard_id: str) -> Path:
    return data_dir / "shards" / f"{shard_id}.parquet"


def _rejects_path(data_dir: Path, shard_id: str) -> Path:
    return data_dir / "rejects" / f"{shard_id}.parquet"


def _marker_path(data_dir: Path, shard_id: str) -> Path:
    return data_dir / "shards" / f"{shard_id}.json"


def _digest(path: Path) -> str:
    return hashlib.sha256(path.read_bytes()).hexdigest()


def _to_parquet(rows: list[dict[str, Any]], schema: pa.Schema) -> bytes:
    buffer = pa.BufferOutputStream()
    pq.write_table(_to_table(rows, schema), buffer, compression="zstd")
    return bytes(buffer.getvalue().to_pybytes())


def _to_table(rows: list[dict[str, Any]], schema: pa.Schema) -> pa.Table:
    """Return the rows as a table of one chunk.

    By way of JSON, because from_pylist is slower and imports pandas (35 MB) wherever it happens to be installed.
    """
    if not rows:
        return pa.RecordBatchReader.from_batches(schema, []).read_all()
    lines = b"\n".join(map(orjson.dumps, rows))
    read_options = pa.json.ReadOptions(use_threads=False, block_size=len(lines) + 1)
    parse_options = pa.json.ParseOptions(explicit_schema=schema, unexpected_field_behavior="error")
    return pa.json.read_json(pa.BufferReader(lines), read_options, parse_options).combine_chunks()


def _read_records(path: Path) -> list[str]:
    try:
        return list(pq.read_table(path, columns=["record"], use_threads=False)["record"].to_pylist())
    except (OSError, pa.ArrowException, KeyError) as exc:
        raise RecordError(f"{path}: not a readable shard ({exc}); run synthesize again to repair it") from exc


def _sample_row(sample: Sample) -> dict[str, Any]:
    draft = sample.draft
    return {
        "sample_id": sample.sample_id,
        "capability": draft.capability,
        "keyword": draft.keyword,
        "setting": draft.setting,
        "images": [painting.sha256 for painting in sample.paintings],
        "prompts": [prompt.text for prompt in draft.prompts],
        "turns": [turn.__dict__ for turn in draft.turns],
        "num_repaints": sample.num_repaints,
        "record": sample.to_json().decode(),
    }


def _reject_row(rejected: Rejected) -> dict[str, Any]:
    return {
        **{name: getattr(rejected, name) for name in REJECT_SCHEMA.names if name != "record"},
        "record": rejected.to_json().decode(),
    }
