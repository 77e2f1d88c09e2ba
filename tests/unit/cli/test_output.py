import pytest
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
