"""TextVQA."""

import re
from collections.abc import Mapping, Sequence
from typing import Any

from stablellava.core.errors import RecordError
from stablellava.core.score import ItemScore
from stablellava.evaluation.official.vqa import (
    Annotation,
    evalai_accuracy,
    normalize_evalai,
    normalize_vqa,
    vqa_accuracy,
)

_NUM_ANNOTATIONS = 10
_OCR_FIRST = re.compile(r"Question: (.*?) Short answer:", re.DOTALL)


def score_textvqa(item_id: str | int, text: str, annotations: Sequence[Annotation]) -> ItemScore:
    """Return TextVQA's own accuracy (m4c, which LLaVA uses): both sides are always normalised.

    Raises: RecordError unless there are ten annotations.
    """
    _check(item_id, annotations)
    return ItemScore(item_id=str(item_id), value=evalai_accuracy(text, annotations), parsed=normalize_evalai(text))


def score_textvqa_vqa(item_id: str | int, text: str, annotations: Sequence[Annotation]) -> ItemScore:
    """Return the accuracy by the VQA evaluation: both sides are normalised only when annotators differ.

    Raises: RecordError unless there are ten annotations.
    """
    _check(item_id, annotations)
    return ItemScore(item_id=str(item_id), value=vqa_accuracy(text, annotations), parsed=normalize_vqa(text))


def eval_pred_list(pred_list: Sequence[Mapping[str, Any]]) -> float:
    """Return the mean of TextVQA's own accuracy over entries with ``pred_answer`` and ``gt_answers``.

    Raises: RecordError unless each entry has ten annotations; ValueError without entries.
    """
    if not pred_list:
        raise ValueError("an accuracy needs at least one entry")
    for number, entry in enumerate(pred_list):
        _check(str(number), entry["gt_answers"])
    return sum(evalai_accuracy(entry["pred_answer"], entry["gt_answers"]) for entry in pred_list) / len(pred_list)


def prompt_processor(prompt: str) -> str:
    """Return the question in one of LLaVA's prompts, in lower case: what its answers are joined to the file by.

    Raises: RecordError for a prompt of another form.
    """
    lines = prompt.split("\n")
    if prompt.startswith("OCR tokens: "):
        if match := _OCR_FIRST.search(prompt):
            return match[1].lower()
    elif "Reference OCR token: " in prompt and len(lines) == 3:
        return lines[prompt.startswith("Reference OCR token:")].lower()
    elif len(lines) == 2:
        return lines[0].lower()
    raise RecordError(
        f"TextVQA prompt {prompt[:80]!r} is none of LLaVA's; they are question and instruction, "
        "with a line of OCR tokens before or between"
    )


def _check(item_id: str | int, annotations: Sequence[Annotation]) -> None:
    if len(annotations) != _NUM_ANNOTATIONS:
        raise RecordError(f"TextVQA item {item_id!r} has {len(annotations)} answers; it takes exactly ten")
