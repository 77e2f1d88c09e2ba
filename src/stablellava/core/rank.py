"""Which of an executor's worker processes this is."""

import os

WORKER_RANK_VARIABLE = "STABLELLAVA_WORKER_RANK"
"""Set by executors in their processes. Chooses devices only; data never depend on it."""


def worker_rank() -> int:
    """Return the number of this process among the workers, from 0; 0 outside of an executor."""
    return int(os.environ.get(WORKER_RANK_VARIABLE, "0"))
