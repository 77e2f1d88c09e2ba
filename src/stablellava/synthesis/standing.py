"""What stands so far in a data folder; rebuilt from committed shards when a run goes on.

Holds counts, hashes and words, never whole samples, so that it stays small beside the data.
"""

from collections import Counter
from collections.abc import Sequence
from pathlib import Path

from stablellava.core.capability import Capability, Keyword
from stablellava.core.sample import Rejected, Sample, ShardManifest
from stablellava.filters.base import Candidate
from stablellava.filters.compact import DigestSet
from stablellava.store.manifest import CapabilityCounts
from stablellava.synthesis.coverage import Coverage, CoverageMeter
from stablellava.synthesis.making import Outcome, reject
from stablellava.synthesis.planning import Tally
from stablellava.synthesis.verifying import DuplicateGate


class CapabilityStanding:
    """The part of one capability."""

    def __init__(self, capability: Capability, folder: Path) -> None:
        self.tally = Tally()
        self._capability = capability
        self._gate = DuplicateGate(folder)
        self._meter = CoverageMeter(capability)
        self._reasons: Counter[str] = Counter()

    def judge(self, outcome: Outcome) -> Outcome:
        """Return the outcome, or a reject if an admitted sample is the same pair. Ask in planned order."""
        if isinstance(outcome, Rejected):
            return outcome
        candidate = self._candidate(outcome)
        verdicts = (*outcome.verdicts, *self._gate.judge(candidate))
        if not verdicts[-1].kept:
            return reject(candidate, verdicts)
        return outcome.model_copy(update={"verdicts": verdicts})

    def admit(self, outcome: Outcome) -> None:
        """Remember what is committed; only samples can be repeated."""
        if isinstance(outcome, Sample):
            self._gate.admit(self._candidate(outcome))

    def count(self, outcomes: Sequence[Outcome]) -> None:
        """Count the outcomes of a committed shard."""
        self.tally.add(outcomes)
        for outcome in outcomes:
            if isinstance(outcome, Sample):
                self._meter.add(outcome)
            else:
                self._reasons[outcome.reason] += 1

    @property
    def counts(self) -> CapabilityCounts:
        """Accepted samples, and rejects by reason, the most frequent first."""
        ordered = sorted(self._reasons.items(), key=lambda entry: (-entry[1], entry[0]))
        return CapabilityCounts(accepted=self.tally.num_accepted, rejected=dict(ordered))

    @property
    def coverage(self) -> Coverage:
        return self._meter.read()

    def _candidate(self, sample: Sample) -> Candidate:
        name = sample.draft.keyword
        return Candidate(sample.draft, self._capability.find_keyword(name) or Keyword(name=name), sample.paintings)


class Standing:
    """All capabilities of a run.

    Args:
        capabilities: those of the run.
        folder: where temporary files lie.
    """

    def __init__(self, capabilities: Sequence[Capability], folder: Path) -> None:
        self.of_capability = {capability.name: CapabilityStanding(capability, folder) for capability in capabilities}
        self.shards: list[ShardManifest] = []
        self.used_images = DigestSet()
        self.num_accepted = 0
        self.num_rejected = 0

    def add_shard(self, manifest: ShardManifest, outcomes: Sequence[Outcome]) -> None:
        """Count a committed shard."""
        self.of_capability[capability_of(manifest.shard_id)].count(outcomes)
        self.shards.append(manifest)
        self.num_accepted += manifest.num_samples
        self.num_rejected += manifest.num_rejected
        for sha256 in images_of(outcomes):
            self.used_images.add(sha256)

    @property
    def counts(self) -> dict[str, CapabilityCounts]:
        return {name: standing.counts for name, standing in self.of_capability.items()}

    @property
    def rejected_by_reason(self) -> dict[str, int]:
        """Rejects of all capabilities, the most frequent reason first."""
        total: Counter[str] = Counter()
        for counts in self.counts.values():
            total.update(counts.rejected)
        return dict(sorted(total.items(), key=lambda entry: (-entry[1], entry[0])))


def capability_of(shard_id: str) -> str:
    """Return the capability a shard belongs to."""
    return shard_id.partition("/")[0]


def images_of(outcomes: Sequence[Outcome]) -> set[str]:
    """Return the content hashes of all pictures that the outcomes name."""
    return {painting.sha256 for outcome in outcomes for painting in outcome.paintings}
