"""Uploads that are JSON or text: VizWiz, SEED-Bench, MMMU, MME, MM-Vet."""

import random
from collections.abc import Sequence

import orjson

from stablellava.evaluation.benchmarks.base import Answered, Submission
from stablellava.evaluation.official.mmmu import MULTIPLE_CHOICE, SEED, parse_multi_choice_response
from stablellava.evaluation.official.seedbench import choose_by_loss
from stablellava.evaluation.official.vizwiz import submission_answer


def render_vizwiz(answered: Sequence[Answered]) -> dict[str, bytes]:
    """Return image and normalised answer of every question."""
    rows = [{"image": e.item.fields["image"], "answer": submission_answer(e.text or "")} for e in answered]
    return {"": orjson.dumps(rows)}


def render_seedbench(answered: Sequence[Answered]) -> dict[str, bytes]:
    """Return a line of question id and prediction for every question; a likelihood's letter, or the text."""
    rows = [{"question_id": e.item.item_id, "prediction": _seedbench_letter(e)} for e in answered]
    return {"": b"".join(orjson.dumps(row) + b"\n" for row in rows)}


def render_mmmu(answered: Sequence[Answered]) -> dict[str, bytes]:
    """Return the letter of multiple-choice questions (drawn as officially where none is read), else the text."""
    rng = random.Random(SEED)  # noqa: S311 - the official rule
    answers = {}
    for entry in answered:
        item, text = entry.item, entry.text or ""
        if item.fields["question_type"] == MULTIPLE_CHOICE:
            text = parse_multi_choice_response(text, list(item.options), item.options, rng)
        answers[item.item_id] = text
    return {"": orjson.dumps(answers, option=orjson.OPT_INDENT_2)}


def render_mme(answered: Sequence[Answered]) -> dict[str, bytes]:
    """Return a file per subtask: image, question, right answer and response, parted by tabs."""
    files: dict[str, list[str]] = {}
    for entry in answered:
        item = entry.item
        cells = (item.fields["image"], item.question, "".join(item.reference), entry.text or "")
        # The official tool reads a line a question.
        files.setdefault(f"{item.group}.txt", []).append("\t".join(" ".join(cell.split()) for cell in cells))
    return {name: ("\n".join(lines) + "\n").encode() for name, lines in files.items()}


def render_mmvet(answered: Sequence[Answered]) -> dict[str, bytes]:
    """Return the text of every answer by question id."""
    return {"": orjson.dumps({e.item.item_id: e.text or "" for e in answered}, option=orjson.OPT_INDENT_2)}


def _seedbench_letter(answered: Answered) -> str:
    text = answered.text or ""
    return choose_by_loss(orjson.loads(text)) if answered.item.form == "likelihood" and text else text


VIZWIZ = Submission("JSON for the VizWiz challenge on EvalAI", ".json", render_vizwiz)
SEEDBENCH = Submission("JSON lines for the SEED-Bench leaderboard", ".jsonl", render_seedbench)
MMMU = Submission("JSON for MMMU's main_eval_only.py and EvalAI", ".json", render_mmmu)
MME = Submission("a folder of text files for MME's calculation.py", "", render_mme)
MMVET = Submission("JSON for MM-Vet's evaluator", ".json", render_mmvet)
