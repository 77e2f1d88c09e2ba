"""One bar per phase on stderr: rate, time left, and what was kept and dropped."""

import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, ProgressColumn, Task, TextColumn, TimeRemainingColumn
from rich.text import Text

if TYPE_CHECKING:
    from stablellava.synthesis.reporting import SynthesisProgress

_SECONDS_BETWEEN_LINES = 10.0


class _RateColumn(ProgressColumn):
    def render(self, task: Task) -> Text:
        speed = task.finished_speed or task.speed
        return Text(_format_rate(speed) if speed else "")


class PhaseProgress:
    """Counts of one phase, shown as a bar on a terminal and as a line now and then elsewhere.

    Has a method for what each room reports; satisfies ``studies.timing.PhaseDisplay``.
    """

    def __init__(self, name: str, bar: Progress | None) -> None:
        self._name = name
        self._bar = bar
        self._task = bar.add_task(name, total=None, note="") if bar else None
        self._part = ""
        self._num_found = self._num_done = 0
        self._began = self._last_line = time.monotonic()

    def show_synthesis(self, state: "SynthesisProgress") -> None:
        """Show samples kept of those wanted."""
        self._show_outcomes(state, state.num_accepted)

    def show_import(self, state: "SynthesisProgress") -> None:
        """Show rows looked at, whatever became of them."""
        self._show_outcomes(state, state.num_accepted + state.num_rejected)

    def show_training(self, part: str, done: int, total: int, note: str) -> None:
        """Show steps, or pictures whose features are computed."""
        self._show(f"{self._name}: {part}", done, total, note)

    def show_answers(self, done: int, total: int) -> None:
        """Show questions answered."""
        self._show(self._name, done, total, "")

    def show_export(self, done: int, total: int, num_bytes: int) -> None:
        """Show samples written."""
        self._show(self._name, done, total, f"{num_bytes / 1e6:,.0f} MB written")

    def _show_outcomes(self, state: "SynthesisProgress", done: int) -> None:
        if state.is_found:
            self._part = ""  # what an earlier start made says nothing about the rate
        note = f"{state.num_accepted:,} kept, {state.num_rejected:,} dropped"
        self._show(self._name, done, state.num_wanted, note)

    def _show(self, name: str, done: int, total: int, note: str) -> None:
        # Steps do not take as long as what came before them, and a next source counts from its own start.
        if name != self._part or done < self._num_done:
            self._part, self._num_found, self._began = name, done, time.monotonic()
            if self._bar is not None and self._task is not None:
                self._bar.reset(self._task)
        self._num_done = done
        if self._bar is not None and self._task is not None:
            self._bar.update(self._task, description=name, completed=done, total=total, note=note)
            return
        now = time.monotonic()
        if now - self._last_line >= _SECONDS_BETWEEN_LINES or (done == total and total):
            self._last_line = now
            sys.stderr.write(self._line(done, total, note, now - self._began) + "\n")

    def _line(self, done: int, total: int, note: str, seconds: float) -> str:
        # What stood at the first report was not done since.
        rate = (done - self._num_found) / seconds if seconds > 0 else 0.0
        left = f"{(total - done) / rate:.0f} s left" if rate and done < total else ""
        facts = (f"{done:,}/{total:,}", _format_rate(rate) if rate else "", left, note)
        return f"{self._part}: {', '.join(fact for fact in facts if fact)}"


def _format_rate(per_second: float) -> str:
    return f"{per_second:,.1f}/s" if per_second >= 1 else f"{1 / per_second:,.1f} s each"


@contextmanager
def show_progress(name: str) -> Iterator[PhaseProgress]:
    """Show a phase while the block runs."""
    console = Console(stderr=True)
    if not console.is_terminal:
        yield PhaseProgress(name, None)
        return
    columns = (
        TextColumn("{task.description}", markup=False),
        BarColumn(),
        MofNCompleteColumn(),
        _RateColumn(),
        TimeRemainingColumn(),
        TextColumn("{task.fields[note]}", markup=False),
    )
    with Progress(*columns, console=console) as bar:
        yield PhaseProgress(name, bar)
