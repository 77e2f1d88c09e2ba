"""Which checkpoints of a stage are whole."""

import shutil
from pathlib import Path

MARKER_NAME = "complete"
"""Written last: a folder without it was torn by a kill."""


def find_checkpoint(folder: Path) -> Path | None:
    """Return the newest complete checkpoint below a folder; torn ones are deleted."""
    complete: list[Path] = []
    for path in folder.glob("checkpoint-*"):
        if (path / MARKER_NAME).is_file():
            complete.append(path)
        else:
            shutil.rmtree(path)
    return max(complete, key=step_of, default=None)


def step_of(checkpoint: Path) -> int:
    """Return the step that a checkpoint was written after."""
    return int(checkpoint.name.rpartition("-")[2])
