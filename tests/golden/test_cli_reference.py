from pathlib import Path

from stablellava.cli.reference import render_reference

PATH = Path(__file__).resolve().parents[2] / "docs" / "cli.md"


def test_the_command_reference_says_what_the_verbs_say() -> None:
    assert PATH.read_text(encoding="utf-8") == render_reference(), "run make golden and look at the diff"
