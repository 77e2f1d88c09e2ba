"""One bar per phase on stderr: rate, time left, and what was kept and dropped."""

import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager

from rich.console import Console
from rich.progress import BarColumn, Progress, ProgressColumn, Task, TextColumn, TimeRemainingColumn
from rich.text import Text

_SECONDS_BETWEEN_LINES = 10.0


class _RateColumn(ProgressColumn):
    def render(self, task: Task) -> Text:
        speed = task.finished_speed or task.speed
        return Text(f"{speed:,.1f}/s" if speed else "")


class PhaseProgress:
    """Counts of one phase, shown as a bar on a terminal and as a line now and then elsewhere.

    Called with (done, total) or (done, total, kept, dropped), as the rooms below report.
    """

    def __init__(self, name: str, bar: Progress | None) -> None:
        self._name = name
        self._bar = bar
        self._task = bar.add_task(name, total=None, outcome="") if bar else None
        self._began = self._last_line = time.monotonic()

    def __call__(self, done: int, total: int, kept: int | None = None, dropped: int = 0) -> None:
        outcome = "" if kept is None else f"{kept:,} kept, {dropped:,} dropped"
        if self._bar is not None and self._task is not None:
            self._bar.update(self._task, completed=done, total=total, outcome=outcome)
            return
        now = time.monotonic()
        if now - self._last_line >= _SECONDS_BETWEEN_LINES or (done == total and total):
            self._last_line = now
            sys.stderr.write(self._line(done, total, outcome, now - self._began) + "\n")

    def _line(self, done: int, total: int, outcome: str, seconds: float) -> str:
        rate = done / seconds if seconds > 0 else 0.0
        left = f", {(total - done) / rate:.0f} s left" if rate and done < total else ""
        return f"{self._name}: {done:,}/{total:,}, {rate:,.1f}/s{left}{', ' + outcome if outcome else ''}"


@contextmanager
def show_progress(name: str) -> Iterator[PhaseProgress]:
    """Show a phase while the block runs."""
    console = Console(stderr=True)
    if not console.is_terminal:
        yield PhaseProgress(name, None)
        return
    columns = (
        TextColumn("{task.description:<10}"),
        BarColumn(),
        TextColumn("{task.completed:,.0f}/{task.total}"),
        _RateColumn(),
        TimeRemainingColumn(),
        TextColumn("{task.fields[outcome]}"),
    )
    with Progress(*columns, console=console) as bar:
        yield PhaseProgress(name, bar)
