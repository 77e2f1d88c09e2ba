"""What a comparison says of luck, of a planted gap, of shared pictures and of scores between right and wrong."""

import numpy as np
import pytest

from stablellava.core.errors import RecordError
from stablellava.core.score import Answer, ItemScore, TaskEntry, TaskItem, TaskLog, TaskLogHeader
from stablellava.evaluation.comparing import compare_pairs, compare_task_logs
from stablellava.evaluation.pairing import PairedItem, Pairing

NUM_GROUPS = 10


def pair_answers(before: np.ndarray, after: np.ndarray, cluster_size: int = 1) -> Pairing:
    return Pairing(
        tuple(
            PairedItem(str(i), f"g{i % NUM_GROUPS}", f"c{i // cluster_size}", float(b), float(a))
            for i, (b, a) in enumerate(zip(before, after, strict=True))
        ),
        num_unpaired=0,
    )


def sample_twice(rng: np.random.Generator, num_items: int) -> tuple[np.ndarray, np.ndarray]:
    """Two rounds of sampled answers of the same weights: each item has its own chance of being right."""
    chances = rng.beta(0.7, 0.5, num_items)
    return rng.random(num_items) < chances, rng.random(num_items) < chances


def test_two_models_that_differ_by_luck_are_not_called_different() -> None:
    verdicts = []
    for repeat in range(100):
        before, after = sample_twice(np.random.default_rng(repeat), 400)
        comparison = compare_pairs(pair_answers(before, after), "s", "a", "b")
        verdicts.append({comparison.mean.verdict, *(row.verdict for row in comparison.rows)})
    assert sum("gain" not in verdict and "loss" not in verdict for verdict in verdicts) >= 93


def test_luck_is_not_called_a_difference_where_questions_share_their_pictures() -> None:
    alarms = 0
    for repeat in range(100):
        rng = np.random.default_rng(1000 + repeat)
        # Six questions on a picture stand and fall together: an interval over questions would be far too narrow.
        before, after = (np.repeat(side, 6) for side in sample_twice(rng, 60))
        alarms += compare_pairs(pair_answers(before, after, cluster_size=6), "s", "a", "b").mean.verdict != "undecided"
    assert alarms <= 7


def test_a_planted_gap_of_five_points_on_a_thousand_items_is_found() -> None:
    for repeat in range(10):
        rng = np.random.default_rng(repeat)
        before = rng.random(1000) < 0.6
        after = before.copy()
        after[rng.choice(np.flatnonzero(~before), 75, replace=False)] = True
        after[rng.choice(np.flatnonzero(before), 25, replace=False)] = False
        comparison = compare_pairs(pair_answers(before, after), "s", "a", "b")
        assert comparison.mean.verdict == "gain"
        assert comparison.mean.gain.value == pytest.approx(0.05)
        assert comparison.mean.smallest_gain < 0.05
        assert "b stands above a by +5.0 points" in comparison.words


def test_a_gain_in_one_of_many_groups_has_to_survive_the_correction() -> None:
    before = np.zeros(200)
    after = np.where((np.arange(200) % NUM_GROUPS == 3) & (np.arange(200) < 70), 1.0, 0.0)
    comparison = compare_pairs(pair_answers(before, after), "s", "a", "b")
    row = comparison.rows[3]
    assert row.p_value == pytest.approx(2 / 2**7)
    assert row.p_adjusted == pytest.approx(10 * 2 / 2**7)
    assert row.gain.is_above_zero and row.verdict == "undecided"
    assert "after Holm's correction for 10, 0 gains stand" in comparison.words


def test_scores_between_right_and_wrong_are_compared_by_their_means() -> None:
    before = np.tile([0.0, 0.3, 0.6, 0.9], 50)
    comparison = compare_pairs(pair_answers(before, before + 0.1), "s", "a", "b")
    assert comparison.mean.gain.value == pytest.approx(0.1)
    assert all(row.gain.value == pytest.approx(0.1) and row.verdict == "gain" for row in comparison.rows)
    assert comparison.mean.num_gained == 200


def test_nothing_changed_leaves_room_for_what_few_items_cannot_show() -> None:
    row = compare_pairs(pair_answers(np.ones(30), np.ones(30), cluster_size=3), "s", "a", "b").mean
    assert (row.gain.value, row.p_value, row.verdict) == (0.0, 1.0, "undecided")
    assert row.gain.low < 0 < row.gain.high


def task_log(values: dict[str, float | None], model: str = "a", variant: str = "circular") -> TaskLog:
    """Build a log of passes, named as "question/pass"."""
    entries = tuple(
        TaskEntry(
            item=TaskItem(item_id=name, form="choice", prompt="?", question="?", unit=name.partition("/")[0]),
            answer=Answer(item_id=name, prompt="?", text="A"),
            score=ItemScore(item_id=name, value=value),
        )
        for name, value in values.items()
    )
    header = TaskLogHeader(
        task="mmbench", variant=variant, model=model, model_fingerprint=model, data_path="x", data_fingerprint="d",
        num_items=len(entries), package_version="0", reports=(),
    )  # fmt: skip
    return TaskLog(header=header, entries=entries)


def test_a_question_asked_in_passes_counts_once_and_is_right_if_every_pass_is() -> None:
    before = task_log({"1/0": 1.0, "1/1": 0.0, "2/0": 1.0, "2/1": 1.0, "3/0": None, "3/1": 1.0})
    after = task_log({"1/0": 1.0, "1/1": 1.0, "2/0": None, "2/1": 0.0, "3/0": 1.0, "3/1": 1.0}, model="b")
    comparison = compare_task_logs(before, after)
    assert (comparison.suite, comparison.mean.num_items, comparison.num_unpaired) == ("mmbench:circular", 2, 1)
    assert (comparison.mean.num_gained, comparison.mean.num_lost) == (1, 1)


def test_logs_of_different_protocols_are_not_compared() -> None:
    with pytest.raises(RecordError, match="variant 'circular' and 'vanilla'"):
        compare_task_logs(task_log({"1/0": 1.0}), task_log({"1/0": 1.0}, variant="vanilla"))
