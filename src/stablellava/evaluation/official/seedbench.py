"""SEED-Bench: by likelihood, as the benchmark defines it, and by generated letter, as LLaVA reports it."""

import math
from collections.abc import Mapping, Sequence

from stablellava.core.errors import RecordError
from stablellava.core.score import ItemScore, TaskReport
from stablellava.evaluation.official.aggregating import GroupedScore, report_means
from stablellava.evaluation.scoring import UNPARSED

LETTERS = ("A", "B", "C", "D")
QUESTION_TYPES = {
    1: "Scene Understanding",
    2: "Instance Identity",
    3: "Instance Attributes",
    4: "Instance Location",
    5: "Instances Counting",
    6: "Spatial Relation",
    7: "Instance Interaction",
    8: "Visual Reasoning",
    9: "Text Understanding",
    10: "Action Recognition",
    11: "Action Prediction",
    12: "Procedure Understanding",
}


def choose_by_loss(losses: Sequence[float]) -> str:
    """Return the letter of the option with the lowest loss, of equal ones the first.

    Raises: RecordError unless there are four losses and all are numbers.
    """
    if len(losses) != len(LETTERS) or any(math.isnan(loss) for loss in losses):
        raise RecordError(f"SEED-Bench needs one loss for each of {', '.join(LETTERS)}, got {list(losses)}")
    return LETTERS[min(range(len(LETTERS)), key=lambda place: losses[place])]


def score_likelihood(question_id: str | int, losses: Sequence[float], answer: str) -> ItemScore:
    """Return whether the right option's text has the lowest loss.

    Raises: RecordError unless there are four losses and all are numbers.
    """
    letter = choose_by_loss(losses)
    return ItemScore(item_id=str(question_id), value=float(letter == answer), parsed=letter)


def score_generation(question_id: str | int, text: str | None, answer: str) -> ItemScore:
    """Return whether the text is the letter and nothing else (LLaVA's script); a missing one is wrong."""
    return _score(question_id, "" if text is None else text, text == answer)


def score_first_character(question_id: str | int, text: str, answer: str) -> ItemScore:
    """Return whether the stripped text begins with the letter, in either case (lmms-eval)."""
    first = text.strip()[:1]
    return _score(question_id, first.upper(), first.lower() == answer.strip().lower())


def report_seedbench(
    name: str,
    scores: Sequence[tuple[ItemScore, int, str]],
    question_types: Mapping[int, str] = QUESTION_TYPES,
    images: Sequence[str] = (),
) -> tuple[TaskReport, ...]:
    """Return micro accuracy of all questions, of image and video questions, and per question type.

    ``scores`` hold the score, the question type's id and the data type ("image" or "video"); ``images`` name what the
    questions are about, where several share one.

    Raises: RecordError for a question type that has no name.
    """
    grouped = []
    for (score, type_id, data_type), image in zip(scores, images or [""] * len(scores), strict=True):
        if type_id not in question_types:
            known = ", ".join(map(str, sorted(question_types)))
            raise RecordError(f"SEED-Bench question {score.item_id!r} is of type {type_id}; known are {known}")
        grouped.append(GroupedScore(score, (data_type, f"type {type_id:02d} {question_types[type_id]}"), image))
    return report_means(name, grouped)


def _score(question_id: str | int, letter: str, is_right: bool) -> ItemScore:
    is_read = letter in LETTERS
    return ItemScore(
        item_id=str(question_id),
        value=float(is_right),
        parsed=letter if is_read else "",
        why="" if is_read or is_right else UNPARSED,
    )
