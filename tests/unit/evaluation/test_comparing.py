from collections.abc import Callable

import pytest

from stablellava.core.errors import RecordError
from stablellava.core.score import EvalLog
from stablellava.evaluation.comparing import compare_logs
from stablellava.evaluation.gap import assess_transfer, compare_suites
from stablellava.evaluation.tables import comparison_table, gap_table, log_table

LogBuilder = Callable[..., EvalLog]


def test_gains_are_paired_per_capability_and_averaged_over_them(build_log: LogBuilder) -> None:
    before = build_log({"animal": "0000000000", "food": "1010101010"}, model="align")
    after = build_log({"animal": "1111111100", "food": "1010101010"}, model="instruct")
    comparison = compare_logs(before, after)
    animal, food = comparison.rows
    assert (animal.name, animal.num_gained, animal.num_lost) == ("animal", 8, 0)
    assert animal.gain.value == pytest.approx(0.8)
    assert animal.gain.is_above_zero
    assert animal.p_value == pytest.approx(2 / 2**8)
    assert (food.gain.value, food.p_value) == (0.0, 1.0)
    assert comparison.mean.gain.value == pytest.approx(0.4)
    assert "instruct stands above align by +40.0 points" in comparison.words
    assert "1 gain stands (animal), 0 losses stand, 1 undecided" in comparison.words


def test_pairing_makes_the_interval_narrower_than_two_independent_ones(build_log: LogBuilder) -> None:
    base = "10" * 25
    after = build_log({"animal": "11" * 3 + base[6:]}, model="after")
    row = compare_logs(build_log({"animal": base}), after).rows[0]
    assert row.gain.high - row.gain.low < 0.5 * (row.after.high - row.after.low + row.before.high - row.before.low)


def test_unscored_items_leave_the_pairing_and_are_counted(build_log: LogBuilder) -> None:
    comparison = compare_logs(build_log({"animal": "0-00"}), build_log({"animal": "11-1"}, model="b"))
    assert comparison.num_unpaired == 2
    assert (comparison.rows[0].num_items, comparison.rows[0].gain.value) == (2, 1.0)
    table = comparison_table(comparison)
    assert "2 items are left out" in table.to_text()
    assert table.rows[-1][-1] == f"{100 * comparison.mean.smallest_gain:.1f}"
    assert any(note.startswith("shows: the smallest difference") for note in table.notes)


def test_logs_of_different_items_are_not_compared(build_log: LogBuilder) -> None:
    with pytest.raises(RecordError, match="1 items stand in one only"):
        compare_logs(build_log({"animal": "00"}), build_log({"animal": "000"}))
    with pytest.raises(RecordError, match="not of the same suite"):
        compare_logs(build_log({"animal": "00"}), build_log({"animal": "00"}, suite="photos"))
    with pytest.raises(RecordError, match="share no scored item"):
        compare_logs(build_log({"animal": "--"}), build_log({"animal": "00"}))
    with pytest.raises(RecordError, match="share no scored item"):
        compare_logs(build_log({"animal": "10"}), build_log({"animal": "00"}), form="yes_no")


def test_the_gap_is_named_over_shared_capabilities(build_log: LogBuilder) -> None:
    generated = build_log({"animal": "1" * 40 + "0" * 10, "style": "0" * 50})
    real = build_log({"animal": "1" * 5 + "0" * 45, "food": "0" * 10}, suite="photos")
    gap = compare_suites(generated, real)
    assert [row.name for row in gap.rows] == ["animal"]
    assert gap.mean.gap.value == pytest.approx(0.7)
    assert gap.mean.gap.is_above_zero
    assert "a gap of +70.0 points" in gap.words
    assert "differs from zero" in gap.words
    assert "70.0" in gap_table(gap).to_text()


def test_a_gap_is_that_of_one_model_and_of_shared_capabilities(build_log: LogBuilder) -> None:
    with pytest.raises(RecordError, match="two models"):
        compare_suites(build_log({"animal": "1"}), build_log({"animal": "1"}, model="other"))
    with pytest.raises(RecordError, match="share no capability"):
        compare_suites(build_log({"animal": "1"}), build_log({"food": "1"}, suite="photos"))


def test_a_gain_that_does_not_show_on_photos_is_called_overfitting(build_log: LogBuilder) -> None:
    none, most = build_log({"animal": "0" * 50}), build_log({"animal": "1" * 40 + "0" * 10}, model="b")
    gained, flat = compare_logs(none, most), compare_logs(none, none)
    assert assess_transfer(gained, flat).is_overfit
    assert "over-fitting" in assess_transfer(gained, flat).words
    assert not assess_transfer(gained, gained).is_overfit
    assert "none to carry over" in assess_transfer(flat, flat).words


def test_a_log_prints_as_an_aligned_table(build_log: LogBuilder) -> None:
    text = log_table(build_log({"animal": "1100", "food": "1"})).to_text()
    lines = text.splitlines()
    assert lines[0] == "generated: model"
    assert len({len(line) for line in lines[2:4]}) == 1
    assert any(line.startswith("animal") and "50.0" in line for line in lines)
    assert any(line.startswith("mean") and "75.0" in line for line in lines)
    assert text.isascii()
