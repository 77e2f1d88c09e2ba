import itertools
import math

import numpy as np
import pytest

from stablellava.evaluation.resampling import clustered_mean, resample_totals, sign_flip_p_value
from stablellava.evaluation.significance import (
    adjust_benjamini_hochberg,
    adjust_holm,
    fisher_exact,
    smallest_paired_difference,
)
from stablellava.evaluation.statistics import mcnemar_exact, wilson_interval


def test_holm_multiplies_by_what_is_left_and_keeps_the_order() -> None:
    assert adjust_holm([0.01, 0.04, 0.03, 0.005]) == pytest.approx((0.03, 0.06, 0.06, 0.02))
    assert adjust_holm([]) == ()


def test_benjamini_hochberg_is_milder_than_holm() -> None:
    p_values = [0.01, 0.04, 0.03, 0.005]
    adjusted = adjust_benjamini_hochberg(p_values)
    assert adjusted == pytest.approx((0.02, 0.04, 0.04, 0.02))
    assert all(mild <= strict for mild, strict in zip(adjusted, adjust_holm(p_values), strict=True))


def test_fishers_exact_test_equals_a_published_value() -> None:
    # The lady tasting tea: 3 of 4 right, two-sided 34/70.
    assert fisher_exact(3, 4, 1, 4) == pytest.approx(34 / 70)
    assert fisher_exact(5, 5, 5, 5) == 1.0


def test_the_smallest_paired_difference_is_found_four_times_out_of_five() -> None:
    num_items, share_changed = 1000, 0.2
    gain = smallest_paired_difference(num_items, share_changed)
    rng = np.random.default_rng(0)
    shares = [(share_changed + gain) / 2, (share_changed - gain) / 2, 1 - share_changed]
    counts = rng.multinomial(num_items, shares, size=2000)
    found = np.mean([mcnemar_exact(int(gained), int(lost)) < 0.05 for gained, lost, _ in counts])
    assert 0.75 < found < 0.83


def test_more_items_and_more_agreement_show_smaller_differences() -> None:
    assert smallest_paired_difference(4000, 0.2) == pytest.approx(smallest_paired_difference(1000, 0.2) / 2, rel=0.01)
    assert smallest_paired_difference(1000, 0.05) < smallest_paired_difference(1000, 0.4)
    assert smallest_paired_difference(3, 1.0) <= 1.0
    with pytest.raises(ValueError, match="0 items"):
        smallest_paired_difference(0, 0.1)


@pytest.mark.parametrize("num_distinct", [2, 300])
def test_both_ways_of_drawing_clusters_have_the_same_spread(num_distinct: int) -> None:
    values = np.arange(300) % num_distinct / num_distinct
    table = np.column_stack((values, np.ones(300)))
    totals = resample_totals(table, np.random.default_rng(3))
    assert totals.shape == (10_000, 2)
    assert (totals[:, 1] == 300).all()
    assert totals[:, 0].std() == pytest.approx(values.std() * math.sqrt(300), rel=0.03)


def test_clusters_that_agree_widen_the_interval_to_that_of_the_clusters() -> None:
    values = [float(place % 2) for place in range(100) for _ in range(6)]
    clusters = [str(place) for place in range(100) for _ in range(6)]
    interval = clustered_mean(values, clusters, seed=1)
    independent = wilson_interval(50, 100)
    assert interval.high - interval.low == pytest.approx(independent.high - independent.low, rel=0.05)


def test_the_permutation_test_agrees_with_the_exact_one() -> None:
    gains = [1.0] * 16 + [-1.0] * 6 + [0.0] * 30
    names = [str(place) for place in range(len(gains))]
    assert sign_flip_p_value(gains, names, seed=1) == pytest.approx(mcnemar_exact(16, 6), abs=0.01)
    assert sign_flip_p_value([0.0, 0.0], ["a", "b"], seed=1) == 1.0


def test_the_permutation_test_enumerates_what_few_clusters_allow() -> None:
    gains = {"a": 0.5, "b": 0.25, "c": 1.0}
    flips = [abs(sum(sign * gain for sign, gain in zip(signs, gains.values(), strict=True)))
             for signs in itertools.product((-1, 1), repeat=3)]  # fmt: skip
    exact = np.mean([flip >= sum(gains.values()) for flip in flips])
    assert sign_flip_p_value(list(gains.values()), list(gains), seed=1) == pytest.approx(exact, abs=0.02)
