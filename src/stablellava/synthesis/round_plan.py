"""Shards known by name before any of their requests is built, and the order in which they are made and settled."""

from collections import deque
from collections.abc import Callable, Container, Iterable, Iterator, Sequence
from dataclasses import dataclass
from functools import partial
from queue import SimpleQueue
from typing import Protocol

from stablellava.core.capability import Capability
from stablellava.core.draft import DraftRequest
from stablellava.synthesis.evolution import Evolution
from stablellava.synthesis.making import ShardTask
from stablellava.synthesis.planning import Tally
from stablellava.synthesis.standing import Standing


class RoundPlanner(Protocol):
    """Plans the rounds of one capability."""

    @property
    def capability(self) -> Capability: ...

    def plan_round(self, round_index: int, num_slots: int, tally: Tally) -> Sequence[DraftRequest]:
        """Return at most one request per slot."""
        ...


@dataclass(frozen=True)
class PlannedShard:
    """A shard to be made; ``build`` gives its task, the same one every time."""

    shard_id: str
    build: Callable[[], ShardTask]
    round_index: int = 0
    is_last: bool = False
    """Whether its capability has no further one in the round."""


PlanNext = Callable[[PlannedShard], Iterable[PlannedShard]]
"""Returns what follows once the last shard of a capability's round is settled: its next round, or nothing."""


def give_shard(task: ShardTask) -> PlannedShard:
    """Return a task that is there already as a planned shard."""
    return PlannedShard(task.shard_id, lambda: task)


class Schedule:
    """Shards in the order in which they are settled: round by round, and by capability within each.

    Iterate over it to settle them, one after the other. A round is planned as soon as the capability's last one is
    settled, so that it is on its way while other capabilities still are at theirs; ``tasks`` may be taken by another
    thread, far ahead.

    Args:
        shards: the first ones.
        made: ids of those that need not be made again.
        plan_next: says what follows.
    """

    def __init__(
        self, shards: Iterable[PlannedShard], made: Container[str], plan_next: PlanNext = lambda _: ()
    ) -> None:
        self._ahead: deque[PlannedShard] = deque()
        self._to_make: SimpleQueue[PlannedShard | None] = SimpleQueue()
        self._made = made
        self._plan_next = plan_next
        self.num_rounds = 0
        """Rounds that were begun."""
        self._add(shards)

    def __iter__(self) -> Iterator[PlannedShard]:
        while self._ahead:
            shard = self._ahead.popleft()
            self.num_rounds = shard.round_index + 1
            yield shard
            if shard.is_last:
                self._add(self._plan_next(shard))

    def tasks(self) -> Iterator[ShardTask]:
        """Yield the tasks to be made, waiting for those that are not planned yet, until ``close``."""
        while (shard := self._to_make.get()) is not None:
            yield shard.build()

    def close(self) -> None:
        """Let go of who waits for tasks."""
        self._to_make.put(None)

    def _add(self, shards: Iterable[PlannedShard]) -> None:
        for shard in shards:
            self._ahead.append(shard)
            if shard.shard_id not in self._made:
                self._to_make.put(shard)


@dataclass(frozen=True)
class RoundPlan:
    """Plans round after round of every capability, until it has what is wanted or its rounds are over.

    Attributes:
        num_wanted: samples per capability.
        num_rounds: at most so many.
        round_size: at most so many slots in a round; None for as many as samples are missing.
    """

    standing: Standing
    num_wanted: int
    num_rounds: int
    shard_size: int
    evolution: Evolution | None = None
    round_size: int | None = None

    def plan(self, planner: RoundPlanner, round_index: int) -> list[PlannedShard]:
        """Return the shards of a round; none when there is no further one. It depends on what stands now."""
        name = planner.capability.name
        if round_index >= self.num_rounds or (self.evolution is not None and self.evolution.why_stopped(name)):
            return []
        tally = self.standing.of_capability[name].tally
        num_slots = self.num_wanted - tally.num_accepted
        requests = planner.plan_round(round_index, min(num_slots, self.round_size or num_slots), tally)
        return [
            self._plan_shard(name, round_index, requests, start) for start in range(0, len(requests), self.shard_size)
        ]

    def _plan_shard(self, name: str, round_index: int, requests: Sequence[DraftRequest], start: int) -> PlannedShard:
        end = start + self.shard_size
        shard_id = f"{name}/r{round_index:02d}-{start // self.shard_size:05d}"
        build = partial(_build, shard_id, requests, start, end, self.evolution)
        return PlannedShard(shard_id, build, round_index, end >= len(requests))


def _build(
    shard_id: str, requests: Sequence[DraftRequest], start: int, end: int, evolution: Evolution | None
) -> ShardTask:
    shard = requests[start:end]
    return ShardTask(shard_id, requests=tuple(evolution.show(shard) if evolution is not None else shard))
