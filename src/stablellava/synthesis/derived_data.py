"""Writing data that were made from other data: shards, pictures, counts, card, manifest."""

from collections import Counter
from collections.abc import Iterable, Sequence
from pathlib import Path

from stablellava.capabilities import list_capabilities, load_capability
from stablellava.core.sample import Rejected, Sample, ShardManifest
from stablellava.store.card import write_card
from stablellava.store.images import link_image
from stablellava.store.manifest import CapabilityCounts, DataManifest, write_manifest
from stablellava.store.shards import commit_shard
from stablellava.synthesis.coverage import CoverageMeter

Outcome = Sample | Rejected


def commit_data(
    source_dir: Path, out_dir: Path, manifest: DataManifest, shards: Iterable[tuple[str, Sequence[Outcome]]]
) -> list[Outcome]:
    """Write shards by id with their pictures, then card and manifest; return all outcomes in order.

    Raises: RecordError if a picture is missing or the disk is full.
    """
    outcomes: list[Outcome] = []
    markers: list[ShardManifest] = []
    for shard_id, of_shard in shards:
        for outcome in of_shard:
            for painting in outcome.paintings:
                link_image(source_dir, out_dir, painting.sha256)
        markers.append(commit_shard(out_dir, shard_id, of_shard))
        outcomes.extend(of_shard)
    counts = _count_by_capability(outcomes)
    manifest = manifest.model_copy(update={"complete": True, "counts": counts, "shards": tuple(markers)})
    write_card(out_dir, manifest, _coverage(outcomes, counts))
    write_manifest(out_dir, manifest)
    return outcomes


def _count_by_capability(outcomes: Sequence[Outcome]) -> dict[str, CapabilityCounts]:
    accepted = Counter(outcome.draft.capability for outcome in outcomes if isinstance(outcome, Sample))
    rejected: dict[str, Counter[str]] = {}
    for outcome in outcomes:
        if isinstance(outcome, Rejected):
            rejected.setdefault(outcome.capability, Counter())[outcome.reason] += 1
    names = sorted({*accepted, *rejected})
    return {
        name: CapabilityCounts(accepted=accepted[name], rejected=dict(rejected.get(name, Counter()).most_common()))
        for name in names
    }


def _coverage(outcomes: Sequence[Outcome], names: Iterable[str]) -> dict[str, dict[str, int]]:
    known = set(list_capabilities())
    meters = {name: CoverageMeter(load_capability(name)) for name in names if name in known}
    for outcome in outcomes:
        if isinstance(outcome, Sample) and outcome.draft.capability in meters:
            meters[outcome.draft.capability].add(outcome)
    return {name: meter.read().keywords for name, meter in meters.items()}
