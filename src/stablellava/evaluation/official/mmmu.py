"""MMMU: multiple-choice and open questions.

The multiple-choice rule sees "(B)" and a lone capital " B ", but neither "B. text", "C) text" nor lower case,
and draws a letter where it sees none. The draws come from one generator seeded once, so figures depend on
the order of the items: the official tool goes subject by subject in alphabetical order.
"""

import random
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal

from stablellava.core.score import ItemScore, TaskReport
from stablellava.evaluation.official.aggregating import GroupedScore, report_means
from stablellava.evaluation.official.mmmu_open import eval_open, parse_open_response
from stablellava.evaluation.scoring import UNPARSED

SEED = 42
MULTIPLE_CHOICE = "multiple-choice"
DOMAINS = {
    "Art and Design": ("Art", "Art_Theory", "Design", "Music"),
    "Business": ("Accounting", "Economics", "Finance", "Manage", "Marketing"),
    "Science": ("Biology", "Chemistry", "Geography", "Math", "Physics"),
    "Health and Medicine": (
        "Basic_Medical_Science",
        "Clinical_Medicine",
        "Diagnostics_and_Laboratory_Medicine",
        "Pharmacy",
        "Public_Health",
    ),
    "Humanities and Social Science": ("History", "Literature", "Sociology", "Psychology"),
    "Tech and Engineering": (
        "Agriculture",
        "Architecture_and_Engineering",
        "Computer_Science",
        "Electronics",
        "Energy_and_Power",
        "Materials",
        "Mechanical_Engineering",
    ),
}
_DOMAIN_OF = {subject: domain for domain, subjects in DOMAINS.items() for subject in subjects}
_MIN_WORDS_FOR_TEXT = 6
_VERDICTS = {True: "Correct", False: "Wrong"}


@dataclass(frozen=True)
class Question:
    """A question with what was answered."""

    question_id: str
    """As "validation_Art_Theory_12"."""
    question_type: Literal["multiple-choice", "open"]
    answer: str | Sequence[str]
    text: str | None
    """What the model said; None when it could not be asked."""
    index2ans: Mapping[str, str] | None = None
    """Option texts by letter, of multiple-choice questions."""
    why_unscored: str = ""
    image: str = ""
    """Questions on one image are resampled together."""


def match_multi_choice_response(response: str, all_choices: Sequence[str], index2ans: Mapping[str, str]) -> str | None:
    """Return the letter the official rule reads, None where it would draw one."""
    for char in ",.!?;:'":
        response = response.strip(char)
    padded = f" {response} "
    for form in ("({})", " {} "):
        places = {choice: padded.rfind(form.format(choice)) for choice in all_choices}
        if named := _last_named(places):
            return named
    if len(padded.split()) < _MIN_WORDS_FOR_TEXT:
        return None
    lowered = padded.lower()
    return _last_named({letter: lowered.rfind(text.lower()) for letter, text in index2ans.items()})


def parse_multi_choice_response(
    response: str, all_choices: Sequence[str], index2ans: Mapping[str, str], rng: random.Random | None = None
) -> str:
    """Return the letter read from the response, or a drawn one.

    ``rng`` goes on from call to call in an official run; without it a fresh one is seeded with SEED.
    """
    matched = match_multi_choice_response(response, all_choices, index2ans)
    return matched or (rng or random.Random(SEED)).choice(all_choices)  # noqa: S311 - the official rule


def eval_multi_choice(gold_i: str | Sequence[str], pred_i: str) -> bool:
    """Return whether the letter is the right one, or one of them."""
    return pred_i in gold_i if isinstance(gold_i, (list, tuple)) else pred_i == gold_i


def evaluate(samples: Sequence[Mapping[str, Any]]) -> tuple[dict[str, str], dict[str, float]] | dict[str, float]:
    """Return "Correct" or "Wrong" by id, and the accuracy under "acc"; without samples the accuracy alone.

    A sample holds ``id``, ``question_type``, ``answer`` and ``parsed_pred``.
    """
    if not samples:
        return {"acc": 0}
    verdicts = {sample["id"]: _VERDICTS[_is_right(sample)] for sample in samples}
    return verdicts, {"acc": sum(map(_is_right, samples)) / len(samples)}


def calculate_ins_level_acc(results: Mapping[str, Mapping[str, float]]) -> float:
    """Return the mean of subjects' ``acc``, weighted by their ``num_example``; 0 without examples."""
    num_examples = sum(result["num_example"] for result in results.values())
    return (
        sum(result["acc"] * result["num_example"] for result in results.values()) / num_examples if num_examples else 0
    )


def subject_of(question_id: str) -> str:
    """Return the subject an id names: "Art_Theory" of "validation_Art_Theory_12"."""
    return "_".join(question_id.split("_")[1:-1])


def score_mmmu(questions: Sequence[Question]) -> tuple[GroupedScore, ...]:
    """Return official scores, in the order given; drawn letters have UNPARSED as their ``why``."""
    rng = random.Random(SEED)  # noqa: S311 - the official rule
    return tuple(GroupedScore(_score(question, rng), _groups(question), question.image) for question in questions)


def report_mmmu(name: str, scores: Sequence[GroupedScore]) -> tuple[TaskReport, ...]:
    """Return micro accuracy overall, per domain, subject and type, with and without chance.

    Under ``name/without_chance`` every drawn letter is wrong; ``num_unparsed`` counts them in both.
    """
    without = [
        item._replace(score=item.score.model_copy(update={"value": 0.0})) if item.score.why == UNPARSED else item
        for item in scores
    ]
    return report_means(name, scores) + report_means(f"{name}/without_chance", without)


def _last_named(places: Mapping[str, int]) -> str | None:
    """Return the name that stands last; places below 0 are absent, and of equal ones the first name counts."""
    found = {name: place for name, place in places.items() if place >= 0}
    return max(found, key=lambda name: found[name]) if found else None


def _is_right(sample: Mapping[str, Any]) -> bool:
    compare = eval_multi_choice if sample["question_type"] == MULTIPLE_CHOICE else eval_open
    return compare(sample["answer"], sample["parsed_pred"])


def _score(question: Question, rng: random.Random) -> ItemScore:
    item_id, text = question.question_id, question.text
    if text is None:
        return ItemScore(item_id=item_id, value=None, why=question.why_unscored or "no answer")
    if question.question_type != MULTIPLE_CHOICE:
        predictions = parse_open_response(text)
        value = float(eval_open(question.answer, predictions))
        parsed = " | ".join(str(prediction) for prediction in predictions)
        return ItemScore(item_id=item_id, value=value, parsed=parsed, why="" if text.strip() else UNPARSED)
    options = question.index2ans or {}
    matched = match_multi_choice_response(text, list(options), options)
    letter = matched or rng.choice(list(options))
    right = float(eval_multi_choice(question.answer, letter))
    return ItemScore(item_id=item_id, value=right, parsed=letter, why="" if matched else UNPARSED)


def _groups(question: Question) -> tuple[str, ...]:
    subject = subject_of(question.question_id)
    groups = [f"type/{question.question_type}"]
    if subject:
        groups.append(f"subject/{subject}")
    if subject in _DOMAIN_OF:
        groups.append(f"domain/{_DOMAIN_OF[subject]}")
    return tuple(groups)
