"""VizWiz VQA."""

from collections.abc import Sequence

from stablellava.core.score import ItemScore
from stablellava.evaluation.official.vqa import (
    Annotation,
    evalai_accuracy,
    leave_one_out,
    normalize_evalai,
    normalize_vqa,
    vqa_accuracy,
)


def score_vizwiz(item_id: str | int, text: str, annotations: Sequence[Annotation]) -> ItemScore:
    """Return the official VQA accuracy of an answer."""
    return ItemScore(item_id=str(item_id), value=vqa_accuracy(text, annotations), parsed=normalize_vqa(text))


def score_vizwiz_evalai(item_id: str | int, text: str, annotations: Sequence[Annotation]) -> ItemScore:
    """Return the accuracy with both sides always normalised, as LLaVA submits and lmms-eval scores."""
    return ItemScore(item_id=str(item_id), value=evalai_accuracy(text, annotations), parsed=normalize_evalai(text))


def vizwiz_accuracy(answer: str, annotations: Sequence[Annotation]) -> float:
    """Return the accuracy of VizWiz's own API: the answer is always normalised, the annotations never.

    Raises: ValueError without annotations.
    """
    return leave_one_out(normalize_vqa(answer), annotations)


def submission_answer(text: str) -> str:
    """Return the answer as LLaVA's script writes it into the upload."""
    return normalize_evalai(text)
