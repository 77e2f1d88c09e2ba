"""What a synthesis run tells its caller. Seconds and rates live here, never in the data."""

from collections.abc import Callable
from dataclasses import dataclass

from stablellava.core.record import Record
from stablellava.store.manifest import CapabilityCounts
from stablellava.synthesis.coverage import Coverage


@dataclass(frozen=True)
class SynthesisProgress:
    """How far a run is; sent after every shard."""

    round_index: int
    shard_id: str
    num_accepted: int
    num_wanted: int
    num_rejected: int
    seconds: float

    @property
    def samples_per_second(self) -> float:
        return self.num_accepted / self.seconds if self.seconds else 0.0


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
