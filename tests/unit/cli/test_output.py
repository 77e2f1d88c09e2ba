import re

import pytest
from rich.console import Group
from rich.tree import Tree

from stablellava.cli.output import print_result
from stablellava.cli.tables import result_table, text_table
from stablellava.evaluation.tables import Table

QUOTED = "[b]bold[/b] [/INST] [dog] :car:"


def test_what_models_and_files_say_is_printed_as_it_is(capsys: pytest.CaptureFixture[str]) -> None:
    tree = Tree(QUOTED)
    tree.add(QUOTED)
    table = Table(QUOTED, (QUOTED,), ((QUOTED,),), (QUOTED,))
    print_result({}, False, QUOTED, text_table(("said",), [(QUOTED,)]), result_table(table), tree)
    assert capsys.readouterr().out.count(QUOTED) == 8


@pytest.mark.parametrize("is_grouped", [True, False])
def test_a_table_on_a_narrow_terminal_cuts_nothing_off(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch, is_grouped: bool
) -> None:
    monkeypatch.setenv("FORCE_COLOR", "1")  # what rich takes for a terminal
    monkeypatch.setenv("COLUMNS", "80")
    headers = ("capability", "items", "before %", "after %", "gain", "95 % interval", "p, corrected", "shows", "path")
    path = "runs/some/where/with-a-name-that-does-not-end-soon/model.safetensors"
    row = ("profession", "50", "14.0", "38.0", "+24.0", "+8.8 to +38.1", "<0.001", "21.9", path)
    table = text_table(headers, [row])

    print_result({}, False, Group(table, "") if is_grouped else table)

    lines = re.sub(r"\x1b\[[0-9;]*m", "", capsys.readouterr().out).splitlines()
    assert max(map(len, lines)) <= 80
    assert "\N{HORIZONTAL ELLIPSIS}" not in "".join(lines)
    assert "profession" in "".join(lines)
    cells = [line.split("\N{BOX DRAWINGS LIGHT VERTICAL}") for line in lines if line.startswith("\u2502")]
    assert "".join(line[-2].strip() for line in cells) == path
