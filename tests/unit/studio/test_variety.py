from html import unescape
from pathlib import Path

import pytest

from scripted import RoundRunner, fill_five_forms, repeat_five, write_by_grammar
from stablellava.capabilities import load_capability
from stablellava.config.synthesis import PoolSettings
from stablellava.store.layout import RunLayout
from stablellava.store.shards import commit_shard
from stablellava.studio.report import write_report
from stablellava.studio.variety import view_variety
from stablellava.synthesis.evolution import Evolution, read_rounds

HEALTHY = (write_by_grammar,) * 4
COLLAPSING = (write_by_grammar, write_by_grammar, repeat_five, fill_five_forms)


@pytest.fixture
def layout(tmp_path: Path) -> RunLayout:
    """A run of two capabilities: one whose writer stays healthy, one whose writer collapses twice."""
    layout, settings = RunLayout(tmp_path / "run"), PoolSettings(round_size=30)
    capabilities = [load_capability("food"), load_capability("animal")]
    evolution = Evolution(layout.data_dir, capabilities, settings)
    for capability, script in zip(capabilities, (HEALTHY, COLLAPSING), strict=True):
        runner = RoundRunner(evolution, capability, settings)
        for index, write in enumerate(script):
            runner.run(write)
            commit_shard(layout.data_dir, f"{capability.name}/r{index:02d}-00000", runner.committed[index])
    return layout


def test_the_report_draws_curves_per_round_and_says_what_the_guard_did(layout: RunLayout) -> None:
    page = unescape(write_report(layout).read_text(encoding="utf-8"))
    assert "4 rounds; collapsed: 3 and 4; drafting was stopped" in page
    assert "4 rounds, none collapsed" in page
    assert page.index(">animal <small>4 rounds; collapsed") < page.index(">food <small>4 rounds, none")
    for name in ("Vendi score", "distinct-4", "self-BLEU", "effective number of keywords", "grown exemplars"):
        assert page.count(f'aria-label="{name}') == 2
    assert page.count('class="words bad">collapsed: ') == 2


def test_collapsed_rounds_are_marked_in_every_curve(layout: RunLayout) -> None:
    animal, food = view_variety(read_rounds(layout.data_dir))
    assert [str(chart).count('class="mark"') for chart in animal.charts] == [2] * 5
    assert [str(chart).count('class="mark"') for chart in food.charts] == [0] * 5


def test_curves_hold_one_dot_per_round_and_side(layout: RunLayout) -> None:
    (_, food) = view_variety(read_rounds(layout.data_dir))
    assert [str(chart).count("<circle") for chart in food.charts] == [8, 8, 8, 4, 8]


def test_one_round_is_told_in_a_table_without_curves(layout: RunLayout) -> None:
    first = {"food": read_rounds(layout.data_dir)["food"][:1]}
    (view,) = view_variety(first)
    assert (view.charts, view.words) == ((), "1 round, none collapsed")


def test_a_damaged_round_is_named_and_the_rest_is_shown(layout: RunLayout) -> None:
    (layout.data_dir / "pools" / "food" / "r01.json").write_text("{broken")
    page = write_report(layout).read_text(encoding="utf-8")
    assert "The rounds of the pool could not be read in full" in page


def test_words_of_a_writer_are_escaped(tmp_path: Path) -> None:
    layout, settings, animal = RunLayout(tmp_path / "run"), PoolSettings(round_size=30), load_capability("animal")
    runner = RoundRunner(Evolution(layout.data_dir, [animal], settings), animal, settings)
    record = runner.run(write_by_grammar)
    hostile = record.model_copy(
        update={"verdict": record.verdict.model_copy(update={"reason": "<script>alert(1)</script>"})}
    )
    (layout.data_dir / "pools" / "animal" / "r00.json").write_bytes(hostile.to_json())
    assert "<script" not in write_report(layout).read_text(encoding="utf-8")
