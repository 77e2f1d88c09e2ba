import pytest

from stablellava.core.errors import RecordError
from stablellava.core.score import TaskReport
from stablellava.evaluation.official import mme, pope
from stablellava.evaluation.scoring import UNPARSED


@pytest.mark.parametrize(
    ("text", "parsed"),
    [
        ("Yes", "yes"),
        ("YES.", "yes"),
        ("no", "no"),
        ("None", "no"),
        ("Not", "no"),
        ("I know", "other"),
        (" yes", "yes"),
        ("  yes", "other"),
        ("\nno", "no"),
        ("an ox", "other"),
        ("a no", "no"),
        ("", "other"),
        ("eyes", "yes"),
        ("yno", "no"),
        ("noye", "no"),
        ("...no", "other"),
        ("(no)", "no"),
        ('"No"', "no"),
        ("**yes", "other"),
        ("*yes*", "yes"),
        ("N\u00f3", "other"),
        ("The answer is yes", "other"),
    ],
)
def test_mme_reads_four_characters(text: str, parsed: str) -> None:
    assert mme.parse_pred_ans(text) == parsed


def _mme(subtask: str, image: str, *texts: str | None) -> list[mme.Question]:
    return [
        mme.Question(subtask, image, f"q{place}", answer, text)
        for place, (answer, text) in enumerate(zip(("Yes", "No"), texts, strict=True))
    ]


def _by_name(reports: tuple[TaskReport, ...]) -> dict[str, TaskReport]:
    return {report.name: report for report in reports}


def test_mme_adds_accuracy_over_questions_and_over_images() -> None:
    questions = [*_mme("count", "1", "yes", "no"), *_mme("count", "2", "yes", "yes"), *_mme("count", "3", "hm", "hm")]
    reports = _by_name(mme.report_mme("mme", questions))
    assert reports["mme/count/acc"].value == pytest.approx(3 / 6)
    assert reports["mme/count/acc+"].value == pytest.approx(1 / 3)
    score = reports["mme/count/score"]
    assert score.value == pytest.approx(50 + 100 / 3)
    assert score.ci_low is not None and score.ci_high is not None and 0 <= score.ci_low < score.ci_high <= 200
    assert (score.num_items, score.num_unparsed) == (6, 2)
    assert set(reports) == {"mme/count/acc", "mme/count/acc+", "mme/count/score"}


def test_mme_metrics_count_other_answers_in_the_accuracy_alone() -> None:
    metrics = mme.compute_metric(["yes", "yes", "no", "no", "yes"], ["yes", "no", "no", "yes", "other"])
    assert metrics == {
        "TP": 1, "FN": 1, "TN": 1, "FP": 1, "precision": 0.5, "recall": 0.5, "other_num": 1, "acc": pytest.approx(0.4),
    }  # fmt: skip
    nothing = mme.compute_metric(["no"], ["other"])
    assert (nothing["precision"], nothing["recall"], nothing["acc"]) == (0.0, 0.0, 0.0)
    for labels, answers in ((["yes"], []), ([], [])):
        with pytest.raises(ValueError, match="a label for each answer"):
            mme.compute_metric(labels, answers)


def test_mme_scores_the_lines_of_an_answer_file() -> None:
    lines = ["1.jpg\tq\tYes\tYes, it is\n", "1.jpg\tq\tNo\tno\n", "2.jpg\tq\tYes\thm\n", "2.jpg\tq\tNo\tNone\n"]
    scores = mme.score_lines(lines)
    assert (scores["acc"], scores["acc_plus"], scores["score"], scores["other_num"]) == (0.75, 0.5, 125.0, 1)
    torn = mme.score_lines([*lines[:3], "2.jpg\tq\tNo\tno\tno\n"])
    assert (torn["acc"], torn["acc_plus"]) == (pytest.approx(2 / 3), 0.5)
    with pytest.raises(RecordError, match="3 lines"):
        mme.score_lines(lines[:3])
    with pytest.raises(RecordError, match="'maybe'"):
        mme.score_lines(["1.jpg\tq\tMaybe\tYes", lines[1]])


def test_mme_totals_are_sums_over_all_their_subtasks() -> None:
    questions = [line for subtask in mme.PERCEPTION for line in _mme(subtask, "1", "yes", "no")]
    questions += [line for subtask in mme.COGNITION for line in _mme(subtask, "1", "yes", "yes")]
    reports = _by_name(mme.report_mme("mme", questions))
    assert reports["mme/Perception/score"].value == pytest.approx(2000)
    assert reports["mme/Cognition/score"].value == pytest.approx(4 * 50)
    partial = _by_name(mme.report_mme("mme", questions[2:]))
    assert "mme/Perception/score" not in partial and "mme/Cognition/score" in partial


def _mme_with_score(subtask: str, num_images: int, score: float) -> list[mme.Question]:
    """Return a subtask of that many images whose score rounds to the given one."""
    both, single = next(
        (both, single)
        for both in range(num_images, -1, -1)
        for single in range(num_images - both + 1)
        if round(100 * (2 * both + single) / (2 * num_images) + 100 * both / num_images, 2) == score
    )
    texts = [("Yes", "No")] * both + [("Yes", "Yes")] * single + [("No", "Yes")] * (num_images - both - single)
    return [line for place, pair in enumerate(texts) for line in _mme(subtask, str(place), *pair)]


def test_mme_gives_the_published_totals_from_the_published_subtasks() -> None:
    # LLaVA-1.5-13B on the benchmark's leaderboard, with the benchmark's numbers of images.
    perception = (185.0, 155.0, 133.33, 170.0, 160.54, 152.94, 161.25, 170.5, 117.75, 125.0)
    sizes = (30, 30, 30, 30, 147, 170, 200, 200, 200, 20)
    cognition = (127.86, 42.5, 77.5, 47.5)
    table = [
        *zip(mme.PERCEPTION, sizes, perception, strict=True),
        *zip(mme.COGNITION, (70, 20, 20, 20), cognition, strict=True),
    ]
    questions = [line for row in table for line in _mme_with_score(*row)]
    assert len(questions) == 2374
    reports = _by_name(mme.report_mme("mme", questions))
    for subtask, _, score in table:
        assert reports[f"mme/{subtask}/score"].value == pytest.approx(score, abs=0.006)
    assert reports["mme/Perception/score"].value == pytest.approx(1531.31, abs=0.02)
    assert reports["mme/Cognition/score"].value == pytest.approx(295.36, abs=0.01)


def test_mme_leaves_images_with_an_unscored_question_out_of_acc_plus() -> None:
    questions = [*_mme("OCR", "1", "yes", "no"), *_mme("OCR", "2", "yes", None)]
    reports = _by_name(mme.report_mme("mme", questions))
    assert (reports["mme/OCR/acc"].value, reports["mme/OCR/acc"].num_unscored) == (1.0, 1)
    assert (reports["mme/OCR/acc+"].value, reports["mme/OCR/acc+"].num_unscored) == (1.0, 1)
    nothing = _by_name(mme.report_mme("mme", _mme("OCR", "1", None, None)))
    assert [nothing[f"mme/OCR/{key}"].value for key in ("acc", "acc+", "score")] == [None, None, None]


def test_mme_refuses_odd_pairs_and_other_answers() -> None:
    with pytest.raises(RecordError, match="two an image"):
        mme.report_mme("mme", _mme("OCR", "1", "yes", "no")[:1])
    with pytest.raises(RecordError, match="'1' and '2'"):
        mme.report_mme("mme", [_mme("OCR", "1", "yes", "no")[0], _mme("OCR", "2", "yes", "no")[1]])
    with pytest.raises(RecordError, match="'Maybe'"):
        mme.score_question(mme.Question("OCR", "1", "q", "Maybe", "yes"))


@pytest.mark.parametrize(
    ("text", "parsed", "why"),
    [
        ("Yes", "yes", ""),
        ("No", "no", ""),
        ("No, there is none.", "no", ""),
        ("There is not", "no", ""),
        ("There is. no", "yes", UNPARSED),
        ("NO", "yes", UNPARSED),
        ("Not here", "yes", UNPARSED),
        ("notice", "yes", UNPARSED),
        ("no!", "yes", UNPARSED),
        ("no\nreally", "yes", UNPARSED),
        ("", "yes", UNPARSED),
        ("n,o", "no", ""),
        (".no", "yes", UNPARSED),
        ("No.", "no", ""),
        ("no\t", "yes", UNPARSED),
        ("Yes, not", "no", ""),
        ("nothing", "yes", UNPARSED),
        ("cannot", "yes", UNPARSED),
        ("isn't", "yes", UNPARSED),
        ("  no", "no", ""),
        ("no;", "yes", UNPARSED),
        ("'no'", "yes", UNPARSED),
        ("maybe", "yes", UNPARSED),
    ],
)
def test_pope_counts_everything_but_a_clear_no_as_yes(text: str, parsed: str, why: str) -> None:
    score = pope.score_question(pope.Question("1", "random", "i.jpg", "yes", text))
    assert (score.parsed, score.value, score.why) == (parsed, float(parsed == "yes"), why)


def _pope(category: str, outcomes: list[tuple[str, str | None]]) -> list[pope.Question]:
    return [
        pope.Question(f"{category}{place}", category, f"{place // 2}.jpg", label, text)
        for place, (label, text) in enumerate(outcomes)
    ]


def test_pope_reports_the_five_figures_per_split_and_both_headlines() -> None:
    # 3 true and 1 false positives, 2 true and 2 false negatives; one unscored.
    random_split = [("yes", "yes")] * 3 + [("no", "yes")] + [("no", "no")] * 2 + [("yes", "no")] * 2 + [("yes", None)]
    popular = [("yes", "yes"), ("no", "no")]
    questions = [*_pope("random", random_split), *_pope("popular", popular)]
    reports = _by_name(pope.report_pope("pope", questions))
    expected = {"accuracy": 5 / 8, "precision": 3 / 4, "recall": 3 / 5, "f1": 2 / 3, "yes_ratio": 4 / 8}
    for metric, value in expected.items():
        assert reports[f"pope/random/{metric}"].value == pytest.approx(value)
    assert reports["pope/mean_f1"].value == pytest.approx((2 / 3 + 1) / 2)
    assert reports["pope/all/f1"].value == pytest.approx(2 * 4 / (2 * 4 + 1 + 2))
    f1 = reports["pope/random/f1"]
    assert f1.ci_low is not None and f1.ci_high is not None and f1.ci_low < 2 / 3 < f1.ci_high
    assert (f1.num_items, f1.num_unscored) == (9, 1)


def test_pope_counts_any_label_but_no_as_yes() -> None:
    texts = ["yes", "no", "Yes", "Not", "there is not"]
    figures = pope.eval_pope([{"text": text} for text in texts], ["yes", "no", "no", "No", "yes"])
    assert figures == {
        "TP": 2, "FP": 1, "TN": 1, "FN": 1, "accuracy": 0.6, "precision": pytest.approx(2 / 3),
        "recall": pytest.approx(2 / 3), "f1": pytest.approx(2 / 3), "yes_ratio": 0.6,
    }  # fmt: skip
    # POPE's own tool has the text under another name than LLaVA's copy of it.
    assert pope.eval_pope([{"question": "q", "answer": text} for text in texts], ["yes"] * 5)["TP"] == 3
    nothing = pope.eval_pope([{"text": "no"}], ["no"])
    assert (nothing["precision"], nothing["recall"], nothing["f1"]) == (None, None, 0.0)
    with pytest.raises(ValueError, match="at least one answer"):
        pope.eval_pope([], [])


def test_pope_without_a_yes_has_no_precision_and_an_f1_of_zero() -> None:
    reports = _by_name(pope.report_pope("pope", _pope("random", [("yes", "no"), ("no", "no")])))
    assert reports["pope/random/precision"].value is None
    assert reports["pope/random/f1"].value == 0.0
    nothing = _by_name(pope.report_pope("pope", _pope("random", [("yes", None)])))
    assert {report.value for report in nothing.values()} == {None}


def test_pope_refuses_other_labels() -> None:
    with pytest.raises(RecordError, match="'maybe'"):
        pope.score_question(pope.Question("1", "random", "i", "maybe", "yes"))
