import numpy as np
import pytest

from stablellava.core.score import ItemScore
from stablellava.evaluation.official.aggregating import GroupedScore, bootstrap_totals, mean_interval, report_means
from stablellava.evaluation.statistics import wilson_interval


def _scores(values: list[float | None], clusters: list[str] | None = None) -> list[GroupedScore]:
    names = clusters or [""] * len(values)
    return [
        GroupedScore(ItemScore(item_id=str(place), value=value), cluster=name)
        for place, (value, name) in enumerate(zip(values, names, strict=True))
    ]


def test_independent_right_or_wrong_items_have_wilson_intervals() -> None:
    assert mean_interval("m", _scores([1.0] * 30 + [0.0] * 10 + [None])) == wilson_interval(30, 40)
    assert mean_interval("m", _scores([1.0] * 5)) == wilson_interval(5, 5)
    assert mean_interval("m", _scores([None])) is None


def test_items_that_share_an_image_widen_the_interval() -> None:
    values: list[float | None] = [1.0, 1.0, 1.0, 1.0, 0.0, 0.0, 0.0, 0.0] * 10
    alone = mean_interval("m", _scores(values))
    together = mean_interval("m", _scores(values, [str(place // 4) for place in range(80)]))
    assert alone is not None and together is not None
    assert together.value == alone.value == 0.5
    assert (together.high - together.low) > 1.7 * (alone.high - alone.low)


def test_clusters_that_agree_never_make_the_interval_a_point() -> None:
    for value, num_right in ((1.0, 3), (0.0, 0)):
        assert mean_interval("m", _scores([value] * 6, list("aabbcc"))) == wilson_interval(num_right, 3)


def test_fractional_scores_are_bootstrapped_and_repeatable() -> None:
    values: list[float | None] = [0.3, 0.6, 0.9, 1.0, 0.0] * 20
    figure = mean_interval("m", _scores(values))
    assert figure is not None and figure == mean_interval("m", _scores(values))
    standard_error = float(np.std([value for value in values if value is not None])) / 10
    assert figure.value == pytest.approx(0.56)
    assert figure.high - figure.low == pytest.approx(2 * 1.96 * standard_error, rel=0.05)


def test_undefined_resamples_are_left_out() -> None:
    rows = [(1.0, 1.0), (1.0, 2.0), (0.0, 0.0)]
    with np.errstate(invalid="ignore"):
        figure = bootstrap_totals("r", rows, lambda totals: totals[:, 0] / totals[:, 1])
    assert figure == pytest.approx((2 / 3, 0.5, 1.0))


def test_a_figure_at_its_end_has_an_interval_over_the_rows_behind_it() -> None:
    rows = [(1.0, 1.0), (2.0, 2.0), (0.0, 0.0)]
    with np.errstate(invalid="ignore"):
        figure = bootstrap_totals("r", rows, lambda totals: 200 * totals[:, 0] / totals[:, 1], upper=200.0)
    assert figure == pytest.approx((200.0, 200 * wilson_interval(2, 2).low, 200.0))


def test_groups_are_reported_after_the_whole_in_sorted_order() -> None:
    scores = [GroupedScore(ItemScore(item_id="1", value=1.0), ("b", "a")), *_scores([0.0])]
    assert [(report.name, report.value) for report in report_means("m", scores)] == [
        ("m", 0.5),
        ("m/a", 1.0),
        ("m/b", 1.0),
    ]
