"""LLaVA-Bench in the wild: a judge scores GPT-4's answer and the model's side by side."""

from collections.abc import Iterator, Sequence
from dataclasses import replace

from stablellava.core.score import ItemScore, TaskItem
from stablellava.evaluation.benchmarks.base import (
    Answered,
    JudgeRequest,
    Scored,
    Source,
    SourceItem,
    Task,
    locate_picture,
)
from stablellava.evaluation.benchmarks.mmvet import NO_JUDGE
from stablellava.evaluation.benchmarks.rows import Row, show
from stablellava.evaluation.benchmarks.tables import read_json_lines
from stablellava.evaluation.official.llavabench import Review, parse_score, report_llavabench, score_question

_CATEGORIES = ("conv", "detail", "complex")
_BOTH_ORDERS = "llava-both-orders"
_BEST_SCORE = 10.0
_CONTEXT, _REFERENCE = "context.jsonl", "answers_gpt4.jsonl"


def _open_rows(source: Source) -> Iterator[Row]:
    """Yield questions with the caption of their image and GPT-4's answer."""
    folder = source.path if source.path.is_dir() else source.path.parent
    questions = folder / "questions.jsonl" if source.path.is_dir() else source.path
    context, reference = (map(Row.checked, read_json_lines(folder / name)) for name in (_CONTEXT, _REFERENCE))
    captions = {row.text("image"): _read_caption(row) for row in context}
    answers = {row.text("question_id"): row.optional("text") for row in reference}
    for row in read_json_lines(questions):
        found = {"caption": captions.get(row.optional("image")), "gpt4": answers.get(row.optional("question_id"))}
        yield replace(row, cells={**row.cells, **found})


def _read_caption(row: Row) -> str:
    """Return what the judge is told of an image: a text, or several, a line each."""
    if isinstance(row.cells.get("caption"), list):
        return "\n".join(row.texts("caption"))
    return row.optional("caption")


def _read_row(row: Row, source: Source) -> Sequence[SourceItem]:
    image, question = row.text("image"), row.text("text")
    for column, file in (("caption", _CONTEXT), ("gpt4", _REFERENCE)):
        if not row.cells.get(column):
            key = "image" if column == "caption" else "question_id"
            raise row.error(key, f"{show(row.cells.get(key))} stands in no row of {file}; add it there")
    root = row.path.parent
    picture = locate_picture(row, "image", source, [root / "images", root])
    item = TaskItem(
        item_id=row.text("question_id"),
        form="free",
        prompt=question,
        question=question,
        reference=(row.text("gpt4"),),
        group=row.one_of("category", _CATEGORIES),
        fields={"caption": row.text("caption"), "image": image},
    )
    return (SourceItem(item, row, (picture,)),)


def _judge_requests(variant: str, answered: Answered) -> Sequence[JudgeRequest]:
    item = answered.item
    return tuple(
        JudgeRequest(
            request_id=f"{item.item_id}{' swapped' if is_swapped else ''}",
            kind="llavabench",
            question=item.question,
            reference=item.reference[0],
            prediction=answered.text or "",
            context=item.fields["caption"],
            category=item.group,
            is_swapped=is_swapped,
        )
        for is_swapped in ((False, True) if variant == _BOTH_ORDERS else (False,))
    )


def _score(name: str, variant: str, answered: Sequence[Answered]) -> Scored:
    """Return the official figure, of reviews with the reference first; beside it all reviews of both orders."""
    by_item = [_reviews(entry, swapped=False) for entry in answered]
    official = [review for reviews in by_item for review in reviews]
    reports = report_llavabench(name, official)
    if variant == _BOTH_ORDERS:
        swapped = [review for entry in answered for review in _reviews(entry, swapped=True)]
        reports = (
            *reports,
            report_llavabench(f"{name}/answer-first", swapped)[0],
            report_llavabench(f"{name}/both-orders", [*official, *swapped])[0],
        )
    return Scored(tuple(map(_score_one, by_item)), reports)


def _score_one(reviews: Sequence[Review]) -> ItemScore:
    """Return the model's score as a share of the best one, as comparisons of logs need it."""
    score = score_question(reviews)
    return score if score.value is None else score.model_copy(update={"value": score.value / _BEST_SCORE})


def _reviews(answered: Answered, *, swapped: bool) -> list[Review]:
    item = answered.item
    found = [judgement for judgement in answered.judgements if judgement.is_swapped == swapped]
    if not found:
        return [Review(item.item_id, item.group, None, item.fields["image"], answered.failure or NO_JUDGE)]
    return [
        Review(item.item_id, item.group, _swap(j.text) if swapped else j.text, item.fields["image"], j.why)
        for j in found
    ]


def _swap(review: str | None) -> str | None:
    """Return a review of the other order as if the reference had been first."""
    pair = parse_score(review)
    return review if pair is None else f"{pair[1]!r} {pair[0]!r}"


TASK = Task(
    name="llavabench",
    title="LLaVA-Bench (in the wild)",
    needs="the folder with questions.jsonl, context.jsonl, answers_gpt4.jsonl and images/; scores need a judge",
    variants={
        "llava": "the question alone; the judge sees the reference first, as officially",
        _BOTH_ORDERS: "the same, judged in both orders",
    },
    open_rows=_open_rows,
    read_row=_read_row,
    score=_score,
    judge_requests=_judge_requests,
    max_new_tokens=1024,
)
