import numpy as np

from stablellava.training.batching import draw_examples, padding_share, plan_steps


def test_no_example_comes_twice_before_all_came_once() -> None:
    drawn = draw_examples(10, num_samples=25, num_epochs=1.0, seed=1).tolist()
    assert sorted(drawn[:10]) == sorted(drawn[10:20]) == list(range(10))
    assert len(set(drawn[20:])) == 5


def test_epochs_count_when_no_number_of_samples_is_given() -> None:
    assert len(draw_examples(10, num_samples=None, num_epochs=1.5, seed=1)) == 15


def test_steps_depend_on_the_seed_alone() -> None:
    lengths = [index % 17 for index in range(100)]
    plans = [plan_steps(lengths, draw_examples(100, None, 1.0, seed), 8, 1, seed).batches for seed in (1, 1, 2)]
    assert plans[0] == plans[1] != plans[2]
    assert sorted(index for batch in plans[0] for index in batch) == list(range(100))
    assert [len(batch) for batch in plans[0]] == [*[8] * 12, 4]


def test_how_a_step_is_cut_into_batches_does_not_change_what_it_learns() -> None:
    lengths = [index % 17 for index in range(100)]
    drawn = draw_examples(100, None, 1.0, seed=5)
    whole, cut = plan_steps(lengths, drawn, 12, 1, seed=5), plan_steps(lengths, drawn, 3, 4, seed=5)
    assert whole.num_steps == cut.num_steps == 9
    assert [whole.examples_of(step) for step in range(9)] == [cut.examples_of(step) for step in range(9)]


def test_grouping_by_length_leaves_little_padding_and_a_random_order() -> None:
    lengths = np.random.default_rng(0).integers(20, 200, 1000).tolist()
    drawn = draw_examples(1000, None, 1.0, seed=3)
    in_drawn_order = [drawn[start : start + 16].tolist() for start in range(0, 1000, 16)]
    grouped = plan_steps(lengths, drawn, 16, 1, seed=3).batches
    assert padding_share(lengths, in_drawn_order) > 0.3
    assert padding_share(lengths, grouped) < 0.08
    longest = [max(lengths[index] for index in batch) for batch in grouped[:16]]
    assert longest != sorted(longest)
    assert longest != sorted(longest, reverse=True)
