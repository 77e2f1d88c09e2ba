import pytest

from stablellava.cli.progress import show_progress


def test_without_a_terminal_the_end_of_a_phase_is_one_line(capsys: pytest.CaptureFixture[str]) -> None:
    with show_progress("paint") as progress:
        for done in range(1, 101):
            progress(done, 100, kept=done - 1, dropped=1)

    printed = capsys.readouterr()
    assert printed.out == ""
    assert printed.err.count("\n") == 1
    assert printed.err.startswith("paint: 100/100, ")
    assert printed.err.endswith("/s, 99 kept, 1 dropped\n")
