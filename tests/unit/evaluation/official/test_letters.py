import pytest

from stablellava.core.errors import RecordError
from stablellava.evaluation.official import scienceqa, seedbench
from stablellava.evaluation.official.ai2d import exact_match, extract_letter, score_ai2d, score_ai2d_rules
from stablellava.evaluation.scoring import UNPARSED

OPTIONS = {"A": "egg", "B": "larva", "C": "pupa", "D": "adult"}


@pytest.mark.parametrize(
    ("text", "harness", "rules"),
    [
        ("B", 1.0, 1.0),
        ("b", 1.0, 0.0),
        ("B.", 1.0, 1.0),
        (" B. larva", 1.0, 1.0),
        ("(B)", 1.0, 1.0),
        ("B larva", 0.0, 1.0),
        ("B ", 0.0, 1.0),
        ("larva", 0.0, 1.0),
        ("C", 0.0, 0.0),
        ("", 0.0, 0.0),
    ],
)
def test_ai2d_is_an_exact_match_of_the_letter_or_a_match_by_rules(text: str, harness: float, rules: float) -> None:
    assert score_ai2d("1", text, "B", OPTIONS).value == harness
    assert score_ai2d_rules("1", text, "B", OPTIONS).value == rules


@pytest.mark.parametrize(
    ("prediction", "reference", "is_match"),
    [
        ("b!", "B", True),
        ("B", "B ", False),
        ("\u201cB\u201d", "B", False),
        ("B\0", "B", True),
        ("\u0130", "i\u0307", False),
        ("", "...", True),
    ],
)
def test_ai2d_matches_ignore_case_and_ascii_punctuation_as_in_numpy_arrays(
    prediction: str, reference: str, is_match: bool
) -> None:
    assert exact_match(prediction, reference) is is_match


def test_ai2d_says_what_it_could_not_read() -> None:
    assert extract_letter("B. larva") == "B"
    assert [extract_letter(text) for text in ("\nC.", "c.", "BC.", "A .", "")] == ["C", "c.", "BC.", "A .", ""]
    assert score_ai2d("1", "larva", "B", OPTIONS).why == UNPARSED
    assert (score_ai2d("1", "c)", "B", OPTIONS).parsed, score_ai2d("1", "c)", "B", OPTIONS).why) == ("C", "")
    assert score_ai2d_rules("1", "hm", "B", OPTIONS).why == UNPARSED


@pytest.mark.parametrize(
    ("text", "llava", "harness"),
    [
        ("B", 1.0, 1.0),
        ("b", 0.0, 1.0),
        ("B. rabbit", 0.0, 1.0),
        (" B", 0.0, 1.0),
        ("Both", 0.0, 1.0),
        ("(B)", 0.0, 0.0),
        ("", 0.0, 0.0),
        ("A", 0.0, 0.0),
    ],
)
def test_seedbench_takes_the_bare_letter_or_the_first_character(text: str, llava: float, harness: float) -> None:
    assert seedbench.score_generation("1", text, "B").value == llava
    assert seedbench.score_first_character("1", text, "B").value == harness


def test_seedbench_by_likelihood_takes_the_lowest_loss() -> None:
    assert seedbench.choose_by_loss([2.0, 0.5, 0.5, 3.0]) == "B"
    assert seedbench.score_likelihood("1", [1.0, 2.0, 0.0, 4.0], "C").value == 1.0
    for losses in ([1.0, 2.0], [1.0, float("nan"), 0.0, 4.0]):
        with pytest.raises(RecordError, match="one loss for each"):
            seedbench.choose_by_loss(losses)


def test_seedbench_reports_types_without_a_right_answer_and_missing_answers() -> None:
    scores = [
        (seedbench.score_generation("1", "A", "A"), 1, "image"),
        (seedbench.score_generation("2", None, "A"), 1, "image"),
        (seedbench.score_generation("3", "it is A", "A"), 12, "video"),
    ]
    reports = {report.name: report for report in seedbench.report_seedbench("seed", scores)}
    assert {name: report.value for name, report in reports.items()} == {
        "seed": pytest.approx(1 / 3),
        "seed/image": 0.5,
        "seed/video": 0.0,
        "seed/type 01 Scene Understanding": 0.5,
        "seed/type 12 Procedure Understanding": 0.0,
    }
    assert (reports["seed"].num_items, reports["seed"].num_unparsed) == (3, 2)
    with pytest.raises(RecordError, match="type 13"):
        seedbench.report_seedbench("seed", [(scores[0][0], 13, "image")])


@pytest.mark.parametrize(
    ("text", "llava"),
    [
        ("B", "B"),
        ("b", "FAILED"),
        (" B", "FAILED"),
        ("B.", "FAILED"),
        ("B. ", "B"),
        ("B. rabbit", "B"),
        ("F. rabbit", "FAILED"),
        ("The answer is B.", "B"),
        ("The answer is B", "FAILED"),
        ("The answer is B!", "B"),
        ("The answer is B\n", "FAILED"),
        ("The answer is A. The answer is B.", "FAILED"),
        ("the answer is B.", "FAILED"),
        ("A. The answer is B.", "A"),
        ("The answer is AB.", "A"),
        ("The answer is F.", "F"),
        ("The answer is  B.", "FAILED"),
        ("The answer is (B).", "FAILED"),
        ("The answer is B. The answer is B.", "FAILED"),
        ("The answer is B.The answer is b.", "B"),
        ("AB. x", "FAILED"),
        ("B.\u00a0x", "FAILED"),
        ("", "FAILED"),
    ],
)
def test_scienceqa_is_read_as_llava_reads_it(text: str, llava: str) -> None:
    assert scienceqa.parse_answer(text) == llava


def test_scienceqa_letters_are_indexes_among_the_choices() -> None:
    options = ["A", "B", "C", "D", "E"]
    found = [scienceqa.get_pred_idx(letter, ["x", "y"], options) for letter in ("B", "C", "", "FAILED", "b")]
    assert found == [1, -1, -1, -1, -1]


def _problem(text: str | None, **more: object) -> scienceqa.Problem:
    return scienceqa.Problem("1", num_choices=3, answer=1, text=text, **more)  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("text", "llava", "harness", "why"),
    [
        ("B", 1.0, 1.0, ""),
        (" b\n", 0.0, 1.0, UNPARSED),
        ("B.", 0.0, 1.0, UNPARSED),
        ("b. x", 0.0, 0.0, UNPARSED),
        ("A", 0.0, 0.0, ""),
        ("E", 0.0, 0.0, UNPARSED),
        ("The answer is B.", 1.0, 0.0, ""),
        (None, 0.0, 0.0, UNPARSED),
    ],
)
def test_scienceqa_counts_letters_beyond_the_choices_and_missing_answers_as_wrong(
    text: str | None, llava: float, harness: float, why: str
) -> None:
    score = scienceqa.score_problem(_problem(text))
    assert (score.value, score.why) == (llava, why)
    assert scienceqa.score_problem_lmms(_problem(text)).value == harness


def test_scienceqa_reports_images_subjects_contexts_and_grades() -> None:
    problems = [
        _problem("B", has_image=True, has_hint=True, subject="natural science", grade="grade6"),
        _problem("A", subject="social science", grade="grade7"),
    ]
    scores = [scienceqa.score_problem(problem) for problem in problems]
    reports = scienceqa.report_scienceqa("sqa", problems, scores)
    assert {report.name: report.value for report in reports} == {
        "sqa": 0.5, "sqa/G1-6": 1.0, "sqa/G7-12": 0.0, "sqa/IMG": 1.0, "sqa/NAT": 1.0, "sqa/NO": 0.0,
        "sqa/SOC": 0.0, "sqa/TXT": 1.0,
    }  # fmt: skip


def test_scienceqa_refuses_an_answer_beyond_the_choices() -> None:
    with pytest.raises(RecordError, match="answer 5 of 3"):
        scienceqa.score_problem(scienceqa.Problem("1", num_choices=3, answer=5, text="A"))
