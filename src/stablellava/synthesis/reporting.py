"""What a synthesis run tells its caller. Seconds and rates live here, never in the data."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field

from stablellava.core.record import Record
from stablellava.store.manifest import CapabilityCounts
from stablellava.synthesis.chat_drafting.spending import Spending, sum_spending
from stablellava.synthesis.coverage import Coverage
from stablellava.synthesis.standing import Standing
from stablellava.synthesis.targets import CellShortfall

_NUM_REASONS_NAMED = 3


@dataclass(frozen=True)
class SynthesisProgress:
    """How far a run is; sent after every shard."""

    round_index: int
    shard_id: str
    num_accepted: int
    num_wanted: int
    num_rejected: int
    seconds: float
    is_found: bool = False
    """The shard was made by an earlier start."""


ProgressCallback = Callable[[SynthesisProgress], None]


class SynthesisReport(Record):
    """The end of a run."""

    data_dir: str
    fingerprint: str
    num_accepted: int
    num_rejected: int
    counts: dict[str, CapabilityCounts]
    rejected_by_reason: dict[str, int]
    unfilled: dict[str, str]
    """Capability -> why it has fewer samples than asked for."""
    stopped: str = ""
    """Which limit ended this start before the run was complete; the same command goes on from there."""
    notes: tuple[str, ...] = ()
    """What the guard against collapse did."""
    shortfalls: tuple[CellShortfall, ...] = ()
    """Coverage targets that could not be met."""
    spending: Spending | None = None
    """Of this start; null where no chat model is asked."""
    spending_by_capability: dict[str, Spending] = {}
    """Of all starts of the run, by capability; of one that was killed the last calls are missing."""
    coverage: tuple[Coverage, ...]
    num_painted: int
    """Pictures painted by this call; a resumed run paints only what is missing."""
    num_resumed_shards: int
    """Shards found finished."""
    num_removed_images: int
    """Pictures of repaints and interrupted runs that no record names."""
    seconds: float
    seconds_by_stage: dict[str, float]
    """Summed over processes."""

    @property
    def samples_per_second(self) -> float:
        return self.num_accepted / self.seconds if self.seconds else 0.0

    @property
    def total_spending(self) -> Spending | None:
        """Of all starts of the run and all capabilities; None where no chat model was asked."""
        return sum_spending(self.spending_by_capability.values())

    def cost_per_sample(self, capability: str | None = None) -> float | None:
        """Return what an accepted sample cost, of a capability or of all; None where that is not known."""
        spending = self.total_spending if capability is None else self.spending_by_capability.get(capability)
        accepted = self.num_accepted if capability is None else self.counts[capability].accepted
        return spending.cost / accepted if spending is not None and spending.cost is not None and accepted else None


@dataclass(frozen=True)
class Ending:
    """How the rounds of a run ended.

    Attributes:
        num_rounds: rounds that were run.
        stopped: which limit ended the run, if one did.
        collapsed: capability -> why the guard ended it, empty where it did not.
        shortfalls: coverage targets that could not be met.
    """

    num_rounds: int = 0
    stopped: str = ""
    collapsed: Mapping[str, str] = field(default_factory=dict)
    shortfalls: tuple[CellShortfall, ...] = ()


def explain_unfilled(standing: Standing, num_wanted: int, ending: Ending) -> dict[str, str]:
    """Return capability -> why it has fewer samples than wanted."""
    unfilled = {}
    for name, counts in standing.counts.items():
        if counts.accepted < num_wanted:
            named = [f"{reason} {count}" for reason, count in counts.rejected.items()][:_NUM_REASONS_NAMED]
            ended = "when the run was stopped" if ending.stopped else f"after {ending.num_rounds} rounds"
            if ending.collapsed.get(name):
                ended = f"accepted: stopped, {ending.collapsed[name]}"
            told = [f"{counts.accepted} of {num_wanted} {ended}"]
            told += [f"rejected: {', '.join(named)}"] if named or not ending.stopped else []
            told += [f"short: {cell.words}" for cell in ending.shortfalls if cell.capability == name]
            unfilled[name] = "; ".join(told)
    return unfilled
