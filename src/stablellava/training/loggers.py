"""Loggers of the library's Trainer: that they are there, and that what they write stays."""

from collections.abc import Callable, Sequence
from pathlib import Path

from transformers import TrainerCallback
from transformers.integrations.integration_utils import (
    TensorBoardCallback,
    is_tensorboard_available,
    is_trackio_available,
    is_wandb_available,
)

from stablellava.core.errors import BackendMissing

_AVAILABLE: dict[str, Callable[[], bool]] = {
    "tensorboard": is_tensorboard_available,
    "wandb": is_wandb_available,
    "trackio": is_trackio_available,
}


def check_loggers(names: Sequence[str]) -> None:
    """Raise BackendMissing for a logger whose package is not installed."""
    missing = [name for name in names if not _AVAILABLE[name]()]
    if missing:
        raise BackendMissing(
            f"training.watch.report_to={','.join(names)} needs {' and '.join(missing)}: "
            f"pip install {' '.join(missing)}, or take it out; log.jsonl is written anyway"
        )


def keep_events(callbacks: Sequence[TrainerCallback], folder: Path) -> None:
    """Let TensorBoard's events stand in the folder: where the library puts them, they go with the checkpoints."""
    for callback in callbacks:
        # A folder that the user named in TENSORBOARD_LOGGING_DIR stays.
        if isinstance(callback, TensorBoardCallback) and callback.logging_dir is None:
            callback.logging_dir = str(folder)
