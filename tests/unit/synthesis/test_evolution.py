from collections.abc import Sequence
from pathlib import Path

import pytest

from scripted import Outcome, RoundRunner, Write, fill_five_forms, repeat_five, write_by_grammar
from stablellava.capabilities import load_capability
from stablellava.config.synthesis import CollapseSettings, PoolSettings
from stablellava.core.sample import Rejected
from stablellava.synthesis.diversity import Vectors, embed_ngrams
from stablellava.synthesis.evolution import COLLAPSED, Evolution, read_rounds

SETTINGS = PoolSettings(round_size=40)


def start(data_dir: Path, capability: str = "animal", settings: PoolSettings = SETTINGS) -> RoundRunner:
    loaded = load_capability(capability)
    return RoundRunner(Evolution(data_dir, [loaded], settings), loaded, settings)


def go_again(runner: RoundRunner, rounds: Sequence[list[Outcome]]) -> None:
    """Take a run up after a restart: committed rounds are judged and counted again."""
    for index, committed in enumerate(rounds):
        assert runner.evolution.judge("animal", index, committed) == committed
        runner.evolution.advance("animal", index, committed)
        runner.tally.add(committed)
        runner.committed.append(committed)


@pytest.mark.parametrize("collapsed_writer", [repeat_five, fill_five_forms])
def test_a_writer_that_collapses_after_round_two_is_noticed_in_the_next_and_the_pool_goes_back(
    tmp_path: Path, collapsed_writer: Write
) -> None:
    runner = start(tmp_path)
    first, second = runner.run(write_by_grammar), runner.run(write_by_grammar)
    assert (first.action, second.action) == ("evolved", "evolved")
    third = runner.run(collapsed_writer)
    assert third.verdict.collapsed
    assert third.action == "rolled_back"
    assert third.pool == first.pool != second.pool
    assert third.num_accepted == 0
    assert {outcome.reason for outcome in runner.committed[2] if isinstance(outcome, Rejected)} == {COLLAPSED}
    (note,) = runner.evolution.notes
    assert note.startswith("animal, round 3 collapsed: ")
    assert "40 drafts are rejected" in note


def test_after_going_back_good_rounds_stand_but_the_pool_evolves_no_further(tmp_path: Path) -> None:
    runner = start(tmp_path)
    for write in (write_by_grammar, write_by_grammar, repeat_five):
        runner.run(write)
    fourth = runner.run(write_by_grammar)
    assert (fourth.action, fourth.num_accepted, fourth.is_frozen) == ("kept", 40, True)
    assert fourth.pool == read_rounds(tmp_path)["animal"][2].pool
    assert not runner.evolution.why_stopped("animal")


def test_a_second_collapse_on_the_good_pool_stops_the_capability_in_plain_words(tmp_path: Path) -> None:
    runner = start(tmp_path)
    for write in (write_by_grammar, write_by_grammar, repeat_five, repeat_five):
        runner.run(write)
    assert "collapsed again in round 4" in runner.evolution.why_stopped("animal")
    assert runner.evolution.notes[-1].endswith("stopped")


def test_a_writer_that_never_had_variety_is_refused_in_the_first_round(tmp_path: Path) -> None:
    record = start(tmp_path).run(repeat_five)
    assert record.verdict.measure == "share of different prompts"
    assert record.verdict.value == pytest.approx(5 / 40)
    assert record.action == "rolled_back"
    assert record.pool.num_grown == (0, 0)


def test_rounds_go_on_after_a_restart_with_the_same_pools(tmp_path: Path) -> None:
    script = (write_by_grammar, write_by_grammar, repeat_five, write_by_grammar)
    whole = start(tmp_path / "whole")
    for write in script:
        whole.run(write)
    torn = start(tmp_path / "torn")
    for write in script[:3]:
        torn.run(write)
    again = start(tmp_path / "torn")
    go_again(again, torn.committed)
    again.run(write_by_grammar)
    assert read_rounds(tmp_path / "torn") == read_rounds(tmp_path / "whole")
    assert again.committed == whole.committed


def test_what_was_saved_of_a_round_is_not_measured_again_and_a_damaged_record_is_made_anew(tmp_path: Path) -> None:
    embedded: list[int] = []

    def embed(texts: Sequence[str]) -> Vectors:
        embedded.append(len(texts))
        return embed_ngrams(texts)

    def begin() -> RoundRunner:
        return RoundRunner(Evolution(tmp_path, [animal], SETTINGS, embed), animal, SETTINGS)

    animal = load_capability("animal")
    whole = begin()
    for _ in range(3):
        whole.run(write_by_grammar)
    before = read_rounds(tmp_path)
    embedded.clear()
    go_again(begin(), whole.committed)
    assert embedded == []
    (tmp_path / "pools" / "animal" / "r01.json").write_text("{torn")
    go_again(begin(), whole.committed)
    assert embedded
    assert read_rounds(tmp_path) == before


def test_too_few_drafts_are_not_judged_and_the_pool_does_not_evolve_on_them(tmp_path: Path) -> None:
    runner = start(tmp_path, settings=PoolSettings(round_size=10, collapse=CollapseSettings(min_drafts=11)))
    record = runner.run(repeat_five)
    assert record.verdict.reason == "not judged: 10 readable drafts, 11 are needed to compare"
    assert (record.action, record.num_accepted) == ("kept", 10)


def test_a_round_has_to_be_judged_before_it_is_committed(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="was not judged"):
        start(tmp_path).evolution.advance("animal", 0, [])
