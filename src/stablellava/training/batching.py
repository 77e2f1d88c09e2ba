"""Which examples stand in which step. All of it is fixed before the first step, so a resume is exact."""

import math
from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from stablellava.core.ids import seed_from

MEGA_BATCHES = 16
"""Batches sorted by length together: enough to make rows alike, few enough to keep the order random."""


def draw_examples(num_examples: int, num_samples: int | None, num_epochs: float, seed: int) -> NDArray[np.int64]:
    """Return example indices in random order; none comes twice before all came once."""
    wanted = num_samples if num_samples is not None else max(round(num_epochs * num_examples), 1)
    passes = range(math.ceil(wanted / num_examples))
    drawn = [np.random.default_rng(seed_from(seed, "pass", index)).permutation(num_examples) for index in passes]
    return np.concatenate(drawn)[:wanted].astype(np.int64)


def plan_batches(lengths: Sequence[int], drawn: NDArray[np.int64], batch_size: int, seed: int) -> list[list[int]]:
    """Return batches of example indices, those of one batch alike in length, in random order.

    ``lengths`` are tokens per example. Only the last batch drawn may be smaller than ``batch_size``.
    """
    batches: list[list[int]] = []
    pool_size = batch_size * MEGA_BATCHES
    for start in range(0, len(drawn), pool_size):
        pool = drawn[start : start + pool_size]
        by_length = sorted(pool.tolist(), key=lambda index: (-lengths[index], index))
        own = [by_length[first : first + batch_size] for first in range(0, len(by_length), batch_size)]
        order = np.random.default_rng(seed_from(seed, "batches", start)).permutation(len(own))
        batches += [own[index] for index in order]
    return batches


def padding_share(lengths: Sequence[int], batches: Sequence[Sequence[int]]) -> float:
    """Return which share of the computed positions is padding."""
    computed = sum(max(lengths[index] for index in batch) * len(batch) for batch in batches)
    real = sum(lengths[index] for batch in batches for index in batch)
    return 1.0 - real / computed
