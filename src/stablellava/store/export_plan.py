"""Which sample goes into which file of an export, known before anything is written.

Samples of all capabilities are spread evenly over the files, each capability in its own order: readers that stream
files and shuffle a short buffer still see them mixed. Files are independent of each other, so those that are
finished cost nothing when an export goes on.
"""

from collections import defaultdict
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq
from numpy.typing import NDArray

from stablellava.core.errors import ConfigError, RecordError
from stablellava.core.ids import hash_id
from stablellava.core.record import Record
from stablellava.core.sample import Sample
from stablellava.store.images import image_path
from stablellava.store.shards import find_shard, list_shards, read_painted_samples

_PER_MEMBER = 1024
"""Bytes around a picture in a tar: a header, and the padding after the bytes."""


class FileLimits(Record):
    """When a file is full: at so many samples, or at about so many bytes, whichever comes first."""

    max_samples: int | None = None
    max_bytes: int = 500_000_000


@dataclass(frozen=True)
class ExportPlan:
    """The samples of a data folder in the order of the export, cut into files."""

    data_dir: Path
    identity: str
    """Hash of the samples and of where the files are cut."""
    shard_ids: tuple[str, ...]
    places: NDArray[np.int64]
    """[samples, 2]: which shard, and which row of it."""
    ends: tuple[int, ...]
    """Place after each file's last sample."""

    @property
    def num_samples(self) -> int:
        return len(self.places)

    def span_of(self, number: int) -> range:
        """Return the places of a file's samples."""
        return range(self.ends[number - 1] if number else 0, self.ends[number])


def plan_export(data_dir: Path, limits: FileLimits) -> ExportPlan:
    """Lay out the files; reads markers and sizes, parses no sample.

    Raises: ConfigError for a limit that is not positive; RecordError if there are no samples, or a shard or a
        picture is missing.
    """
    if limits.max_bytes < 1 or (limits.max_samples is not None and limits.max_samples < 1):
        raise ConfigError(f"a file of an export has to hold at least one sample, got {limits.model_dump()}")
    shard_ids = list_shards(data_dir)
    if not shard_ids:
        raise RecordError(f"{data_dir}: no samples there; run 'stablellava synthesize' first or check the path")
    sizes = [_size_samples(data_dir, shard_id) for shard_id in shard_ids]
    if not any(len(shard) for shard in sizes):
        raise RecordError(f"{data_dir}: every candidate was rejected, so there is nothing to export; see its card.md")
    order = _spread(shard_ids, [len(shard) for shard in sizes])
    shards = np.repeat(np.arange(len(sizes)), [len(shard) for shard in sizes])
    rows = np.concatenate([np.arange(len(shard)) for shard in sizes])
    ends = _cut(np.concatenate(sizes)[order].tolist(), limits)
    digests = [_digest_of(data_dir, shard_id) for shard_id in shard_ids]
    places = np.stack([shards, rows], axis=1)[order]
    return ExportPlan(data_dir, hash_id(shard_ids, digests, ends), tuple(shard_ids), places, tuple(ends))


def count_samples(data_dir: Path) -> int:
    """Return how many accepted samples a data folder holds; 0 if it holds nothing. Raises: RecordError if damaged."""
    total = 0
    for path in (_path_of(data_dir, shard_id) for shard_id in list_shards(data_dir)):
        with _explain_torn(path):
            total += pq.read_metadata(path).num_rows
    return total


def read_planned(plan: ExportPlan, number: int) -> Iterator[Sample]:
    """Yield the samples of a file; of each capability one shard is held at a time, unparsed."""
    held: dict[str, tuple[int, pa.ChunkedArray]] = {}
    for place in plan.span_of(number):
        shard, row = (int(part) for part in plan.places[place])
        shard_id = plan.shard_ids[shard]
        path = _path_of(plan.data_dir, shard_id)
        capability = _capability_of(shard_id)
        if held.get(capability, (-1,))[0] != shard:
            with _explain_torn(path):
                held[capability] = (shard, pq.read_table(path, columns=["record"], use_threads=False)["record"])
        yield Sample.from_json(held[capability][1][row].as_py(), str(path))


def _digest_of(data_dir: Path, shard_id: str) -> str:
    manifest = find_shard(data_dir, shard_id)
    if manifest is None:
        raise RecordError(f"{data_dir}: shard {shard_id} is damaged; run synthesize again to repair it, then export")
    return manifest.samples_sha256


def _size_samples(data_dir: Path, shard_id: str) -> NDArray[np.int64]:
    """Return about how many bytes each sample takes: its pictures, and its record as a bound of the text."""
    path = _path_of(data_dir, shard_id)
    with _explain_torn(path):
        table = pq.read_table(path, columns=["images", "prompts", "record"], use_threads=False)
    if pc.any(pc.less(pc.list_value_length(table["images"]), pc.list_value_length(table["prompts"]))).as_py():
        for _ in read_painted_samples(data_dir):  # says which sample has no picture, and why
            pass
    texts = pc.binary_length(table["record"]).to_numpy().astype(np.int64)
    pictures = [
        sum(image_path(data_dir, sha256).stat().st_size + _PER_MEMBER for sha256 in shown)
        for shown in table["images"].to_pylist()
    ]
    return np.asarray(texts + np.array(pictures, dtype=np.int64) + _PER_MEMBER)


def _path_of(data_dir: Path, shard_id: str) -> Path:
    return data_dir / "shards" / f"{shard_id}.parquet"


@contextmanager
def _explain_torn(path: Path) -> Iterator[None]:
    try:
        yield
    except (OSError, pa.ArrowException, KeyError) as exc:
        raise RecordError(f"{path}: not a readable shard ({exc}); run synthesize again to repair it") from exc


def _spread(shard_ids: list[str], counts: list[int]) -> NDArray[np.int64]:
    """Return the order in which each capability's samples stand at even distances from the first to the last."""
    totals: dict[str, int] = defaultdict(int)
    for shard_id, count in zip(shard_ids, counts, strict=True):
        totals[_capability_of(shard_id)] += count
    heights = [(np.arange(total) + 0.5) / total for total in totals.values()]
    return np.argsort(np.concatenate(heights), kind="stable")


def _cut(sizes: list[int], limits: FileLimits) -> list[int]:
    ends: list[int] = []
    num_samples = num_bytes = 0
    for place, size in enumerate(sizes):
        is_full = num_bytes + size > limits.max_bytes or num_samples == limits.max_samples
        if num_samples and is_full:
            ends.append(place)
            num_samples = num_bytes = 0
        num_samples += 1
        num_bytes += size
    return [*ends, len(sizes)]


def _capability_of(shard_id: str) -> str:
    return shard_id.partition("/")[0]
