"""The processes that train together: one, or what torchrun or accelerate started."""

from typing import Any

import torch
from accelerate import PartialState
from accelerate.utils import broadcast_object_list


def has_accelerator() -> bool:
    """Tell whether a GPU or its like is there to train on."""
    return torch.accelerator.is_available()


def wait_for_accelerator() -> None:
    """Return when it has done what it was given, so that a clock can be read; at once where there is none."""
    if has_accelerator():
        torch.accelerator.synchronize()


def join_processes() -> PartialState:
    """Return this process's place among those that train together, and meet the others."""
    return PartialState() if has_accelerator() else PartialState(cpu=True)


def agree(value: Any) -> Any:
    """Return the main process's value in every process."""
    shared = [value]
    if join_processes().num_processes > 1:
        broadcast_object_list(shared, from_process=0)
    return shared[0]
