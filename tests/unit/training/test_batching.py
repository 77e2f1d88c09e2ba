import numpy as np
import pytest

from stablellava.training.batching import StepShape, draw_examples, padding_share, plan_steps


def test_no_example_comes_twice_before_all_came_once() -> None:
    drawn = draw_examples(10, num_samples=25, num_epochs=1.0, seed=1).tolist()
    assert sorted(drawn[:10]) == sorted(drawn[10:20]) == list(range(10))
    assert len(set(drawn[20:])) == 5


def test_epochs_count_when_no_number_of_samples_is_given() -> None:
    assert len(draw_examples(10, num_samples=None, num_epochs=1.5, seed=1)) == 15


def test_steps_depend_on_the_seed_alone() -> None:
    lengths = [index % 17 for index in range(100)]
    shape = StepShape(8)
    plans = [plan_steps(lengths, draw_examples(100, None, 1.0, seed), shape, seed).batches() for seed in (1, 1, 2)]
    assert plans[0] == plans[1] != plans[2]
    assert sorted(index for batch in plans[0] for index in batch) == list(range(100))
    assert [len(batch) for batch in plans[0]] == [*[8] * 12, 4]


@pytest.mark.parametrize("shape", [StepShape(3, 4), StepShape(3, 2, 2), StepShape(6, 1, 2)])
def test_how_a_step_is_cut_does_not_change_what_it_learns(shape: StepShape) -> None:
    lengths = [index % 17 for index in range(100)]
    drawn = draw_examples(100, None, 1.0, seed=5)
    whole, cut = plan_steps(lengths, drawn, StepShape(12), seed=5), plan_steps(lengths, drawn, shape, seed=5)
    assert whole.steps == cut.steps
    assert cut.num_steps == 9


@pytest.mark.parametrize("balanced", [False, True])
def test_processes_share_a_step_in_equally_many_batches(balanced: bool) -> None:
    lengths = [5 + index % 17 for index in range(41)]
    plan = plan_steps(lengths, draw_examples(41, None, 1.0, seed=5), StepShape(3, 2, 3), seed=5)
    shares = [plan.batches(process, balanced=balanced) for process in range(3)]
    assert [len(share) for share in shares] == [plan.num_steps * 2] * 3
    for number, step in enumerate(plan.steps):
        together = [index for share in shares for batch in share[2 * number : 2 * number + 2] for index in batch]
        assert sorted(together) == sorted(step)


def test_balanced_batches_hold_about_equally_many_tokens() -> None:
    lengths = np.random.default_rng(0).integers(20, 900, 64).tolist()
    plan = plan_steps(lengths, draw_examples(64, None, 1.0, seed=1), StepShape(8, 1, 2), seed=1, grouped=False)
    for own, other in zip(plan.batches(0, balanced=True), plan.batches(1, balanced=True), strict=True):
        tokens = [sum(lengths[index] for index in batch) for batch in (own, other)]
        assert max(tokens) < 1.1 * min(tokens)


def test_ungrouped_steps_keep_the_drawn_order() -> None:
    drawn = draw_examples(20, None, 1.0, seed=1)
    plan = plan_steps(list(range(20)), drawn, StepShape(6), seed=1, grouped=False)
    assert plan.drawn() == drawn.tolist()


def test_grouping_by_length_leaves_little_padding_and_a_random_order() -> None:
    lengths = np.random.default_rng(0).integers(20, 200, 1000).tolist()
    drawn = draw_examples(1000, None, 1.0, seed=3)
    in_drawn_order = plan_steps(lengths, drawn, StepShape(16), seed=3, grouped=False).batches()
    grouped = plan_steps(lengths, drawn, StepShape(16), seed=3).batches()
    assert padding_share(lengths, in_drawn_order) > 0.3
    assert padding_share(lengths, grouped) < 0.08
    longest = [max(lengths[index] for index in batch) for batch in grouped[:16]]
    assert longest != sorted(longest)
    assert longest != sorted(longest, reverse=True)
