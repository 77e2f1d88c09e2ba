"""Seconds per phase, kept beside a run and never part of its data."""

import time
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from pathlib import Path
from typing import Protocol

import orjson

from stablellava.core.record import Record
from stablellava.store.files import write_atomic
from stablellava.synthesis.reporting import SynthesisProgress


class PhaseDisplay(Protocol):
    """Shows how far a phase is; one method for what each room reports."""

    def show_synthesis(self, state: SynthesisProgress) -> None: ...

    def show_training(self, part: str, done: int, total: int, note: str) -> None: ...

    def show_answers(self, done: int, total: int) -> None: ...


ShowPhase = Callable[[str], AbstractContextManager[PhaseDisplay]]
"""Called with a phase's name; gives the display of that phase."""


class PhaseTime(Record):
    """What one phase took."""

    name: str
    seconds: float
    """In this call; little when an earlier call had done the work."""
    longest_seconds: float
    """In any call: what the work itself took, unless it was interrupted."""


class PhaseClock:
    """Times phases, shows them, and writes the timing file after each one."""

    def __init__(self, path: Path, show: ShowPhase) -> None:
        self._path = path
        self._show = show
        self._earlier = _read(path)
        self.phases: tuple[PhaseTime, ...] = ()

    @contextmanager
    def phase(self, name: str) -> Iterator[PhaseDisplay]:
        """Show and time the block; yields the phase's display."""
        started = time.perf_counter()
        with self._show(name) as display:
            yield display
        seconds = time.perf_counter() - started
        longest = max(seconds, self._earlier.get(name, 0.0))
        self.phases += (PhaseTime(name=name, seconds=seconds, longest_seconds=longest),)
        self._earlier[name] = longest
        write_atomic(self._path, orjson.dumps(self._earlier, option=orjson.OPT_INDENT_2))


def _read(path: Path) -> dict[str, float]:
    return dict(orjson.loads(path.read_bytes())) if path.exists() else {}
