"""What stands so far in a data folder; rebuilt from committed shards when a run goes on.

Holds counts; hashes and words lie in temporary files, so that memory does not grow with the data.
"""

from collections import Counter
from collections.abc import Sequence
from pathlib import Path

from stablellava.core.capability import Capability, Keyword
from stablellava.core.errors import RecordError
from stablellava.core.sample import Rejected, Sample, ShardManifest
from stablellava.filters.base import Candidate
from stablellava.filters.compact import DigestSet
from stablellava.store.manifest import CapabilityCounts
from stablellava.synthesis.coverage import Coverage, CoverageMeter
from stablellava.synthesis.making import Outcome, reject
from stablellava.synthesis.planning import Tally
from stablellava.synthesis.summarizing import ShardSummary, load_summary
from stablellava.synthesis.verifying import AdmittedPair, DuplicateGate


class CapabilityStanding:
    """The part of one capability."""

    def __init__(self, capability: Capability, folder: Path) -> None:
        self.tally = Tally()
        self._capability = capability
        self._keywords = {keyword.name: keyword for keyword in capability.keywords}
        self._folder = folder
        self._waiting: list[ShardManifest] = []
        self._gate = DuplicateGate(folder)
        self._meter = CoverageMeter(capability)
        self._reasons: Counter[str] = Counter()

    def judge(self, outcome: Outcome) -> Outcome:
        """Return the outcome, or a reject if an admitted sample is the same pair. Ask in planned order."""
        if isinstance(outcome, Rejected):
            return outcome
        self._readmit_waiting()
        candidate = self._candidate(outcome)
        verdicts = (*outcome.verdicts, *self._gate.judge(candidate))
        if not verdicts[-1].kept:
            return reject(candidate, verdicts)
        return outcome.model_copy(update={"verdicts": verdicts})

    def admit(self, outcome: Outcome) -> AdmittedPair | None:
        """Remember what is committed, and return what is remembered; only samples can be repeated."""
        self._readmit_waiting()
        return self._gate.admit(self._candidate(outcome)) if isinstance(outcome, Sample) else None

    def readmit(self, manifest: ShardManifest) -> None:
        """Remember the samples of a committed shard that has a summary, before the next sample is judged or admitted.

        A run that goes on looks for new work first; much of what is done will not be compared with for long.
        """
        self._waiting.append(manifest)

    def _readmit_waiting(self) -> None:
        waiting, self._waiting = self._waiting, []
        for manifest in waiting:
            summary = load_summary(self._folder, manifest)
            if summary is None:
                raise RecordError(f"{self._folder}: the summary of {manifest.shard_id} is gone; run again")
            pairs = [AdmittedPair._make(pair) for pair in summary.pairs]
            self._gate.admit_all(self._capability.name, summary.keywords, pairs)

    def count(self, summary: ShardSummary) -> None:
        """Count the outcomes of a committed shard whose samples are remembered."""
        self.tally.add_counts(summary.keywords, summary.rejected_keywords)
        self._meter.add_counts(summary.keywords, summary.settings, summary.attributes)
        self._reasons.update(summary.reasons)
        self._gate.let_go()

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
        return Candidate(sample.draft, self._keywords.get(name) or Keyword(name=name), sample.paintings)


class Standing:
    """All capabilities of a run.

    Args:
        capabilities: those of the run.
        folder: the data folder; temporary files lie there, too.
    """

    def __init__(self, capabilities: Sequence[Capability], folder: Path) -> None:
        self.of_capability = {capability.name: CapabilityStanding(capability, folder) for capability in capabilities}
        self.shards: list[ShardManifest] = []
        self.used_images = DigestSet(folder)
        self.num_accepted = 0
        self.num_rejected = 0

    def add_shard(self, manifest: ShardManifest, summary: ShardSummary) -> None:
        """Count a committed shard."""
        self.of_capability[capability_of(manifest.shard_id)].count(summary)
        self.shards.append(manifest)
        self.num_accepted += manifest.num_samples
        self.num_rejected += manifest.num_rejected
        for sha256 in summary.images:
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
