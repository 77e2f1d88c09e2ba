"""What a run has to know of a committed shard: counts, and what later samples are compared with."""

from collections import Counter
from collections.abc import Sequence
from pathlib import Path

from stablellava.core.errors import RecordError
from stablellava.core.record import Record
from stablellava.core.sample import Rejected, Sample, ShardManifest
from stablellava.store.summaries import find_summary, write_summary
from stablellava.synthesis.verifying import AdmittedPair

Outcome = Sample | Rejected


class ShardSummary(Record):
    """Of one shard; of its samples one entry each in ``keywords`` and ``pairs``, in planned order."""

    samples_sha256: str
    rejects_sha256: str
    """The shard it is of, as in its marker."""
    keywords: tuple[str, ...]
    pairs: tuple[tuple[int, int, int, int, int, str], ...]
    """The fields of AdmittedPair."""
    rejected_keywords: dict[str, int]
    reasons: dict[str, int]
    settings: dict[str, int]
    attributes: dict[str, dict[str, int]]
    images: tuple[str, ...]
    """Content hashes of all pictures that samples and rejects name."""


def summarize(manifest: ShardManifest, outcomes: Sequence[Outcome], pairs: Sequence[AdmittedPair]) -> ShardSummary:
    """Return the summary of a shard; ``pairs`` are those of its samples."""
    samples = [outcome for outcome in outcomes if isinstance(outcome, Sample)]
    rejects = [outcome for outcome in outcomes if isinstance(outcome, Rejected)]
    attributes: dict[str, dict[str, int]] = {}
    for (name, value), count in Counter(one for sample in samples for one in sample.draft.attributes).items():
        attributes.setdefault(name, {})[value] = count
    return ShardSummary(
        samples_sha256=manifest.samples_sha256,
        rejects_sha256=manifest.rejects_sha256,
        keywords=tuple(sample.draft.keyword for sample in samples),
        pairs=tuple(pairs),
        rejected_keywords=Counter(rejected.keyword for rejected in rejects),
        reasons=Counter(rejected.reason for rejected in rejects),
        settings=Counter(sample.draft.setting for sample in samples),
        attributes=attributes,
        images=tuple(sorted(images_of(outcomes))),
    )


def keep_summary(data_dir: Path, shard_id: str, summary: ShardSummary) -> None:
    """Write a summary beside its shard. Raises: RecordError (full disk)."""
    write_summary(data_dir, shard_id, summary.to_json())


def load_summary(data_dir: Path, manifest: ShardManifest) -> ShardSummary | None:
    """Return what was kept of the shard; None if it has to be made again."""
    data = find_summary(data_dir, manifest.shard_id)
    if data is None:
        return None
    try:
        summary = ShardSummary.from_json(data)
    except RecordError:
        return None  # of another version
    is_of_it = (summary.samples_sha256, summary.rejects_sha256) == (manifest.samples_sha256, manifest.rejects_sha256)
    return summary if is_of_it else None


def images_of(outcomes: Sequence[Outcome]) -> set[str]:
    """Return the content hashes of all pictures that the outcomes name."""
    return {painting.sha256 for outcome in outcomes for painting in outcome.paintings}
