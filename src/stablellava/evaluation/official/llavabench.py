"""LLaVA-Bench in the wild: a judge scores the reference and the model's answer, the reference always first."""

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from stablellava.core.score import ItemScore, TaskReport
from stablellava.evaluation.official.aggregating import bootstrap_totals, report_figure

_FAILED = [-1.0, -1.0]


@dataclass(frozen=True)
class Review:
    """What the judge said of one question."""

    question_id: str | int
    category: str
    """ "conv", "detail" or "complex"."""
    review: str | None
    """The judge's reply; None when the call failed."""
    image: str = ""
    """Questions on one image are resampled together."""
    why_unscored: str = ""


def parse_score(review: str | None) -> tuple[float, float] | None:
    """Return the scores of reference and model from the reply's first line, None if there are not two numbers.

    Departs: officially a failure is [-1, -1], which counts as scores (``parse_pair``); NaN and infinity
    are no numbers here.
    """
    reference, model = parse_pair(review)
    is_read = [reference, model] != _FAILED and math.isfinite(reference) and math.isfinite(model)
    return (reference, model) if is_read else None


def parse_pair(review: str | None) -> list[float]:
    """Return the two scores exactly as the official ``parse_score`` does, [-1, -1] if there are not exactly two.

    Every single space parts, and a comma is a space: "8,9" and "8 9" are read, "8, 9" is not.
    """
    parts = (review or "").split("\n")[0].replace(",", " ").split(" ")
    if len(parts) != len(_FAILED):
        return list(_FAILED)
    try:
        return [float(part) for part in parts]
    except ValueError:
        return list(_FAILED)


def relative_score(pairs: Sequence[Sequence[float]]) -> float:
    """Return 100 x mean of the model over mean of the reference, rounded where the official summary rounds.

    Raises: ValueError without pairs, or if the reference's mean is 0.
    """
    table = np.asarray(pairs, dtype=np.float64)
    if not table.size:
        raise ValueError("a relative score needs at least one pair of scores")
    reference, model = (round(float(mean), 3) for mean in table.mean(axis=0))
    if reference == 0:
        raise ValueError(f"the reference's mean score is 0 over {len(pairs)} pairs; nothing is relative to it")
    return round(model / reference * 100, 1)


def score_review(review: Review) -> ItemScore:
    """Return the model's score of one review, unscored where the call failed or the reply holds no pair."""
    if review.review is None:
        return ItemScore(item_id=str(review.question_id), value=None, why=review.why_unscored or "no review")
    pair = parse_score(review.review)
    if pair is None:
        first_line = review.review.split("\n")[0]
        return ItemScore(item_id=str(review.question_id), value=None, why=f"no pair of scores in {first_line[:80]!r}")
    return ItemScore(item_id=str(review.question_id), value=pair[1], parsed=f"{pair[0]:g} {pair[1]:g}")


def score_question(reviews: Sequence[Review]) -> ItemScore:
    """Return the mean of the model's scores over a question's reviews, unscored where none of them holds a pair."""
    scores = [score_review(review) for review in reviews]
    scored = [score.value for score in scores if score.value is not None]
    if not scored:
        return scores[0]
    parsed = ", ".join(score.parsed or "-" for score in scores)
    return ItemScore(item_id=scores[0].item_id, value=sum(scored) / len(scored), parsed=parsed)


def report_llavabench(name: str, reviews: Sequence[Review]) -> tuple[TaskReport, ...]:
    """Return the relative score (1.0: as good as the reference, unrounded) per category and of all.

    A question may have several reviews; it is one item, unscored where all of them are.
    """
    categories = sorted({review.category for review in reviews})
    groups = [(name, list(reviews))]
    groups.extend((f"{name}/{key}", [review for review in reviews if review.category == key]) for key in categories)
    return tuple(_report_group(key, members) for key, members in groups)


def _report_group(name: str, reviews: Sequence[Review]) -> TaskReport:
    rows: dict[str, tuple[float, float]] = {}
    questions: dict[str | int, list[Review]] = {}
    for place, review in enumerate(reviews):
        questions.setdefault(review.question_id, []).append(review)
        pair = parse_score(review.review)
        if pair is not None:
            key = review.image or f"\0{place}"
            reference, model = rows.get(key, (0.0, 0.0))
            rows[key] = (reference + pair[0], model + pair[1])
    scores = [score_question(of_question) for of_question in questions.values()]
    has_reference = sum(reference for reference, _ in rows.values()) != 0
    figure = bootstrap_totals(name, list(rows.values()), _divide) if has_reference else None
    return report_figure(name, scores, figure)


def _divide(totals: NDArray[np.float64]) -> NDArray[np.float64]:
    with np.errstate(invalid="ignore", divide="ignore"):
        ratio: NDArray[np.float64] = totals[:, 1] / totals[:, 0]
    return ratio
