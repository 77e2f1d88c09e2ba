"""The loop that goes on until every capability has exactly as many samples as asked for.

Paper: 2308.10253v1, section 3 (pairs are generated capability by capability; good outputs become examples).
Departs: the paper keeps what it generates; we check every pair and draft again for what fell out.
"""

import time
from collections import Counter
from collections.abc import Generator, Iterable, Mapping, Sequence
from contextlib import closing
from pathlib import Path
from typing import Protocol

from stablellava.core.capability import Capability
from stablellava.core.errors import RecordError
from stablellava.core.sample import ShardManifest
from stablellava.executors.local import LocalExecutor
from stablellava.store.card import write_card
from stablellava.store.cleaning import remove_leftovers
from stablellava.store.images import image_path
from stablellava.store.manifest import DataManifest, write_manifest
from stablellava.store.shards import commit_shard, find_shard, list_shards, read_shard
from stablellava.synthesis.chat_drafting.spending import LimitReached
from stablellava.synthesis.evolution import Evolution
from stablellava.synthesis.making import MakerSetup, Outcome, ShardResult, ShardTask, build_maker
from stablellava.synthesis.reporting import (
    Ending,
    ProgressCallback,
    SynthesisProgress,
    SynthesisReport,
    explain_unfilled,
)
from stablellava.synthesis.round_plan import PlannedShard, RoundPlan, RoundPlanner, Schedule, give_shard
from stablellava.synthesis.standing import Standing, capability_of
from stablellava.synthesis.summarizing import ShardSummary, images_of, keep_summary, load_summary, summarize
from stablellava.synthesis.target_planning import TargetedPlanner
from stablellava.synthesis.verifying import AdmittedPair


class DraftSource(Protocol):
    """Drafts the requests of tasks before they are made."""

    def stream(self, tasks: Iterable[ShardTask]) -> Generator[ShardTask, None, None]:
        """Yield every task with its drafts in place of its requests, in order. Raises: LimitReached."""
        ...


class RoundLoop:
    """Runs shards, drops duplicates in planned order, commits, and counts.

    Args:
        manifest: the opened manifest of the data folder.
        setup: what worker processes are built with; names the data folder.
        capabilities: those to make data for, in order.
        num_wanted: accepted samples over all capabilities, for progress.
        progress: called after every shard.
        drafts: writes drafts where the workers do not.
        evolution: pools of exemplars that learn from every round.
    """

    def __init__(
        self,
        manifest: DataManifest,
        setup: MakerSetup,
        capabilities: Sequence[Capability],
        num_wanted: int,
        progress: ProgressCallback | None = None,
        drafts: DraftSource | None = None,
        evolution: Evolution | None = None,
    ) -> None:
        self._manifest = manifest
        self._setup = setup
        self._data_dir: Path = setup.data_dir
        self._num_wanted = num_wanted
        self._progress = progress
        self._drafts = drafts
        self._evolution = evolution
        self._planners: Mapping[str, RoundPlanner] = {}
        self._standing = Standing(capabilities, setup.data_dir)
        self._marked = frozenset(list_shards(setup.data_dir))
        self._held: list[tuple[str, list[Outcome], ShardManifest | None]] = []
        self._seconds: Counter[str] = Counter()
        self._num_painted = 0
        self._num_resumed = 0
        self._started = time.perf_counter()

    def run_rounds(self, planners: Mapping[str, RoundPlanner], samples_per_capability: int) -> SynthesisReport:
        """Draft, paint and check until every capability has exactly that many samples, or max_rounds are over.

        Raises: BackendFailed, BackendMissing, RecordError (full disk).
        """
        self._planners = planners
        round_size = self._setup.settings.pool.round_size if self._evolution and self._setup.settings.pool else None
        num_growing = -(-samples_per_capability // round_size) - 1 if round_size else 0
        num_rounds = self._setup.settings.max_rounds + num_growing
        plan = RoundPlan(
            self._standing, samples_per_capability, num_rounds, self._setup.settings.shard_size,
            self._evolution, round_size,
        )  # fmt: skip
        schedule = Schedule(
            (shard for planner in planners.values() for shard in plan.plan(planner, 0)),
            self._marked,
            lambda settled: plan.plan(planners[capability_of(settled.shard_id)], settled.round_index + 1),
        )
        stopped = ""
        with self._executor() as executor:
            try:
                self._run_shards(executor, schedule)
            except LimitReached as exc:
                stopped = str(exc)
        collapsed = {name: self._evolution.why_stopped(name) for name in planners} if self._evolution else {}
        targeted = [planner for planner in planners.values() if isinstance(planner, TargetedPlanner)]
        shortfalls = tuple(cell for planner in targeted for cell in planner.explain_shortfalls())
        ending = Ending(schedule.num_rounds, stopped, collapsed, shortfalls)
        return self._finish(explain_unfilled(self._standing, samples_per_capability, ending), ending)

    def run_once(self, tasks: Sequence[ShardTask]) -> SynthesisReport:
        """Make the given shards, without replacing what falls out. Raises: as ``run_rounds``."""
        with self._executor() as executor:
            self._run_shards(executor, Schedule(map(give_shard, tasks), self._marked))
        return self._finish({}, Ending())

    def _executor(self) -> LocalExecutor[ShardTask, ShardResult]:
        settings = self._setup.settings
        # Checking what a stream drafts is less work than handing it to another process.
        is_light = self._drafts is not None and settings.painter is None
        return LocalExecutor(build_maker, (self._setup,), 1 if is_light else settings.num_workers)

    def _run_shards(self, executor: LocalExecutor[ShardTask, ShardResult], schedule: Schedule) -> None:
        """Make what is open at once; what was committed earlier is read in its turn, while drafts are on their way."""
        drafted = self._drafts.stream(schedule.tasks()) if self._drafts else schedule.tasks()
        with closing(executor.map_ordered(drafted)) as results, closing(schedule):
            for shard in schedule:
                found = self._find_whole(shard.shard_id)
                if found is not None:
                    self._take_up(shard, *found)
                    self._num_resumed += 1
                else:
                    result = self._remake(shard) if shard.shard_id in self._marked else next(results)
                    self._take(shard, result.outcomes, None)
                    self._num_painted += result.num_painted
                    self._seconds.update(result.seconds)
                self._tell(shard, is_found=found is not None)

    def _find_whole(self, shard_id: str) -> tuple[ShardManifest, ShardSummary | None] | None:
        """Return marker and summary of a shard that was committed earlier and whose pictures are all there.

        Otherwise it is made again, which gives the same bytes.
        """
        manifest = find_shard(self._data_dir, shard_id) if shard_id in self._marked else None
        if manifest is None:
            return None
        summary = load_summary(self._data_dir, manifest)
        if self._setup.settings.painter is None:
            return manifest, summary
        images = summary.images if summary else images_of(self._read(shard_id))
        try:
            for sha256 in images:
                image_path(self._data_dir, sha256)
        except RecordError:
            return None
        return manifest, summary

    def _take_up(self, shard: PlannedShard, manifest: ShardManifest, summary: ShardSummary | None) -> None:
        """Count a shard of an earlier start; its samples are read only where their texts matter, or for a summary."""
        name = capability_of(shard.shard_id)
        needs_texts = self._evolution is not None or isinstance(self._planners.get(name), TargetedPlanner)
        if summary is None or needs_texts:
            self._take(shard, self._read(shard.shard_id), manifest)
            return
        self._standing.of_capability[name].readmit(manifest)
        self._standing.add_shard(manifest, summary)

    def _read(self, shard_id: str) -> list[Outcome]:
        samples, rejects = read_shard(self._data_dir, shard_id)
        return [*samples, *rejects]

    def _remake(self, shard: PlannedShard) -> ShardResult:
        """Make a damaged shard here and now; it is rare, and those behind it are on their way already."""
        task = shard.build()
        if self._drafts:
            with closing(self._drafts.stream([task])) as drafted:
                task = next(drafted)
        return build_maker(self._setup)(task)

    def _take(self, shard: PlannedShard, outcomes: list[Outcome], manifest: ShardManifest | None) -> None:
        """Commit what was made. With evolving pools the round of a capability is held until it can be judged."""
        if self._evolution is None:
            self._settle(shard.shard_id, outcomes, manifest)
            return
        self._held.append((shard.shard_id, outcomes, manifest))
        if not shard.is_last:
            return
        held, self._held = self._held, []
        name = capability_of(shard.shard_id)
        judged = iter(self._evolution.judge(name, shard.round_index, [one for entry in held for one in entry[1]]))
        committed: list[Outcome] = []
        for shard_id, found, marker in held:
            committed += self._settle(shard_id, [next(judged) for _ in found], marker)
        self._evolution.advance(name, shard.round_index, committed)

    def _settle(self, shard_id: str, outcomes: list[Outcome], manifest: ShardManifest | None) -> list[Outcome]:
        """Drop what repeats an earlier sample or is one too many, in planned order; commit; count."""
        name = capability_of(shard_id)
        standing, planner = self._standing.of_capability[name], self._planners.get(name)
        settled: list[Outcome] = []
        pairs: list[AdmittedPair] = []
        for outcome in outcomes:
            judged = outcome if manifest else standing.judge(outcome)
            if isinstance(planner, TargetedPlanner):
                (judged,) = planner.settle([judged])
            if pair := standing.admit(judged):
                pairs.append(pair)
            settled.append(judged)
        marker = manifest or commit_shard(self._data_dir, shard_id, settled)
        summary = summarize(marker, settled, pairs)
        if manifest is None or load_summary(self._data_dir, marker) is None:
            keep_summary(self._data_dir, shard_id, summary)
        self._standing.add_shard(marker, summary)
        return settled

    def _tell(self, shard: PlannedShard, *, is_found: bool) -> None:
        if self._progress:
            standing, seconds = self._standing, time.perf_counter() - self._started
            self._progress(
                SynthesisProgress(
                    shard.round_index,
                    shard.shard_id,
                    standing.num_accepted,
                    self._num_wanted,
                    standing.num_rejected,
                    seconds,
                    is_found,
                )
            )

    def _finish(self, unfilled: dict[str, str], ending: Ending) -> SynthesisReport:
        standing, stopped = self._standing, ending.stopped
        # A run that was stopped goes on later, with what its journals hold.
        num_removed = 0 if stopped else remove_leftovers(self._data_dir, standing.used_images)
        coverage = tuple(entry.coverage for entry in standing.of_capability.values())
        manifest = self._manifest.model_copy(
            update={
                "complete": not stopped,
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
            stopped=stopped,
            notes=tuple(self._evolution.notes) if self._evolution else (),
            shortfalls=ending.shortfalls,
            coverage=coverage,
            num_painted=self._num_painted,
            num_resumed_shards=self._num_resumed,
            num_removed_images=num_removed,
            seconds=time.perf_counter() - self._started,
            seconds_by_stage={name: self._seconds[name] for name in sorted(self._seconds)},
        )
