"""The same stopwatch for every trainer that is compared; needs nothing but transformers."""

import time

from transformers import TrainerCallback


class StepClock(TrainerCallback):
    """Seconds on the wall and of the processor between the ends of steps; data time is part of a step."""

    def __init__(self):
        self._ends = []

    def on_train_begin(self, args, state, control, **kwargs):
        self._note()

    def on_step_end(self, args, state, control, **kwargs):
        self._note()

    def _note(self):
        self._ends.append((time.perf_counter(), time.process_time()))

    def seconds(self):
        """Return wall and processor seconds per step."""
        pairs = list(zip(self._ends, self._ends[1:], strict=False))
        return {
            "seconds": [after[0] - before[0] for before, after in pairs],
            "processor_seconds": [after[1] - before[1] for before, after in pairs],
        }
