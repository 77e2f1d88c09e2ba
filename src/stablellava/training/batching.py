"""Which examples stand in which step. All of it is fixed before the first step, so a resume is exact."""

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from stablellava.core.ids import seed_from

STEPS_SORTED_TOGETHER = 16
"""Enough to make the rows of a batch alike in length, few enough to keep the order random."""


@dataclass(frozen=True)
class StepPlan:
    """Which examples every batch holds, in order; ``accumulation`` batches make a step."""

    batches: list[list[int]]
    accumulation: int

    @property
    def num_steps(self) -> int:
        return math.ceil(len(self.batches) / self.accumulation)

    def examples_of(self, step: int) -> list[int]:
        """Return the example indices of a step (from 0)."""
        first = step * self.accumulation
        return [index for batch in self.batches[first : first + self.accumulation] for index in batch]


def draw_examples(num_examples: int, num_samples: int | None, num_epochs: float, seed: int) -> NDArray[np.int64]:
    """Return example indices in random order; none comes twice before all came once."""
    wanted = num_samples if num_samples is not None else max(round(num_epochs * num_examples), 1)
    passes = range(math.ceil(wanted / num_examples))
    drawn = [np.random.default_rng(seed_from(seed, "pass", index)).permutation(num_examples) for index in passes]
    return np.concatenate(drawn)[:wanted].astype(np.int64)


def plan_steps(
    lengths: Sequence[int], drawn: NDArray[np.int64], batch_size: int, accumulation: int, seed: int
) -> StepPlan:
    """Return steps of examples alike in length, in random order; a smaller last one stays last.

    ``lengths`` are tokens per example. What a step learns does not depend on how it is cut into batches.
    """
    step_size = batch_size * accumulation
    steps: list[list[int]] = []
    for start in range(0, len(drawn), step_size * STEPS_SORTED_TOGETHER):
        pool = drawn[start : start + step_size * STEPS_SORTED_TOGETHER]
        by_length = sorted(pool.tolist(), key=lambda index: (-lengths[index], index))
        own = [by_length[first : first + step_size] for first in range(0, len(by_length), step_size)]
        num_full = len(by_length) // step_size
        order = np.random.default_rng(seed_from(seed, "steps", start)).permutation(num_full)
        steps += [own[index] for index in order] + own[num_full:]
    batches = [step[first : first + batch_size] for step in steps for first in range(0, len(step), batch_size)]
    return StepPlan(batches, accumulation)


def padding_share(lengths: Sequence[int], batches: Sequence[Sequence[int]]) -> float:
    """Return which share of the computed positions is padding; 0 if none was computed."""
    computed = sum(max(lengths[index] for index in batch) * len(batch) for batch in batches)
    real = sum(lengths[index] for batch in batches for index in batch)
    return 1.0 - real / computed if computed else 0.0
