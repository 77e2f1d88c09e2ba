"""The shards of a round, known by name before any of their requests is built."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
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
    is_last: bool = False
    """Whether its capability has no further one in the round."""


def give_shard(task: ShardTask) -> PlannedShard:
    """Return a task that is there already as a planned shard."""
    return PlannedShard(task.shard_id, lambda: task)


def plan_shards(
    planners: Mapping[str, RoundPlanner],
    standing: Standing,
    num_wanted: int,
    round_index: int,
    shard_size: int,
    evolution: Evolution | None = None,
    round_size: int | None = None,
) -> Iterator[PlannedShard]:
    """Yield the round's shards: exactly as many slots per capability as samples are missing, or a round may have.

    All of it is planned at the first step; what is planned depends on what stands then.
    """
    planned = {}
    for name, planner in planners.items():
        tally = standing.of_capability[name].tally
        num_slots = num_wanted - tally.num_accepted
        if evolution is not None and evolution.why_stopped(name):
            continue
        planned[name] = planner.plan_round(round_index, min(num_slots, round_size or num_slots), tally)
    for name, requests in planned.items():
        for start in range(0, len(requests), shard_size):
            shard_id = f"{name}/r{round_index:02d}-{start // shard_size:05d}"
            build = partial(_build, shard_id, requests, start, start + shard_size, evolution)
            yield PlannedShard(shard_id, build, start + shard_size >= len(requests))


def _build(
    shard_id: str, requests: Sequence[DraftRequest], start: int, end: int, evolution: Evolution | None
) -> ShardTask:
    shard = requests[start:end]
    return ShardTask(shard_id, requests=tuple(evolution.show(shard) if evolution is not None else shard))
