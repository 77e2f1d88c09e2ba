import math

import pytest

from stablellava.core.errors import RecordError
from stablellava.evaluation.official import llavabench, mmvet
from stablellava.evaluation.official.llavabench import Review
from stablellava.evaluation.official.mmvet import Grade


@pytest.mark.parametrize(
    ("content", "score"),
    [
        ("0.5", 0.5),
        ("1.0 ", 1.0),
        ("0.5 because", 0.5),
        ("0.7\n", 0.7),
        ("\n0.7", 0.7),
        (" 0.5", None),
        ("1.1", None),
        ("-0.1", None),
        ("0.5,", None),
        ("0.5.", None),
        ("0.5\n\n1.0", None),
        ("-0.0", 0.0),
        ("1e-1", 0.1),
        ("\t0.5", 0.5),
        ("1.0000001", None),
        ("NaN", None),
        ("score: 0.5", None),
        ("nan", None),
        ("inf", None),
        ("", None),
        (".5", 0.5),
        ("1", 1.0),
        (None, None),
    ],
)
def test_mmvet_reads_the_token_before_the_first_space(content: str | None, score: float | None) -> None:
    assert mmvet.parse_score(content) == score


def test_mmvet_takes_nan_for_a_score_only_for_who_asks_for_the_official_number() -> None:
    assert mmvet.parse_number("0.5 because") == 0.5
    assert [mmvet.parse_number(content) for content in ("1.1", "-0.1", "inf", "half", "", None)] == [None] * 6
    for content in ("nan", "NaN because"):
        number = mmvet.parse_number(content)
        assert number is not None and math.isnan(number)


def test_mmvet_puts_spaces_around_and_and_or() -> None:
    assert mmvet.format_query("Q?", "a<AND>b<OR>c", "p") == "Q? | a <AND> b <OR> c | p | "


def test_mmvet_counts_an_item_for_each_capability_and_for_its_integration() -> None:
    grades = [
        Grade("v1_0", ("ocr", "rec"), (1.0, 0.5)),
        Grade("v1_1", ("rec",), (0.0, 0.0)),
        Grade("v1_2", ("rec", "ocr"), (0.5, 1.0)),
    ]
    result = mmvet.score_mmvet(grades)
    assert {report.name: report.value for report in result.reports} == {
        "mmvet": pytest.approx(0.5),
        "mmvet/capability/ocr": pytest.approx(0.75),
        "mmvet/capability/rec": pytest.approx(0.5),
        "mmvet/integration/rec": 0.0,
        "mmvet/integration/rec_ocr": pytest.approx(0.75),
    }
    assert result.run_means == (0.5, 0.5)
    assert result.spread == 0.0


def test_mmvet_spread_is_the_population_deviation_over_runs() -> None:
    result = mmvet.score_mmvet([Grade("a", ("math",), (0.2, 0.4)), Grade("b", ("math",), (0.0, 1.0))])
    assert result.run_means == pytest.approx((0.1, 0.7))
    assert result.spread == pytest.approx(0.3)


def test_a_failed_mmvet_judgement_is_unscored_and_never_a_number() -> None:
    grades = [Grade("a", ("gen",), (0.8, None)), Grade("b", ("gen",), (None, None), why_unscored="429")]
    result = mmvet.score_mmvet(grades)
    overall = result.reports[0]
    assert (overall.value, overall.num_items, overall.num_unscored) == (0.8, 2, 1)
    assert result.run_means == (0.8, None)
    nothing = mmvet.score_mmvet(grades[1:])
    assert (nothing.reports[0].value, nothing.reports[0].num_unscored, nothing.spread) == (None, 1, None)


@pytest.mark.parametrize(
    ("grade", "message"),
    [
        (Grade("a", ("rec",), (1.5,)), "1.5"),
        (Grade("a", ("sing",), (0.5,)), "sing"),
        (Grade("a", (), (0.5,)), "needed"),
    ],
)
def test_mmvet_refuses_what_is_no_grade(grade: Grade, message: str) -> None:
    with pytest.raises(RecordError, match=message):
        mmvet.score_mmvet([grade])


def test_mmvet_refuses_unequal_numbers_of_runs() -> None:
    with pytest.raises(RecordError, match=r"\[1, 2\] runs"):
        mmvet.score_mmvet([Grade("a", ("rec",), (0.5,)), Grade("b", ("rec",), (0.5, 0.5))])


@pytest.mark.parametrize(
    ("review", "pair"),
    [
        ("8 9", (8.0, 9.0)),
        ("8,9", (8.0, 9.0)),
        ("8.5 7\nbecause", (8.5, 7.0)),
        ("8, 9", None),
        ("8  9", None),
        ("8 9 ", None),
        ("\n8 9", None),
        ("8", None),
        ("8 9 10", None),
        ("Assistant 1: 8", None),
        ("8 nan", None),
        ("8/10 9/10", None),
        ("8\t9", None),
        ("", None),
        ("8 9\r\nx", (8.0, 9.0)),
    ],
)
def test_llavabench_reads_two_numbers_on_the_first_line(review: str, pair: tuple[float, float] | None) -> None:
    assert llavabench.parse_score(review) == pair


@pytest.mark.parametrize(
    ("review", "official", "ours"),
    [
        ("8 9", [8.0, 9.0], (8.0, 9.0)),
        ("8, 9", [-1.0, -1.0], None),
        ("", [-1.0, -1.0], None),
        ("-1 -1", [-1.0, -1.0], None),
        ("-1 9", [-1.0, 9.0], (-1.0, 9.0)),
        ("8 inf", [8.0, float("inf")], None),
        ("1_0 9e0", [10.0, 9.0], (10.0, 9.0)),
        ("8 ", [-1.0, -1.0], None),
        (None, [-1.0, -1.0], None),
    ],
)
def test_llavabench_has_a_failed_review_as_minus_ones_only_for_who_asks_for_the_official_pair(
    review: str | None, official: list[float], ours: tuple[float, float] | None
) -> None:
    assert llavabench.parse_pair(review) == official
    assert llavabench.parse_score(review) == ours


def test_llavabench_relative_score_rounds_as_the_official_summary() -> None:
    assert llavabench.relative_score([(9.0, 6.0), (8.0, 7.0), (8.0, 5.0)]) == 72.0
    assert llavabench.relative_score([[8.0, 6.0], [-1, -1]]) == 71.4
    with pytest.raises(ValueError, match="at least one pair"):
        llavabench.relative_score([])
    with pytest.raises(ValueError, match="mean score is 0"):
        llavabench.relative_score([(0.0, 1.0)])


def test_failed_reviews_are_left_out_of_the_score_and_counted() -> None:
    reviews = [
        Review("1", "conv", "8 6", "a"),
        Review("2", "conv", "8 8", "a"),
        Review("3", "detail", "10 5", "b"),
        Review("4", "detail", None, "b", "timeout"),
        Review("5", "complex", "no scores", "c"),
    ]
    reports = {report.name: report for report in llavabench.report_llavabench("wild", reviews)}
    assert reports["wild"].value == pytest.approx(19 / 26)
    assert (reports["wild"].num_items, reports["wild"].num_unscored) == (5, 2)
    assert reports["wild/conv"].value == pytest.approx(14 / 16)
    assert reports["wild/detail"].value == pytest.approx(0.5)
    assert (reports["wild/complex"].value, reports["wild/complex"].num_unscored) == (None, 1)
    assert [llavabench.score_review(review).why for review in reviews[3:]] == [
        "timeout",
        "no pair of scores in 'no scores'",
    ]
