"""TextVQA."""

from collections.abc import Sequence

from stablellava.core.errors import RecordError
from stablellava.core.score import ItemScore
from stablellava.evaluation.official.vqa import evalai_accuracy, normalize_evalai, normalize_vqa, vqa_accuracy

_NUM_ANNOTATIONS = 10


def score_textvqa(item_id: str, text: str, annotations: Sequence[str]) -> ItemScore:
    """Return TextVQA's own accuracy (m4c, which LLaVA uses): both sides are always normalised.

    Raises: RecordError unless there are ten annotations.
    """
    _check(item_id, annotations)
    return ItemScore(item_id=item_id, value=evalai_accuracy(text, annotations), parsed=normalize_evalai(text))


def score_textvqa_vqa(item_id: str, text: str, annotations: Sequence[str]) -> ItemScore:
    """Return the accuracy by the VQA evaluation: both sides are normalised only when annotators differ.

    Raises: RecordError unless there are ten annotations.
    """
    _check(item_id, annotations)
    return ItemScore(item_id=item_id, value=vqa_accuracy(text, annotations), parsed=normalize_vqa(text))


def _check(item_id: str, annotations: Sequence[str]) -> None:
    if len(annotations) != _NUM_ANNOTATIONS:
        raise RecordError(f"TextVQA item {item_id!r} has {len(annotations)} answers; it takes exactly ten")
