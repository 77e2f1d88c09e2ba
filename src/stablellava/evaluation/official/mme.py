"""MME: two yes/no questions an image; accuracy over questions plus accuracy over images, in points.

Reports named ``.../acc`` and ``.../acc+`` are shares; ``.../score`` are points: up to 200 a subtask, 2000 for
Perception, 800 for Cognition. What papers quote as "MME" is Perception alone.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from stablellava.core.errors import RecordError
from stablellava.core.score import ItemScore, TaskReport
from stablellava.evaluation.official.aggregating import (
    GroupedScore,
    bootstrap_totals,
    mean_interval,
    report_figure,
    resample_totals,
)
from stablellava.evaluation.scoring import UNPARSED
from stablellava.evaluation.statistics import Interval

PERCEPTION = (
    "existence",
    "count",
    "position",
    "color",
    "posters",
    "celebrity",
    "scene",
    "landmark",
    "artwork",
    "OCR",
)
COGNITION = ("commonsense_reasoning", "numerical_calculation", "text_translation", "code_reasoning")

_NUM_CHARACTERS = 4
_NUM_CELLS = 4
_MAX_POINTS = 200.0
_PERCENTILES = (2.5, 97.5)


@dataclass(frozen=True)
class Question:
    """A line of a subtask's answer file."""

    subtask: str
    image: str
    question: str
    answer: str
    """ "Yes" or "No"."""
    text: str | None
    """What the model said; None when it could not be asked."""
    why_unscored: str = ""


@dataclass(frozen=True)
class _Image:
    first: ItemScore
    second: ItemScore

    @property
    def scores(self) -> tuple[ItemScore, ItemScore]:
        return self.first, self.second

    @property
    def is_scored(self) -> bool:
        return all(score.value is not None for score in self.scores)

    @property
    def num_right(self) -> int:
        return sum(score.value == 1 for score in self.scores)


def parse_pred_ans(text: str) -> Literal["yes", "no", "other"]:
    """Return what the first four characters, in lower case, contain; "yes" is looked for first."""
    prefix = text.lower()[:_NUM_CHARACTERS]
    if "yes" in prefix:
        return "yes"
    return "no" if "no" in prefix else "other"


def compute_metric(gts: Sequence[str], preds: Sequence[str]) -> dict[str, float]:
    """Return counts, precision, recall and accuracy of parsed answers; "other" counts in ``acc`` alone, as wrong.

    Precision and recall are 0 where they are undefined.

    Raises: ValueError unless there are as many labels as answers, and at least one.
    """
    pairs = list(zip(gts, preds, strict=False))
    if len(gts) != len(preds) or not pairs:
        raise ValueError(f"MME takes a label for each answer, got {len(gts)} labels and {len(preds)} answers")
    tp, fn, tn, fp = (pairs.count(pair) for pair in (("yes", "yes"), ("yes", "no"), ("no", "no"), ("no", "yes")))
    return {
        "TP": tp,
        "FN": fn,
        "TN": tn,
        "FP": fp,
        "precision": tp / (tp + fp) if tp + fp else 0.0,
        "recall": tp / (tp + fn) if tp + fn else 0.0,
        "other_num": sum(pred == "other" for pred in preds),
        "acc": (tp + tn) / len(pairs),
    }


def score_lines(lines: Sequence[str]) -> dict[str, float]:
    """Return ``compute_metric`` of a subtask's answer file, with ``acc_plus`` and ``score`` (in points).

    Two lines an image, each image, question, label and answer with tabs between; a line with another number of
    tabs is passed over, and its image is none with both right.

    Raises: RecordError for an odd number of lines or another label; ValueError without a readable line.
    """
    if len(lines) % 2:
        raise RecordError(f"MME answer file has {len(lines)} lines; it takes two an image")
    cells = [line.split("\t") for line in lines]
    labels = [parts[2].lower() if len(parts) == _NUM_CELLS else None for parts in cells]
    if unknown := set(labels) - {"yes", "no", None}:
        raise RecordError(f"MME answer file has labels {sorted(map(str, unknown))}; they are Yes or No")
    answers = [parse_pred_ans(parts[-1]) for parts in cells]
    readable = [(label, answer) for label, answer in zip(labels, answers, strict=True) if label]
    metrics = compute_metric([label for label, _ in readable], [answer for _, answer in readable])
    is_right = [label == answer for label, answer in zip(labels, answers, strict=True)]
    num_images = len(lines) // 2
    metrics["acc_plus"] = sum(map(all, zip(is_right[::2], is_right[1::2], strict=True))) / num_images
    return metrics | {"score": 100 * metrics["acc"] + 100 * metrics["acc_plus"]}


def score_question(question: Question) -> ItemScore:
    """Return whether the answer is right; "other" is wrong.

    Raises: RecordError if the right answer is neither yes nor no.
    """
    item_id = f"{question.subtask}/{question.image}/{question.question}"
    expected = question.answer.lower()
    if expected not in ("yes", "no"):
        raise RecordError(f"MME {item_id!r} has the answer {question.answer!r}; it is Yes or No")
    if question.text is None:
        return ItemScore(item_id=item_id, value=None, why=question.why_unscored or "no answer")
    parsed = parse_pred_ans(question.text)
    why = UNPARSED if parsed == "other" else ""
    return ItemScore(item_id=item_id, value=float(parsed == expected), parsed=parsed, why=why)


def report_mme(name: str, questions: Sequence[Question]) -> tuple[TaskReport, ...]:
    """Return acc, acc+ and score per subtask, and the scores of Perception and Cognition.

    An image with an unscored question counts for acc with its other question, but not for acc+. A total is
    there only if all its subtasks have a score.

    Raises: RecordError if the questions of a subtask are not pairs on one image.
    """
    images = _pair_up(questions)
    reports = [report for subtask in images for report in _report_subtask(f"{name}/{subtask}", images[subtask])]
    for group, subtasks in (("Perception", PERCEPTION), ("Cognition", COGNITION)):
        if set(subtasks) <= set(images):
            reports.append(_report_total(f"{name}/{group}/score", name, {key: images[key] for key in subtasks}))
    return tuple(reports)


def _pair_up(questions: Sequence[Question]) -> dict[str, list[_Image]]:
    by_subtask: dict[str, list[Question]] = {}
    for question in questions:
        by_subtask.setdefault(question.subtask, []).append(question)
    images: dict[str, list[_Image]] = {}
    for subtask, asked in by_subtask.items():
        if len(asked) % 2:
            raise RecordError(f"MME subtask {subtask!r} has {len(asked)} questions; it takes two an image")
        images[subtask] = []
        for first, second in zip(asked[::2], asked[1::2], strict=True):
            if first.image != second.image:
                raise RecordError(
                    f"MME subtask {subtask!r} pairs images {first.image!r} and {second.image!r}; "
                    "the two questions on an image stand one after the other"
                )
            images[subtask].append(_Image(score_question(first), score_question(second)))
    return images


def _report_subtask(name: str, images: Sequence[_Image]) -> tuple[TaskReport, ...]:
    grouped = [GroupedScore(score, cluster=str(place)) for place, image in enumerate(images) for score in image.scores]
    scores = [item.score for item in grouped]
    both = [
        ItemScore(
            item_id=image.first.item_id,
            value=float(image.num_right == len(image.scores)) if image.is_scored else None,
            why=UNPARSED if any(score.why == UNPARSED for score in image.scores) else "",
        )
        for image in images
    ]
    accuracy_plus = mean_interval(f"{name}/acc+", [GroupedScore(score) for score in both])
    points = None
    if accuracy_plus:
        points = bootstrap_totals(f"{name}/score", _tabulate(images), _count_points, _MAX_POINTS)
    return (
        report_figure(f"{name}/acc", scores, mean_interval(f"{name}/acc", grouped)),
        report_figure(f"{name}/acc+", both, accuracy_plus),
        report_figure(f"{name}/score", scores, points),
    )


def _report_total(name: str, prefix: str, images: dict[str, list[_Image]]) -> TaskReport:
    """Return the sum of the subtasks' points; subtasks are resampled apart from each other."""
    scores = [score for members in images.values() for image in members for score in image.scores]
    if not all(any(image.is_scored for image in members) for members in images.values()):
        return report_figure(name, scores, None)
    tables = {subtask: np.asarray(_tabulate(members), dtype=np.float64) for subtask, members in images.items()}
    value = sum(float(_count_points(table.sum(axis=0, keepdims=True))[0]) for table in tables.values())
    resampled = np.sum(
        [_count_points(resample_totals(f"{prefix}/{subtask}/score", table)) for subtask, table in tables.items()],
        axis=0,
    )
    low, high = np.nanpercentile(resampled, _PERCENTILES)
    return report_figure(name, scores, Interval(value, float(low), float(high)))


def _tabulate(images: Sequence[_Image]) -> list[tuple[float, ...]]:
    """Return a row an image: right answers, scored questions, both right, scored in full."""
    return [
        (
            float(image.num_right),
            float(sum(score.value is not None for score in image.scores)),
            float(image.is_scored and image.num_right == len(image.scores)),
            float(image.is_scored),
        )
        for image in images
    ]


def _count_points(totals: NDArray[np.float64]) -> NDArray[np.float64]:
    with np.errstate(invalid="ignore"):
        points: NDArray[np.float64] = 100 * totals[:, 0] / totals[:, 1] + 100 * totals[:, 2] / totals[:, 3]
    return points
