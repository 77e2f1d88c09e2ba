"""The loop that goes on until every capability has exactly as many samples as asked for.

Paper: 2308.10253v1, section 3 (pairs are generated capability by capability).
Departs: the paper keeps what it generates; we check every pair and draft again for what fell out.
"""

import time
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from stablellava.core.capability import Capability, Keyword
from stablellava.core.errors import RecordError
from stablellava.core.sample import Rejected, Sample, ShardManifest
from stablellava.executors.local import LocalExecutor
from stablellava.filters.base import Candidate, count_reasons
from stablellava.store.card import write_card
from stablellava.store.cleaning import remove_leftovers
from stablellava.store.images import image_path
from stablellava.store.manifest import CapabilityCounts, DataManifest, write_manifest
from stablellava.store.shards import commit_shard, find_shard, read_shard
from stablellava.synthesis.coverage import measure_coverage
from stablellava.synthesis.making import MakerSetup, Outcome, ShardResult, ShardTask, build_maker, reject
from stablellava.synthesis.planning import Planner, Tally
from stablellava.synthesis.reporting import ProgressCallback, SynthesisProgress, SynthesisReport
from stablellava.synthesis.verifying import DuplicateGate


@dataclass
class _State:
    """What stands so far; rebuilt from committed shards when a run goes on."""

    tallies: dict[str, Tally] = field(default_factory=dict)
    gates: dict[str, DuplicateGate] = field(default_factory=dict)
    samples: list[Sample] = field(default_factory=list)
    rejects: list[Rejected] = field(default_factory=list)
    shards: list[ShardManifest] = field(default_factory=list)
    seconds: Counter[str] = field(default_factory=Counter)
    num_painted: int = 0
    num_resumed: int = 0


class RoundLoop:
    """Runs shards, drops duplicates in planned order, commits, and counts.

    Args:
        manifest: the opened manifest of the data folder.
        setup: what worker processes are built with; names the data folder.
        capabilities: those to make data for, in order.
        num_wanted: accepted samples over all capabilities, for progress.
    """

    def __init__(
        self,
        manifest: DataManifest,
        setup: MakerSetup,
        capabilities: Sequence[Capability],
        num_wanted: int,
        progress: ProgressCallback | None = None,
    ) -> None:
        self._manifest = manifest
        self._setup = setup
        self._data_dir: Path = setup.data_dir
        self._capabilities = {capability.name: capability for capability in capabilities}
        self._num_wanted = num_wanted
        self._progress = progress
        self._started = time.perf_counter()
        self._state = _State(
            tallies={name: Tally() for name in self._capabilities},
            gates={name: DuplicateGate() for name in self._capabilities},
        )

    def run_rounds(self, planners: Mapping[str, Planner], samples_per_capability: int) -> SynthesisReport:
        """Draft, paint and check until every capability has exactly that many samples, or max_rounds are over.

        Raises: BackendFailed, BackendMissing, RecordError (full disk).
        """
        with self._executor() as executor:
            for round_index in range(self._setup.settings.max_rounds):
                tasks = self._plan(planners, samples_per_capability, round_index)
                if not tasks:
                    break
                self._run_tasks(executor, tasks, round_index)
        return self._finish(self._explain_unfilled(samples_per_capability))

    def run_once(self, tasks: Sequence[ShardTask]) -> SynthesisReport:
        """Make the given shards, without replacing what falls out. Raises: as ``run_rounds``."""
        with self._executor() as executor:
            self._run_tasks(executor, tasks, 0)
        return self._finish({})

    def _executor(self) -> LocalExecutor[ShardTask, ShardResult]:
        return LocalExecutor(build_maker, (self._setup,), self._setup.settings.num_workers)

    def _plan(self, planners: Mapping[str, Planner], wanted: int, round_index: int) -> list[ShardTask]:
        tasks = []
        for name, planner in planners.items():
            tally = self._state.tallies[name]
            requests = planner.plan_round(round_index, wanted - tally.num_accepted, tally)
            size = self._setup.settings.shard_size
            for start in range(0, len(requests), size):
                shard_id = f"{name}/r{round_index:02d}-{start // size:05d}"
                tasks.append(ShardTask(shard_id, requests=tuple(requests[start : start + size])))
        return tasks

    def _run_tasks(
        self, executor: LocalExecutor[ShardTask, ShardResult], tasks: Sequence[ShardTask], round_index: int
    ) -> None:
        committed = {task.shard_id: self._load(task.shard_id) for task in tasks}
        results = executor.map_ordered([task for task in tasks if committed[task.shard_id] is None])
        for task in tasks:
            manifest = committed[task.shard_id]
            if manifest is None:
                self._commit(task.shard_id, next(results))
            else:
                self._take_over(manifest)
            self._tell(round_index, task.shard_id)

    def _load(self, shard_id: str) -> ShardManifest | None:
        """Return the marker of a shard that is whole, pictures included."""
        manifest = find_shard(self._data_dir, shard_id)
        if manifest is None:
            return None
        samples, rejects = read_shard(self._data_dir, shard_id)
        for sha256 in _images_of([*samples, *rejects]):
            try:
                image_path(self._data_dir, sha256)
            except RecordError:
                # Someone deleted it; the shard is made again and gives the same bytes.
                return None
        return manifest

    def _take_over(self, manifest: ShardManifest) -> None:
        samples, rejects = read_shard(self._data_dir, manifest.shard_id)
        for sample in samples:
            self._state.gates[sample.draft.capability].admit(self._candidate(sample))
        self._count(manifest, [*samples, *rejects])
        self._state.num_resumed += 1

    def _commit(self, shard_id: str, result: ShardResult) -> None:
        outcomes = [self._drop_duplicate(outcome) for outcome in result.outcomes]
        self._count(commit_shard(self._data_dir, shard_id, outcomes), outcomes)
        self._state.num_painted += result.num_painted
        self._state.seconds.update(result.seconds)

    def _drop_duplicate(self, outcome: Outcome) -> Outcome:
        if isinstance(outcome, Rejected):
            return outcome
        gate, candidate = self._state.gates[outcome.draft.capability], self._candidate(outcome)
        verdicts = (*outcome.verdicts, *gate.judge(candidate))
        if not verdicts[-1].kept:
            return reject(candidate, verdicts)
        gate.admit(candidate)
        return outcome.model_copy(update={"verdicts": verdicts})

    def _candidate(self, sample: Sample) -> Candidate:
        capability = self._capabilities[sample.draft.capability]
        keyword = capability.find_keyword(sample.draft.keyword) or Keyword(name=sample.draft.keyword)
        return Candidate(sample.draft, keyword, sample.paintings)

    def _count(self, manifest: ShardManifest, outcomes: Sequence[Outcome]) -> None:
        state = self._state
        state.shards.append(manifest)
        state.tallies[manifest.shard_id.partition("/")[0]].add(outcomes)
        state.samples.extend(outcome for outcome in outcomes if isinstance(outcome, Sample))
        state.rejects.extend(outcome for outcome in outcomes if isinstance(outcome, Rejected))

    def _tell(self, round_index: int, shard_id: str) -> None:
        if self._progress:
            state, seconds = self._state, time.perf_counter() - self._started
            self._progress(
                SynthesisProgress(
                    round_index, shard_id, len(state.samples), self._num_wanted, len(state.rejects), seconds
                )
            )

    def _explain_unfilled(self, wanted: int) -> dict[str, str]:
        unfilled = {}
        for name, tally in self._state.tallies.items():
            if tally.num_accepted < wanted:
                reasons = count_reasons(rejected for rejected in self._state.rejects if rejected.capability == name)
                named = ", ".join(f"{reason} {count}" for reason, count in list(reasons.items())[:3])
                rounds = self._setup.settings.max_rounds
                unfilled[name] = f"{tally.num_accepted} of {wanted} after {rounds} rounds; rejected: {named}"
        return unfilled

    def _finish(self, unfilled: dict[str, str]) -> SynthesisReport:
        state = self._state
        num_removed = remove_leftovers(self._data_dir, _images_of([*state.samples, *state.rejects]))
        counts = {
            name: CapabilityCounts(
                accepted=tally.num_accepted,
                rejected=count_reasons(rejected for rejected in state.rejects if rejected.capability == name),
            )
            for name, tally in state.tallies.items()
        }
        manifest = self._manifest.model_copy(
            update={"complete": True, "counts": counts, "unfilled": unfilled, "shards": tuple(state.shards)}
        )
        coverage = measure_coverage(state.samples, tuple(self._capabilities.values()))
        write_card(self._data_dir, manifest, {entry.capability: entry.keywords for entry in coverage})
        write_manifest(self._data_dir, manifest)
        seconds = time.perf_counter() - self._started
        return SynthesisReport(
            data_dir=str(self._data_dir),
            fingerprint=manifest.fingerprint,
            num_accepted=len(state.samples),
            num_rejected=len(state.rejects),
            counts=counts,
            rejected_by_reason=count_reasons(state.rejects),
            unfilled=unfilled,
            coverage=coverage,
            num_painted=state.num_painted,
            num_resumed_shards=state.num_resumed,
            num_removed_images=num_removed,
            seconds=seconds,
            seconds_by_stage={name: state.seconds[name] for name in sorted(state.seconds)},
        )


def _images_of(outcomes: Sequence[Outcome]) -> Iterator[str]:
    for outcome in outcomes:
        yield from (painting.sha256 for painting in outcome.paintings)
