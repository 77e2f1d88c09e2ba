import json
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from stablellava.studies.timing import PhaseClock, PhaseDisplay
from stablellava.synthesis.reporting import SynthesisProgress


class Silent:
    """A display that shows nothing."""

    def show_synthesis(self, state: SynthesisProgress) -> None:
        del state

    def show_training(self, part: str, done: int, total: int, note: str) -> None:
        del part, done, total, note

    def show_answers(self, done: int, total: int) -> None:
        del done, total


@contextmanager
def show_nothing(name: str) -> Iterator[PhaseDisplay]:
    del name
    yield Silent()


def test_every_phase_is_timed_and_written_as_soon_as_it_is_done(tmp_path: Path) -> None:
    path = tmp_path / "timing.json"
    clock = PhaseClock(path, show_nothing)

    with clock.phase("synthesize"):
        assert not path.exists()
    written = json.loads(path.read_bytes())

    assert written == {"synthesize": clock.phases[0].seconds}


def test_a_phase_that_only_found_its_work_done_keeps_the_time_the_work_took(tmp_path: Path) -> None:
    path = tmp_path / "timing.json"
    path.write_text('{"train align": 100.0}')
    clock = PhaseClock(path, show_nothing)

    with clock.phase("train align"):
        pass

    assert json.loads(path.read_bytes()) == {"train align": 100.0}
    assert clock.phases[0].seconds < 100.0 == clock.phases[0].longest_seconds


def test_a_phase_that_failed_is_not_timed(tmp_path: Path) -> None:
    clock = PhaseClock(tmp_path / "timing.json", show_nothing)

    with pytest.raises(RuntimeError), clock.phase("synthesize"):
        raise RuntimeError

    assert clock.phases == ()
