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


def test_what_an_earlier_start_made_does_not_count_as_speed(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    now = [0.0]
    monkeypatch.setattr("stablellava.cli.progress.time.monotonic", lambda: now[0])
    with show_progress("paint") as progress:
        for done in (30, 60, 90):
            now[0] += 0.001
            progress.show_synthesis(SynthesisProgress(0, "animal/r00-00000", done, 100, 0, 1.0, is_found=True))
        now[0] += 5.0
        progress.show_synthesis(SynthesisProgress(0, "animal/r00-00001", 100, 100, 0, 6.0))

    assert capsys.readouterr().err == "paint: 100/100, 2.0/s, 100 kept, 0 dropped\n"


def test_a_next_source_that_is_counted_anew_has_a_rate_of_its_own(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    now = [0.0]
    monkeypatch.setattr("stablellava.cli.progress.time.monotonic", lambda: now[0])
    with show_progress("instruct") as progress:
        for done, total in ((1000, 3000), (3000, 3000), (100, 200), (200, 200)):
            now[0] += 1.0
            progress.show_training("checking", done, total, "")

    lines = capsys.readouterr().err.splitlines()
    assert lines == ["instruct: checking: 3,000/3,000, 2,000.0/s", "instruct: checking: 200/200, 100.0/s"]
