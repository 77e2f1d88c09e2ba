import itertools
import math

import numpy as np
import pytest

from stablellava.evaluation.statistics import (
    bootstrap_macro_difference,
    bootstrap_macro_mean,
    independent_difference,
    mcnemar_exact,
    paired_difference,
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
    assert bootstrap_macro_mean({"a": [1, 0], "b": [1, 1, 0]}, seed=7) == bootstrap_macro_mean(
        {"b": [0, 1, 1], "a": [0, 1]}, seed=7
    )


def test_the_macro_mean_counts_every_group_the_same() -> None:
    interval = bootstrap_macro_mean({"small": [1.0], "large": [0.0] * 99}, seed=1)
    assert interval == (0.5, 0.5, 0.5)


def test_a_clear_paired_gain_excludes_zero_and_noise_does_not() -> None:
    gains = {"a": [1.0] * 20 + [0.0] * 30, "b": [1.0] * 5 + [0.0] * 45}
    noise = {"a": [1.0] * 10 + [-1.0] * 9 + [0.0] * 30}
    assert bootstrap_macro_mean(gains, seed=1).low > 0
    assert bootstrap_macro_mean(noise, seed=1).low < 0 < bootstrap_macro_mean(noise, seed=1).high


def test_differences_of_independent_shares_equal_published_ones() -> None:
    # Newcombe 1998, 56/70 minus 48/80, method 10.
    interval = independent_difference(56, 70, 48, 80)
    assert interval == pytest.approx((0.2, 0.0524, 0.3339), abs=5e-5)


def test_a_difference_of_few_items_never_collapses_to_a_point() -> None:
    assert paired_difference(0, 0, 0, 2).high > 0.5
    assert paired_difference(0, 2, 0, 0).low < 0.5
    assert independent_difference(17, 17, 0, 2).low < 0.5


@pytest.mark.parametrize("shares", [(0.2, 0.3, 0.1, 0.4), (0.05, 0.15, 0.0, 0.8), (0.5, 0.1, 0.1, 0.3)])
def test_the_paired_interval_holds_the_true_gain_as_often_as_it_says(shares: tuple[float, ...]) -> None:
    num_items, true_gain, coverage = 22, shares[1] - shares[2], 0.0
    for both, gained, lost in itertools.product(range(num_items + 1), repeat=3):
        neither = num_items - both - gained - lost
        if neither >= 0:
            counts = (both, gained, lost, neither)
            ways = math.factorial(num_items) / math.prod(map(math.factorial, counts))
            probability = ways * math.prod(share**count for share, count in zip(shares, counts, strict=True))
            interval = paired_difference(*counts)
            coverage += probability * (interval.low <= true_gain <= interval.high)
    assert 0.94 < coverage < 0.99


def test_pairing_narrows_the_interval_when_answers_agree() -> None:
    paired = paired_difference(20, 5, 1, 24)
    unpaired = independent_difference(25, 50, 21, 50)
    assert paired.value == unpaired.value
    assert paired.high - paired.low < 0.8 * (unpaired.high - unpaired.low)


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
