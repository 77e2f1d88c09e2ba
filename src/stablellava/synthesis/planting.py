"""Known faults for measuring checks with: pictures that belong to another sample."""

from collections.abc import Sequence
from dataclasses import dataclass

from stablellava.core.errors import ConfigError
from stablellava.core.ids import seed_from
from stablellava.core.sample import Sample

_STEP = 7919
"""A prime, so that walking by it visits every sample."""


@dataclass(frozen=True)
class LabelledSample:
    """A sample and whether its pictures are its own."""

    sample: Sample
    is_own: bool


def swap_pictures(samples: Sequence[Sample], share: float, seed: int) -> list[LabelledSample]:
    """Return the samples in their order, a share of them with the pictures of another keyword's sample.

    Raises: ConfigError if no sample has a partner of another keyword.
    """
    ranks = sorted(range(len(samples)), key=lambda index: seed_from(seed, samples[index].sample_id, "swap"))
    chosen = set(ranks[: round(len(samples) * share)])
    return [
        LabelledSample(_with_pictures_of(sample, _find_partner(samples, index, seed)), is_own=False)
        if index in chosen
        else LabelledSample(sample, is_own=True)
        for index, sample in enumerate(samples)
    ]


def _find_partner(samples: Sequence[Sample], index: int, seed: int) -> Sample:
    own = samples[index]
    start = seed_from(seed, own.sample_id, "partner")
    for step in range(len(samples)):
        other = samples[(start + step * _STEP) % len(samples)]
        is_same_size = len(other.paintings) == len(own.paintings)
        if other.draft.keyword != own.draft.keyword and is_same_size:
            return other
    raise ConfigError("pictures cannot be swapped: all samples have the same keyword; use a run with several")


def _with_pictures_of(sample: Sample, other: Sample) -> Sample:
    return sample.model_copy(update={"paintings": other.paintings})
