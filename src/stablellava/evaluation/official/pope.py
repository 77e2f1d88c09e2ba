"""POPE: is an object in the image? Whatever is not a clear no counts as yes."""

import math
import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from stablellava.core.errors import RecordError
from stablellava.core.ids import seed_from
from stablellava.core.score import ItemScore, TaskReport
from stablellava.evaluation.official.aggregating import interval_of_totals, report_figure
from stablellava.evaluation.resampling import resample_totals
from stablellava.evaluation.scoring import UNPARSED
from stablellava.evaluation.statistics import Interval

_NEGATIONS = frozenset({"No", "not", "no"})
_YES = re.compile(r"\byes\b", re.IGNORECASE)
_NUM_OUTCOMES = 4

Totals = NDArray[np.float64]
Statistic = Callable[[Totals], Totals]


@dataclass(frozen=True)
class Question:
    """A question with what was answered."""

    question_id: str | int
    category: str
    """The split: "random", "popular" or "adversarial"."""
    image: str
    label: str
    """ "yes" or "no"."""
    text: str | None
    """What the model said; None when it could not be asked."""
    why_unscored: str = ""


def parse_answer(text: str) -> Literal["yes", "no"]:
    """Return "no" if "No", "no" or "not" is a word of the first sentence, else "yes".

    Words are what single spaces part, commas dropped: "NO", "No!" and "no" before a newline are a yes.
    """
    words = text.split(".")[0].replace(",", "").split(" ")
    return "no" if _NEGATIONS.intersection(words) else "yes"


def score_question(question: Question) -> ItemScore:
    """Return whether the answer is right; a yes by default alone has UNPARSED as its ``why``.

    Raises: RecordError if the label is neither yes nor no.
    """
    if question.label not in ("yes", "no"):
        raise RecordError(f"POPE question {question.question_id!r} has label {question.label!r}; it is yes or no")
    if question.text is None:
        return ItemScore(item_id=str(question.question_id), value=None, why=question.why_unscored or "no answer")
    parsed = parse_answer(question.text)
    is_default = parsed == "yes" and not _YES.search(question.text)
    return ItemScore(
        item_id=str(question.question_id),
        value=float(parsed == question.label),
        parsed=parsed,
        why=UNPARSED if is_default else "",
    )


def eval_pope(answers: Sequence[Mapping[str, Any]], label_list: Sequence[str]) -> dict[str, float | None]:
    """Return counts and figures of answers; whatever label is not "no" is a yes.

    An answer's text stands under ``text``, as LLaVA writes it, or under ``answer``, as POPE's own tool reads it.

    The longer of the two is cut, but for the yes ratio, as officially. None for what is undefined; without a
    true positive F1 is 0.

    Raises: ValueError without answers.
    """
    if not answers:
        raise ValueError("POPE's figures need at least one answer")
    predicted = [parse_answer(answer["text" if "text" in answer else "answer"]) == "yes" for answer in answers]
    pairs = list(zip(predicted, (label != "no" for label in label_list), strict=False))
    tp, fp, tn, fn = (pairs.count(pair) for pair in ((True, True), (True, False), (False, False), (False, True)))
    precision = tp / (tp + fp) if tp + fp else None
    recall = tp / (tp + fn) if tp + fn else None
    return {
        "TP": tp,
        "FP": fp,
        "TN": tn,
        "FN": fn,
        "accuracy": (tp + tn) / len(pairs) if pairs else None,
        "precision": precision,
        "recall": recall,
        "f1": 2 * precision * recall / (precision + recall) if precision and recall else 0.0,
        "yes_ratio": predicted.count(True) / len(predicted),
    }


def report_pope(name: str, questions: Sequence[Question]) -> tuple[TaskReport, ...]:
    """Return accuracy, precision, recall, F1 and yes ratio of each split and of all questions, and ``mean_f1``.

    ``mean_f1`` over the splits is LLaVA's headline, ``all/f1`` that of VLMEvalKit and lmms-eval. Intervals
    resample images, for all figures at once. Where nothing was answered yes there is no precision; F1 is then 0.
    """
    scores = [score_question(question) for question in questions]
    names = sorted({question.category for question in questions})
    table = _count_outcomes(questions, scores, names)
    totals = resample_totals(table, np.random.default_rng(seed_from("interval", name))) if len(table) else table
    reports: list[TaskReport] = []
    for place, split in enumerate((*names, "all")):
        members = [s for s, question in zip(scores, questions, strict=True) if split in (question.category, "all")]
        for metric, statistic in _METRICS.items():
            figure = _figure(_columns(table, place, len(names)), _columns(totals, place, len(names)), statistic)
            reports.append(report_figure(f"{name}/{split}/{metric}", members, figure))
    reports.append(report_figure(f"{name}/mean_f1", scores, _figure(table, totals, _mean_f1)))
    return tuple(reports)


def _count_outcomes(questions: Sequence[Question], scores: Sequence[ItemScore], splits: Sequence[str]) -> Totals:
    """Return a row an image: true and false positives, true and false negatives, for each split."""
    place_of = {split: place for place, split in enumerate(splits)}
    rows: dict[str, list[float]] = {}
    for question, score in zip(questions, scores, strict=True):
        if score.value is None:
            continue
        row = rows.setdefault(question.image, [0.0] * (_NUM_OUTCOMES * len(splits)))
        outcome = (0 if score.value else 1) if score.parsed == "yes" else (2 if score.value else 3)
        row[_NUM_OUTCOMES * place_of[question.category] + outcome] += 1
    return np.asarray(list(rows.values()), dtype=np.float64).reshape(len(rows), _NUM_OUTCOMES * len(splits))


def _columns(totals: Totals, place: int, num_splits: int) -> Totals:
    """Return the four outcomes of one split, of all splits together for the place after the last."""
    if place < num_splits:
        return totals[:, _NUM_OUTCOMES * place : _NUM_OUTCOMES * (place + 1)]
    summed: Totals = totals.reshape(len(totals), num_splits, _NUM_OUTCOMES).sum(axis=1)
    return summed


def _figure(table: Totals, totals: Totals, statistic: Statistic) -> Interval | None:
    """Return the figure of a table of images, None if it is undefined."""
    counted = table[table.any(axis=1)]
    if not len(counted):
        return None
    with np.errstate(invalid="ignore"):
        figure = interval_of_totals(counted, totals, statistic, upper=1.0)
    return None if math.isnan(figure.value) else figure


def _accuracy(totals: Totals) -> Totals:
    accuracy: Totals = (totals[:, 0] + totals[:, 2]) / totals.sum(axis=1)
    return accuracy


def _precision(totals: Totals) -> Totals:
    return totals[:, 0] / (totals[:, 0] + totals[:, 1])


def _recall(totals: Totals) -> Totals:
    return totals[:, 0] / (totals[:, 0] + totals[:, 3])


def _f1(totals: Totals) -> Totals:
    return 2 * totals[:, 0] / (2 * totals[:, 0] + totals[:, 1] + totals[:, 3])


def _yes_ratio(totals: Totals) -> Totals:
    ratio: Totals = (totals[:, 0] + totals[:, 1]) / totals.sum(axis=1)
    return ratio


def _mean_f1(totals: Totals) -> Totals:
    splits = np.split(totals, totals.shape[1] // _NUM_OUTCOMES, axis=1)
    mean: Totals = np.mean([_f1(split) for split in splits], axis=0)
    return mean


_METRICS: dict[str, Statistic] = {
    "accuracy": _accuracy,
    "precision": _precision,
    "recall": _recall,
    "f1": _f1,
    "yes_ratio": _yes_ratio,
}
