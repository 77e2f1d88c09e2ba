"""Which examples stand in which step. All of it is fixed before the first step, so a resume is exact."""

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from stablellava.core.ids import seed_from
from stablellava.training.packing import spread

STEPS_SORTED_TOGETHER = 16
"""Enough to make the rows of a batch alike in length, few enough to keep the order random."""


@dataclass(frozen=True)
class StepShape:
    """How a step is cut: ``batch_size`` examples for each of ``accumulation`` batches in each process."""

    batch_size: int
    accumulation: int = 1
    num_processes: int = 1

    @property
    def num_batches(self) -> int:
        return self.accumulation * self.num_processes

    @property
    def num_examples(self) -> int:
        return self.batch_size * self.num_batches


@dataclass(frozen=True)
class StepPlan:
    """The examples of every step, and how a step is cut into batches."""

    steps: list[list[int]]
    shape: StepShape
    lengths: Sequence[int]
    """Tokens per example."""

    @property
    def num_steps(self) -> int:
        return len(self.steps)

    def batches(self, process: int = 0, *, balanced: bool = False) -> list[list[int]]:
        """Return what a process computes, in order.

        Balanced batches hold about equally many tokens, which packing wants; others hold examples
        alike in length, which padding wants. Every process has equally many batches; where a last
        step is too small for that, some are empty.
        """
        cut = _cut_by_tokens if balanced else _cut_in_order
        accumulation = self.shape.accumulation
        batches: list[list[int]] = []
        for step in self.steps:
            bins = cut(step, self.lengths, self.shape)
            batches += bins[process * accumulation : (process + 1) * accumulation]
        if self.shape.num_processes == 1:
            return [batch for batch in batches if batch]
        return batches

    def drawn(self) -> list[int]:
        """Return every example as often as it stands in a step."""
        return [index for step in self.steps for index in step]


def draw_examples(num_examples: int, num_samples: int | None, num_epochs: float, seed: int) -> NDArray[np.int64]:
    """Return example indices in random order; none comes twice before all came once."""
    wanted = num_samples if num_samples is not None else max(round(num_epochs * num_examples), 1)
    passes = range(math.ceil(wanted / num_examples))
    drawn = [np.random.default_rng(seed_from(seed, "pass", index)).permutation(num_examples) for index in passes]
    return np.concatenate(drawn)[:wanted].astype(np.int64)


def plan_steps(
    lengths: Sequence[int], drawn: NDArray[np.int64], shape: StepShape, seed: int, *, grouped: bool = True
) -> StepPlan:
    """Return steps of examples alike in length, in random order; a smaller last one stays last.

    Not grouped, the examples stay as drawn. ``lengths`` are tokens per example. What a step learns
    does not depend on how it is cut into batches, so processes and accumulation can be exchanged.
    """
    size = shape.num_examples
    if not grouped:
        return StepPlan([drawn[first : first + size].tolist() for first in range(0, len(drawn), size)], shape, lengths)
    steps: list[list[int]] = []
    for start in range(0, len(drawn), size * STEPS_SORTED_TOGETHER):
        pool = drawn[start : start + size * STEPS_SORTED_TOGETHER]
        by_length = sorted(pool.tolist(), key=lambda index: (-lengths[index], index))
        own = [by_length[first : first + size] for first in range(0, len(by_length), size)]
        num_full = len(by_length) // size
        order = np.random.default_rng(seed_from(seed, "steps", start)).permutation(num_full)
        steps += [own[index] for index in order] + own[num_full:]
    return StepPlan(steps, shape, lengths)


def padding_share(lengths: Sequence[int], batches: Sequence[Sequence[int]]) -> float:
    """Return which share of the computed positions is padding; 0 if none was computed."""
    computed = sum(max((lengths[index] for index in batch), default=0) * len(batch) for batch in batches)
    real = sum(lengths[index] for batch in batches for index in batch)
    return 1.0 - real / computed if computed else 0.0


def _cut_in_order(step: list[int], lengths: Sequence[int], shape: StepShape) -> list[list[int]]:
    del lengths
    size = shape.batch_size
    return [step[first * size : (first + 1) * size] for first in range(shape.num_batches)]


def _cut_by_tokens(step: list[int], lengths: Sequence[int], shape: StepShape) -> list[list[int]]:
    places = spread([lengths[index] for index in step], shape.num_batches)
    return [[step[place] for place in chosen] for chosen in places]
