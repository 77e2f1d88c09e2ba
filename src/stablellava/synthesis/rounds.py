"""The loop that goes on until every capability has exactly as many samples as asked for.

Paper: 2308.10253v1, section 3 (pairs are generated capability by capability).
Departs: the paper keeps what it generates; we check every pair and draft again for what fell out.
"""

import time
from collections import Counter
from collections.abc import Mapping, Sequence
from pathlib import Path

from stablellava.core.capability import Capability
from stablellava.core.errors import RecordError
from stablellava.core.sample import ShardManifest
from stablellava.executors.local import LocalExecutor
from stablellava.store.card import write_card
from stablellava.store.cleaning import remove_leftovers
from stablellava.store.images import image_path
from stablellava.store.manifest import DataManifest, write_manifest
from stablellava.store.shards import commit_shard, find_shard, read_shard
from stablellava.synthesis.making import MakerSetup, ShardResult, ShardTask, build_maker
from stablellava.synthesis.planning import Planner
from stablellava.synthesis.reporting import ProgressCallback, SynthesisProgress, SynthesisReport
from stablellava.synthesis.standing import Standing, capability_of, images_of

_NUM_REASONS_NAMED = 3


class RoundLoop:
    """Runs shards, drops duplicates in planned order, commits, and counts.

    Args:
        manifest: the opened manifest of the data folder.
        setup: what worker processes are built with; names the data folder.
        capabilities: those to make data for, in order.
        num_wanted: accepted samples over all capabilities, for progress.
        progress: called after every shard.
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
        self._num_wanted = num_wanted
        self._progress = progress
        self._standing = Standing(capabilities)
        self._seconds: Counter[str] = Counter()
        self._num_painted = 0
        self._num_resumed = 0
        self._started = time.perf_counter()

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
        """Return the round's shards: exactly as many slots per capability as samples are missing."""
        tasks = []
        size = self._setup.settings.shard_size
        for name, planner in planners.items():
            tally = self._standing.of_capability[name].tally
            requests = planner.plan_round(round_index, wanted - tally.num_accepted, tally)
            for start in range(0, len(requests), size):
                shard_id = f"{name}/r{round_index:02d}-{start // size:05d}"
                tasks.append(ShardTask(shard_id, requests=tuple(requests[start : start + size])))
        return tasks

    def _run_tasks(
        self, executor: LocalExecutor[ShardTask, ShardResult], tasks: Sequence[ShardTask], round_index: int
    ) -> None:
        committed = {task.shard_id: self._find_whole(task.shard_id) for task in tasks}
        results = executor.map_ordered([task for task in tasks if committed[task.shard_id] is None])
        for task in tasks:
            manifest = committed[task.shard_id]
            if manifest is None:
                self._commit(task.shard_id, next(results))
            else:
                self._take_over(manifest)
            self._tell(round_index, task.shard_id)

    def _find_whole(self, shard_id: str) -> ShardManifest | None:
        """Return the marker of a committed shard whose pictures are all there.

        Otherwise it is made again, which gives the same bytes.
        """
        manifest = find_shard(self._data_dir, shard_id)
        if manifest is None:
            return None
        samples, rejects = read_shard(self._data_dir, shard_id)
        try:
            for sha256 in images_of([*samples, *rejects]):
                image_path(self._data_dir, sha256)
        except RecordError:
            return None
        return manifest

    def _take_over(self, manifest: ShardManifest) -> None:
        samples, rejects = read_shard(self._data_dir, manifest.shard_id)
        standing = self._standing.of_capability[capability_of(manifest.shard_id)]
        for sample in samples:
            standing.admit(sample)
        self._standing.add_shard(manifest, [*samples, *rejects])
        self._num_resumed += 1

    def _commit(self, shard_id: str, result: ShardResult) -> None:
        standing = self._standing.of_capability[capability_of(shard_id)]
        outcomes = [standing.drop_duplicate(outcome) for outcome in result.outcomes]
        self._standing.add_shard(commit_shard(self._data_dir, shard_id, outcomes), outcomes)
        self._num_painted += result.num_painted
        self._seconds.update(result.seconds)

    def _tell(self, round_index: int, shard_id: str) -> None:
        if self._progress:
            standing, seconds = self._standing, time.perf_counter() - self._started
            self._progress(
                SynthesisProgress(
                    round_index, shard_id, standing.num_accepted, self._num_wanted, standing.num_rejected, seconds
                )
            )

    def _explain_unfilled(self, wanted: int) -> dict[str, str]:
        unfilled = {}
        for name, counts in self._standing.counts.items():
            if counts.accepted < wanted:
                named = [f"{reason} {count}" for reason, count in counts.rejected.items()][:_NUM_REASONS_NAMED]
                rounds = self._setup.settings.max_rounds
                unfilled[name] = f"{counts.accepted} of {wanted} after {rounds} rounds; rejected: {', '.join(named)}"
        return unfilled

    def _finish(self, unfilled: dict[str, str]) -> SynthesisReport:
        standing = self._standing
        num_removed = remove_leftovers(self._data_dir, standing.used_images)
        coverage = tuple(entry.coverage for entry in standing.of_capability.values())
        manifest = self._manifest.model_copy(
            update={
                "complete": True,
                "counts": standing.counts,
                "unfilled": unfilled,
                "shards": tuple(standing.shards),
            }
        )
        write_card(self._data_dir, manifest, {entry.capability: entry.keywords for entry in coverage})
        write_manifest(self._data_dir, manifest)
        return SynthesisReport(
            data_dir=str(self._data_dir),
            fingerprint=manifest.fingerprint,
            num_accepted=standing.num_accepted,
            num_rejected=standing.num_rejected,
            counts=standing.counts,
            rejected_by_reason=standing.rejected_by_reason,
            unfilled=unfilled,
            coverage=coverage,
            num_painted=self._num_painted,
            num_resumed_shards=self._num_resumed,
            num_removed_images=num_removed,
            seconds=time.perf_counter() - self._started,
            seconds_by_stage={name: self._seconds[name] for name in sorted(self._seconds)},
        )
