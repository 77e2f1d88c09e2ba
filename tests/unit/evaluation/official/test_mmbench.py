import math
from typing import Any

import pytest

from stablellava.core.errors import RecordError
from stablellava.evaluation.official.mmbench import (
    PASS_STRIDE,
    Pass,
    build_choices,
    can_infer,
    can_infer_option,
    can_infer_text,
    prefetch_answer,
    report_mmbench,
    score_circular,
    score_vanilla,
)
from stablellava.evaluation.scoring import UNPARSED

OPTIONS = {"A": "teddy bear", "B": "rabbit", "C": "cat", "D": "dog"}


@pytest.mark.parametrize(
    ("answer", "letter"),
    [
        ("A", "A"),
        ("(B)", "B"),
        ("C. cat", "C"),
        ("**D**", "D"),
        ("b", False),
        ("", False),
        ("Z", "Z"),
        ("A Z", "A"),
        ("Failed to obtain answer via API. A", False),
        ("Cannot determine the answer: A", "Z"),
        ("I can't process this file.", "Z"),
        ("A rabbit", "A"),
        ("It is A thing", "A"),
        ("A big thing of some sort", False),
        ("the final answer must be B", "B"),
        ("B is what I would say at first", False),
        ("B is the best, so the correct answer is B here and nowhere else", "B"),
        ("A or B", False),
        ("A or B, but the answer is B", "B"),
        ("the ANSWER IS c", "C"),
        ("the answer is **d**.", "D"),
        ("The answer is Ear", False),
        ("the answer is cat", "C"),
        ("A cat or Dog", "A"),
        ("cat or dog", False),
        ("A RABBIT and nothing else in this picture", "B"),
        ("rabbit " * 8, False),
        ("\u732b cat", "C"),
    ],
)
def test_answers_are_matched_by_letter_then_phrase_then_text(answer: str, letter: str | bool) -> None:
    assert can_infer(answer, OPTIONS) == letter


def test_only_options_that_exist_are_found() -> None:
    assert can_infer("the answer is D", {"A": "yes", "B": "no"}) is False
    assert build_choices({"A": "x", "B": math.nan, "C": "nan", "D": None, "index": 3}) == {"A": "x", "C": "nan"}
    assert can_infer(2, {"A": 2, "B": 3}) == "A"


def test_a_row_is_matched_with_its_own_options() -> None:
    row = {"A": "cat", "B": "dog", "C": math.nan, "prediction": "C"}
    assert prefetch_answer(row) is False
    assert prefetch_answer({**row, "prediction": "A dog"}) == "A"
    assert prefetch_answer({**row, "A": 3, "prediction": 3.0}) == "A"


@pytest.mark.parametrize(
    ("answer", "options", "letter"),
    [
        ("anything", {"A": ""}, False),
        ("", {"A": "", "B": "x"}, "A"),
        ("a black cat", {"A": "cat", "B": "black cat", "C": "dog"}, False),
        ("cat", {"A": "cat", "B": "cat"}, False),
        ("NONE", {"A": "None", "B": "all"}, "A"),
        ("\u0130stanbul", {"A": "i\u0307stanbul", "B": "Rome"}, "A"),
    ],
)
def test_an_option_is_found_by_its_text_alone_only_if_no_other_is(
    answer: str, options: dict[str, str], letter: str | bool
) -> None:
    assert can_infer_text(answer, options) == letter


@pytest.mark.parametrize(
    ("answer", "letter"),
    [
        ("B x x x", "B"),
        ("B x x x x", False),
        ("B B x x x x", False),
        ("B x x x B", False),
        ("A is what I say: the an\u017fwer is B", "B"),
        ("A and B: the an\u017fwer is b", "B"),
        ("answer is E", "E"),
        ("The answer is E, as I said at first", False),
        ("A\u00a0and\u2003B", False),
        ("A-B", False),
        ('"B"', False),
        ("B?", False),
        ("Z or B", "B"),
    ],
)
def test_only_the_first_mention_of_a_letter_counts_and_only_among_the_last_four_words(
    answer: str, letter: str | bool
) -> None:
    assert can_infer_option(answer, "ABCDE") == letter


def _row(index: int, text: str | None, answer: str = "A", **more: Any) -> Pass:
    return Pass(index=index, answer=answer, options=OPTIONS, text=text, **more)


@pytest.mark.parametrize(
    ("texts", "value", "why"),
    [
        (["A", "B", "C", "D"], 1.0, ""),
        (["A", "B", "C", "A"], 0.0, ""),
        (["A", "B", "C", "hm"], 0.0, UNPARSED),
        (["A", "B", None, "D"], None, "timeout"),
        (["A", "C", None, "D"], 0.0, ""),
        ([None, "hm", "C", "D"], 0.0, UNPARSED),
    ],
)
def test_a_circular_question_is_right_only_if_every_pass_is(
    texts: list[str | None], value: float | None, why: str
) -> None:
    rows = [
        _row(7 + place * PASS_STRIDE, text, "ABCD"[place], why_unscored="" if text else "timeout")
        for place, text in enumerate(texts)
    ]
    (item,) = score_circular(rows)
    assert (item.score.item_id, item.score.value, item.score.why) == ("7", value, why)


def test_vanilla_takes_the_first_pass_alone() -> None:
    rows = [_row(1, "A"), _row(1 + PASS_STRIDE, "C")]
    assert [item.score.value for item in score_vanilla(rows)] == [1.0]
    assert [item.score.value for item in score_circular(rows)] == [0.0]


def test_a_judge_is_asked_only_where_the_rules_find_nothing() -> None:
    rows = [
        _row(1, "B", judged="A"),
        _row(2, "bear", judged="A"),
        _row(3, "bear", judged="Z"),
        _row(4, "bear"),
        _row(5, "bear", why_unscored="judge: 429"),
    ]
    scores = [item.score for item in score_vanilla(rows)]
    assert [score.value for score in scores] == [0.0, 1.0, 0.0, 0.0, None]
    assert [score.why for score in scores] == ["", "", "", UNPARSED, "judge: 429"]


def test_malformed_indices_are_refused() -> None:
    with pytest.raises(RecordError, match="index 4 occurs twice"):
        score_circular([_row(4, "A"), _row(4, "A")])
    with pytest.raises(RecordError, match="lacks its first pass"):
        score_circular([_row(4 + PASS_STRIDE, "A")])


def test_levels_are_micro_means_with_counts() -> None:
    reasoning = {"category": "future_prediction", "l2_category": "logic_reasoning"}
    coarse = {"category": "image_scene", "l2_category": "coarse_perception"}
    rows = [_row(1, "A", **reasoning), _row(2, "hm", **reasoning), _row(3, "A", **coarse), _row(4, None, **coarse)]
    reports = {report.name: report for report in report_mmbench("mmbench/vanilla", score_vanilla(rows))}
    assert list(reports) == [
        "mmbench/vanilla",
        *(f"mmbench/vanilla/{group}" for group in ("L2/CP", "L2/LR", "L3/future_prediction", "L3/image_scene")),
    ]
    overall = reports["mmbench/vanilla"]
    assert (overall.value, overall.num_items, overall.num_unscored, overall.num_unparsed) == (2 / 3, 4, 1, 1)
    assert overall.ci_low is not None and overall.ci_high is not None
    assert overall.ci_low < 2 / 3 < overall.ci_high
    assert reports["mmbench/vanilla/L2/LR"].value == 0.5
