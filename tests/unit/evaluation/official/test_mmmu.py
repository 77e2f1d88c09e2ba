import random

import pytest

from stablellava.evaluation.official.mmmu import (
    DOMAINS,
    Question,
    calculate_ins_level_acc,
    eval_multi_choice,
    evaluate,
    match_multi_choice_response,
    parse_multi_choice_response,
    report_mmmu,
    score_mmmu,
    subject_of,
)
from stablellava.evaluation.official.mmmu_open import eval_open, extract_numbers, normalize_str, parse_open_response
from stablellava.evaluation.scoring import UNPARSED

LETTERS = ["A", "B", "C", "D"]
TEXTS = {"A": "red", "B": "red apple", "C": "blue", "D": "green"}


@pytest.mark.parametrize(
    ("response", "letter"),
    [
        ("B", "B"),
        ("(B)", "B"),
        ("B.", "B"),
        ("'B'", "B"),
        (" B ", "B"),
        ("B. text", None),
        ("C) text", None),
        ("b", None),
        ("(b)", None),
        ("", None),
        ("B\n", None),
        ("The answer is B", "B"),
        ("A or B", "B"),
        ("(A) or (C) but D ", "C"),
        ("(A) is not as good as (B), so (A)", "A"),
        ("RED APPLE", None),
        ("blue it is", None),
        ("I would say it is BLUE", "C"),
        ("first blue and then green it is", "D"),
        ("I think it is a red apple", "A"),
        ("A cat sits on a mat", "A"),
        (".B", "B"),
        ("B'.", "B"),
        (".,B", None),
        ("A.B", None),
        ("(B", None),
        ("A (B)", "B"),
        ("A B C", "C"),
        ("A  B", "B"),
        ("A\tB", None),
        ("**B**", None),
        ("B,", "B"),
        ("A, B", "B"),
        ("one two three four five", None),
        ("my answer to it is: GREENISH", "D"),
        ("I see A cat on a mat", "A"),
    ],
)
def test_the_official_rule_misses_what_it_misses(response: str, letter: str | None) -> None:
    assert match_multi_choice_response(response, LETTERS, TEXTS) == letter


def test_an_unread_answer_is_drawn_from_a_seeded_generator() -> None:
    fresh = random.Random(42)
    expected = [fresh.choice(LETTERS) for _ in range(5)]
    shared = random.Random(42)
    assert [parse_multi_choice_response("hm", LETTERS, TEXTS, shared) for _ in range(5)] == expected
    assert parse_multi_choice_response("hm", LETTERS, TEXTS) == expected[0]


@pytest.mark.parametrize(
    ("response", "predictions"),
    [
        ("hepatitis B", [" b", "b "]),
        ("The answer is 5.", [5.0]),
        ("5", [5.0]),
        ("1,000", [1000.0, 0.0]),
        ("3.14159", [3.14]),
        ("Paris", ["paris"]),
        ("", [""]),
        ("x = 3 = 4", [4.0]),
        ("x = 3\nso y", [" y", "y "]),
        ("It is a. Then is b", [" b", "b "]),
        ("so it is 10 to 20", ["10 to 20", 10.0, 20.0]),
        ("the result is :", ["the result is :"]),
        ("is ", ["is"]),
    ],
)
def test_open_responses_leave_the_shortest_tail_and_its_numbers(response: str, predictions: list[str | float]) -> None:
    assert parse_open_response(response) == predictions


@pytest.mark.parametrize(
    ("text", "numbers"),
    [
        ("1,234 and 5", ["1,234", "234", "5"]),
        ("-2.5e3", ["-2.5e3", "-2", "3"]),
        (".5 or -7", [".5", "-7"]),
        ("5kg", []),
        ("12,34", ["34"]),
    ],
)
def test_numbers_are_found_in_three_forms(text: str, numbers: list[str]) -> None:
    assert extract_numbers(text) == numbers


def test_numbers_are_rounded_and_single_letters_padded() -> None:
    assert normalize_str(" 2.005 ") == [round(2.005, 2)]
    assert normalize_str("X") == [" x", "x "]
    assert normalize_str("Two") == ["two"]


@pytest.mark.parametrize(
    ("gold", "response", "is_right"),
    [
        ("5", "5.001", True),
        ("5", "it is 5 apples", True),
        ("5", "fifty-five", False),
        ("Paris", "it lies in Paris, France", True),
        (["4", "four"], "four", True),
        ("b", "hepatitis B", True),
        ("B", "blue", False),
        ("10", "100", False),
        ("", "anything", True),
    ],
)
def test_open_answers_are_right_by_containment_or_equal_number(
    gold: str | list[str], response: str, is_right: bool
) -> None:
    assert eval_open(gold, parse_open_response(response)) is is_right


def test_a_multiple_choice_gold_may_be_a_list() -> None:
    assert eval_multi_choice(["A", "B"], "B") and not eval_multi_choice("AB", "B")
    assert not eval_multi_choice(None, "B") and not eval_multi_choice([], "B")


def test_parsed_samples_are_judged_by_id() -> None:
    samples = [
        {"id": "validation_Math_1", "question_type": "multiple-choice", "answer": "B", "parsed_pred": "B"},
        {"id": "validation_Math_2", "question_type": "open", "answer": ["5", "five"], "parsed_pred": ["six", 5.0]},
        {"id": "validation_Math_3", "question_type": "short-answer", "answer": "cat", "parsed_pred": ["ca", "a cot"]},
    ]
    verdicts = {"validation_Math_1": "Correct", "validation_Math_2": "Correct", "validation_Math_3": "Wrong"}
    assert evaluate(samples) == (verdicts, {"acc": 2 / 3})
    assert evaluate([]) == {"acc": 0}


def test_subjects_are_weighted_by_their_number_of_examples() -> None:
    subjects = {"Art": {"acc": 0.5, "num_example": 30}, "Math": {"acc": 0.2, "num_example": 10}}
    assert calculate_ins_level_acc(subjects) == pytest.approx(0.425)
    assert calculate_ins_level_acc({}) == calculate_ins_level_acc({"Art": {"acc": 0.5, "num_example": 0}}) == 0


def test_there_are_thirty_subjects_in_six_domains() -> None:
    assert len(DOMAINS) == 6 and len({subject for subjects in DOMAINS.values() for subject in subjects}) == 30
    assert subject_of("validation_Art_Theory_12") == "Art_Theory"


def _choice(number: int, text: str | None) -> Question:
    return Question(f"validation_Math_{number}", "multiple-choice", "B", text, TEXTS)


def test_the_official_figure_stands_beside_the_one_without_chance() -> None:
    questions = [_choice(1, "B"), *(_choice(2 + place, "hm") for place in range(40)), _choice(50, None)]
    questions.append(Question("validation_History_1", "open", "Paris", "Paris"))
    scores = score_mmmu(questions)
    drawn = [item.score for item in scores if item.score.why == UNPARSED]
    fresh = random.Random(42)
    assert [score.parsed for score in drawn] == [fresh.choice(LETTERS) for _ in range(40)]
    lucky = sum(score.parsed == "B" for score in drawn)
    assert lucky > 0
    reports = {report.name: report for report in report_mmmu("mmmu", scores)}
    assert reports["mmmu"].value == pytest.approx((2 + lucky) / 42)
    assert reports["mmmu/without_chance"].value == pytest.approx(2 / 42)
    for name in ("mmmu", "mmmu/without_chance"):
        assert (reports[name].num_items, reports[name].num_unscored, reports[name].num_unparsed) == (43, 1, 40)
    assert reports["mmmu/domain/Humanities and Social Science"].value == 1.0
    assert reports["mmmu/without_chance/subject/Math"].value == pytest.approx(1 / 41)


def test_the_overall_figure_is_micro_over_both_question_types() -> None:
    # LLaVA-1.5-13B's published validation outputs: 328 of 847 multiple-choice, 2 of 53 open, 36.7 in all.
    questions = [_choice(place, "B" if place < 328 else "A") for place in range(847)]
    questions += [
        Question(f"validation_Math_{place}", "open", "Paris", "Paris" if place < 849 else "Rome")
        for place in range(847, 900)
    ]
    reports = {report.name: report for report in report_mmmu("mmmu", score_mmmu(questions))}
    assert reports["mmmu"].value == 330 / 900
    assert reports["mmmu/type/open"].value == 2 / 53
