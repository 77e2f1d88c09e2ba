"""Which of an executor's worker processes this is, and of how many."""

import os

WORKER_RANK_VARIABLE = "STABLELLAVA_WORKER_RANK"
"""Set by executors in their processes. Chooses devices only; data never depend on it."""
NUM_WORKERS_VARIABLE = "STABLELLAVA_NUM_WORKERS"
"""Likewise; shares out what all of them have together, as calls per minute."""


def worker_rank() -> int:
    """Return the number of this process among the workers, from 0; 0 outside of an executor."""
    return int(os.environ.get(WORKER_RANK_VARIABLE, "0"))


def num_workers() -> int:
    """Return how many workers there are with this one; 1 outside of an executor."""
    return int(os.environ.get(NUM_WORKERS_VARIABLE, "1"))
