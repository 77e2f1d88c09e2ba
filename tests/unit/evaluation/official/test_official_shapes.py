"""What recorded calls of the official tools look like: ids that are numbers, arguments by their official names."""

import math
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

from stablellava.core.score import ItemScore
from stablellava.evaluation.official import (
    ai2d,
    llavabench,
    mmbench,
    mme,
    mmmu,
    mmmu_open,
    mmvet,
    pope,
    scienceqa,
    seedbench,
    textvqa,
    vizwiz,
    vqa,
)

OPTIONS = {"A": "cat", "B": "dog"}
SCORES: dict[str, Callable[[], ItemScore]] = {
    "ai2d": lambda: ai2d.score_ai2d(7, "A", "A", OPTIONS),
    "ai2d, rules": lambda: ai2d.score_ai2d_rules(7, "A", "A", OPTIONS),
    "ai2d, unread": lambda: ai2d.score_ai2d_rules(7, "owl", "A", OPTIONS),
    "llavabench": lambda: llavabench.score_review(llavabench.Review(7, "conv", "8 9")),
    "llavabench, failed": lambda: llavabench.score_review(llavabench.Review(7, "conv", None)),
    "llavabench, unread": lambda: llavabench.score_review(llavabench.Review(7, "conv", "good")),
    "pope": lambda: pope.score_question(pope.Question(7, "random", "a.jpg", "yes", "yes")),
    "pope, failed": lambda: pope.score_question(pope.Question(7, "random", "a.jpg", "yes", None)),
    "scienceqa": lambda: scienceqa.score_problem(scienceqa.Problem(7, 2, 0, "A")),
    "scienceqa, lmms-eval": lambda: scienceqa.score_problem_lmms(scienceqa.Problem(7, 2, 0, "A")),
    "seedbench": lambda: seedbench.score_generation(7, "A", "A"),
    "seedbench, first": lambda: seedbench.score_first_character(7, "A", "A"),
    "seedbench, losses": lambda: seedbench.score_likelihood(7, [0, 1, 2, 3], "A"),
    "textvqa": lambda: textvqa.score_textvqa(7, "A", ["A"] * 10),
    "textvqa, vqa": lambda: textvqa.score_textvqa_vqa(7, "A", ["A"] * 10),
    "vizwiz": lambda: vizwiz.score_vizwiz(7, "A", ["A"]),
    "vizwiz, evalai": lambda: vizwiz.score_vizwiz_evalai(7, "A", ["A"]),
}


@pytest.mark.parametrize("score", SCORES.values(), ids=SCORES)
def test_ids_may_be_numbers_as_in_the_official_files(score: Callable[[], ItemScore]) -> None:
    assert score().item_id == "7"


def test_grades_of_mmvet_may_have_numbers_as_ids() -> None:
    result = mmvet.score_mmvet([mmvet.Grade(7, ("rec",), (0.5,))])
    assert result.reports[0].value == 0.5


def test_annotations_may_be_the_objects_of_the_official_files() -> None:
    texts = ["Yes"] * 3 + ["no"] * 7
    objects = [{"answer": text, "answer_confidence": "yes", "answer_id": place} for place, text in enumerate(texts)]
    for function in (vqa.vqa_accuracy, vqa.evalai_accuracy, vqa.leave_one_out, vizwiz.vizwiz_accuracy):
        assert function("Yes", objects) == function("Yes", texts)
    assert vqa.compute_answer_scores(objects) == vqa.compute_answer_scores(texts)
    assert textvqa.eval_pred_list([{"pred_answer": "yes", "gt_answers": objects}]) == pytest.approx(0.9)
    assert vizwiz.score_vizwiz("1", "yes", objects).value == pytest.approx(0.9)


def test_numbers_and_texts_may_come_in_arrays() -> None:
    assert seedbench.choose_by_loss(np.array([3.0, 1.0, 2.0, 4.0])) == "B"
    assert llavabench.relative_score(np.array([[8.0, 6.0], [8.0, 4.0]])) == 62.5
    assert mme.compute_metric(np.array(["yes", "no"]), np.array(["yes", "other"]))["acc"] == 0.5


NAMED: list[tuple[Callable[..., Any], dict[str, Any], Any]] = [
    (mmmu.parse_multi_choice_response, {"response": "(B)", "all_choices": ["A", "B"], "index2ans": OPTIONS}, "B"),
    (mmmu.eval_multi_choice, {"gold_i": ["A", "B"], "pred_i": "B"}, True),
    (mmmu.evaluate, {"samples": []}, {"acc": 0}),
    (mmmu.calculate_ins_level_acc, {"results": {"Art": {"acc": 0.5, "num_example": 2}}}, 0.5),
    (mmmu_open.parse_open_response, {"response": "a cat"}, ["a cat"]),
    (mmmu_open.eval_open, {"gold_i": "cat", "pred_i": ["a cat"]}, True),
    (mmmu_open.normalize_str, {"string": "1,000"}, [1000.0]),
    (mmmu_open.check_is_number, {"string": "1,000"}, True),
    (mmmu_open.extract_numbers, {"string": "x = 5"}, ["5"]),
    (mmbench.can_infer, {"answer": 5, "choices": {"A": 5, "B": math.nan}}, "A"),
    (mmbench.can_infer_option, {"answer": "B.", "choices": "AB"}, "B"),
    (mmbench.can_infer_text, {"answer": "a cat", "choices": OPTIONS}, "A"),
    (mmbench.build_choices, {"item": {"A": "cat", "B": math.nan}}, {"A": "cat"}),
    (mmbench.prefetch_answer, {"item": {**OPTIONS, "prediction": math.nan}}, False),
    (scienceqa.get_pred_idx, {"prediction": "B", "choices": [1, 2], "options": ["A", "B"]}, 1),
    (textvqa.prompt_processor, {"prompt": "What?\nAnswer."}, "what?"),
    (llavabench.parse_pair, {"review": "8 9"}, [8.0, 9.0]),
]


@pytest.mark.parametrize(("function", "arguments", "returned"), NAMED, ids=lambda value: getattr(value, "__name__", ""))
def test_functions_of_the_same_name_take_the_official_names_of_their_arguments(
    function: Callable[..., Any], arguments: dict[str, Any], returned: Any
) -> None:
    assert function(**arguments) == returned
