import math

import numpy as np
import pytest

from stablellava.evaluation.statistics import (
    bootstrap_macro_difference,
    bootstrap_macro_mean,
    bootstrap_mean,
    mcnemar_exact,
    resample_means,
    wilson_interval,
)


@pytest.mark.parametrize(
    ("num_right", "num_items", "low", "high"),
    # Published values: Newcombe 1998, table I, method 3 (81/263, 15/148, 0/20, 1/29).
    [(81, 263, 0.2553, 0.3662), (15, 148, 0.0624, 0.1605), (0, 20, 0.0, 0.1611), (1, 29, 0.0061, 0.1718)],
)
def test_wilson_intervals_equal_published_ones(num_right: int, num_items: int, low: float, high: float) -> None:
    interval = wilson_interval(num_right, num_items)
    assert interval.value == num_right / num_items
    assert interval.low == pytest.approx(low, abs=5e-5)
    assert interval.high == pytest.approx(high, abs=5e-5)


def test_a_share_of_nothing_has_no_interval() -> None:
    with pytest.raises(ValueError, match="0 items"):
        wilson_interval(0, 0)


def test_resampled_means_have_the_standard_error_of_the_mean() -> None:
    scores = [1.0] * 30 + [0.0] * 70
    means = resample_means(scores, np.random.default_rng(1), 20_000)
    assert means.mean() == pytest.approx(0.3, abs=0.002)
    assert means.std() == pytest.approx(math.sqrt(0.3 * 0.7 / 100), rel=0.03)


def test_a_bootstrap_is_repeatable_and_does_not_depend_on_order() -> None:
    scores = [1.0, 0.0, 0.0, 1.0, -1.0]
    assert bootstrap_mean(scores, seed=7) == bootstrap_mean(scores[::-1], seed=7)
    assert bootstrap_macro_mean({"a": [1, 0], "b": [1, 1, 0]}, seed=7) == bootstrap_macro_mean(
        {"b": [0, 1, 1], "a": [0, 1]}, seed=7
    )


def test_the_macro_mean_counts_every_group_the_same() -> None:
    interval = bootstrap_macro_mean({"small": [1.0], "large": [0.0] * 99}, seed=1)
    assert interval == (0.5, 0.5, 0.5)


def test_a_clear_paired_gain_excludes_zero_and_noise_does_not() -> None:
    assert bootstrap_mean([1.0] * 20 + [0.0] * 30, seed=1).excludes_zero
    assert not bootstrap_mean([1.0] * 10 + [-1.0] * 9 + [0.0] * 30, seed=1).excludes_zero


def test_the_difference_of_independent_groups_is_wider_than_either() -> None:
    scores = {"a": [1.0] * 25 + [0.0] * 25}
    single = bootstrap_macro_mean(scores, seed=1)
    difference = bootstrap_macro_difference(scores, scores, seed=1)
    assert difference.value == 0.0
    ratio = (difference.high - difference.low) / (single.high - single.low)
    assert ratio == pytest.approx(math.sqrt(2), rel=0.1)


def test_a_mean_over_an_empty_group_is_refused() -> None:
    with pytest.raises(ValueError, match="no empty one"):
        bootstrap_macro_mean({"a": []}, seed=1)


@pytest.mark.parametrize(
    ("num_gained", "num_lost", "expected"),
    [(0, 0, 1.0), (5, 5, 1.0), (10, 0, 2 / 2**10), (1, 9, 2 * 11 / 2**10), (6, 16, 0.0524789)],
)
def test_mcnemar_is_the_exact_binomial_test(num_gained: int, num_lost: int, expected: float) -> None:
    assert mcnemar_exact(num_gained, num_lost) == pytest.approx(expected, rel=1e-5)


def test_mcnemar_takes_thousands_of_changes() -> None:
    assert 0 <= mcnemar_exact(3000, 1000) < 1e-100
