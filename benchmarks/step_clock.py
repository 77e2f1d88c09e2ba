"""The same stopwatch and arithmetic for every trainer that is compared; needs nothing but torch and transformers."""

import time

import torch
from transformers import TrainerCallback
from transformers.models.llama.modeling_llama import LlamaRMSNorm


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


def set_up_torch(threads, precision):
    """Set threads and denormals; for "float64", keep the library from rounding to float32 on its way."""
    torch.set_num_threads(threads)
    torch.set_flush_denormal(True)
    if precision == "float64":
        torch.Tensor.float = torch.Tensor.double
        LlamaRMSNorm.forward = _normalize


def _normalize(self, hidden_states):
    """What LlamaRMSNorm computes, in the type that it is given."""
    variance = hidden_states.pow(2).mean(-1, keepdim=True)
    return self.weight * (hidden_states * torch.rsqrt(variance + self.variance_epsilon))
