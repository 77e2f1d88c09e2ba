import pytest

from stablellava.cli.progress import show_progress
from stablellava.synthesis.reporting import SynthesisProgress


def test_without_a_terminal_the_end_of_a_phase_is_one_line(capsys: pytest.CaptureFixture[str]) -> None:
    with show_progress("paint") as progress:
        for done in range(1, 101):
            progress.show_synthesis(SynthesisProgress(0, "animal/r00-00000", done, 100, 7, 1.0))

    printed = capsys.readouterr()
    assert printed.out == ""
    assert printed.err.count("\n") == 1
    assert printed.err.startswith("paint: 100/100, ")
    assert printed.err.endswith("/s, 100 kept, 7 dropped\n")
