"""Writing data that were made from other data: shards, pictures, counts, card, manifest."""

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path

from stablellava.core.capability import Capability
from stablellava.core.sample import Rejected, Sample
from stablellava.store.card import write_card
from stablellava.store.images import link_image
from stablellava.store.manifest import CapabilityCounts, DataManifest, write_manifest
from stablellava.store.shards import commit_shard
from stablellava.synthesis.coverage import CoverageMeter

Outcome = Sample | Rejected


def commit_data(
    source_dir: Path,
    out_dir: Path,
    manifest: DataManifest,
    shards: Iterable[tuple[str, Sequence[Outcome]]],
    capabilities: Mapping[str, Capability],
) -> None:
    """Write shards by id with their pictures, then card and manifest; one shard is held at a time.

    The card counts the keywords of ``capabilities`` (by name).

    Raises: RecordError if a picture is missing or the disk is full.
    """
    counts, markers = _Counts(capabilities), []
    for shard_id, of_shard in shards:
        for outcome in of_shard:
            for painting in outcome.paintings:
                link_image(source_dir, out_dir, painting.sha256)
        markers.append(commit_shard(out_dir, shard_id, of_shard))
        counts.add(of_shard)
    by_capability = counts.by_capability()
    manifest = manifest.model_copy(update={"complete": True, "counts": by_capability, "shards": tuple(markers)})
    write_card(out_dir, manifest, counts.coverage(by_capability))
    write_manifest(out_dir, manifest)


class _Counts:
    """What manifest and card say of the outcomes."""

    def __init__(self, capabilities: Mapping[str, Capability]) -> None:
        self._accepted: Counter[str] = Counter()
        self._rejected: dict[str, Counter[str]] = {}
        self._meters = {name: CoverageMeter(capability) for name, capability in capabilities.items()}

    def add(self, outcomes: Sequence[Outcome]) -> None:
        for outcome in outcomes:
            if isinstance(outcome, Rejected):
                self._rejected.setdefault(outcome.capability, Counter())[outcome.reason] += 1
                continue
            self._accepted[outcome.draft.capability] += 1
            if meter := self._meters.get(outcome.draft.capability):
                meter.add(outcome)

    def by_capability(self) -> dict[str, CapabilityCounts]:
        return {
            name: CapabilityCounts(
                accepted=self._accepted[name], rejected=dict(self._rejected.get(name, Counter()).most_common())
            )
            for name in sorted({*self._accepted, *self._rejected})
        }

    def coverage(self, names: Iterable[str]) -> dict[str, dict[str, int]]:
        return {name: self._meters[name].read().keywords for name in names if name in self._meters}
