"""What a stage tells while it runs."""

from collections.abc import Callable

from stablellava.training.step_log import StepRow

Progress = Callable[[str, int, int, str], None]
"""Called with a phase ("model", "features", "solving", "steps"), done, total and a note ("loss 2.31")."""


def note_of_step(row: StepRow) -> str:
    """Return a step in a few words; a loss that stands out names the samples to look at."""
    note = f"loss {row.loss:.3f}, {row.seconds:.1f} s"
    return f"{note}; stands out, samples {', '.join(row.suspects)}" if row.suspects else note


def tell_nobody(phase: str, done: int, total: int, note: str) -> None:
    """Take progress for a caller that shows none."""
    del phase, done, total, note
