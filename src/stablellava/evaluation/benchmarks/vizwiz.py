"""VizWiz VQA: photos and questions of blind people, ten annotators each."""

from collections.abc import Iterator, Sequence

from stablellava.core.score import TaskItem
from stablellava.evaluation.benchmarks.base import (
    Answered,
    Scored,
    Source,
    SourceItem,
    Task,
    ask_short,
    locate_picture,
    score_each,
)
from stablellava.evaluation.benchmarks.rows import Row, show
from stablellava.evaluation.benchmarks.tables import read_records
from stablellava.evaluation.official.aggregating import GroupedScore, report_means
from stablellava.evaluation.official.vizwiz import score_vizwiz, score_vizwiz_evalai
from stablellava.evaluation.submissions.answers import VIZWIZ as SUBMISSION

_WHEN_UNSURE = "When the provided information is insufficient, respond with 'Unanswerable'."


def _open_rows(source: Source) -> Iterator[Row]:
    yield from read_records(source.path)


def _read_row(row: Row, source: Source) -> Sequence[SourceItem]:
    image, question = row.text("image"), row.text("question")
    split = next((split for split in ("test", "val", "train") if split in image.lower().split("_")), "")
    root = row.path.parent
    named = [root.parent / split, root / split] if split else []
    picture = locate_picture(row, "image", source, [root, *named, root / "images"])
    item = TaskItem(
        item_id=row.optional("question_id") or image,
        form="short",
        prompt=ask_short(question, _WHEN_UNSURE) if source.variant == "llava" else ask_short(question),
        question=question,
        reference=read_annotations(row) if "answers" in row.cells else (),
        group=row.optional("answer_type"),
        fields={"image": image, "split": split},
        also_known_as=(image,),
    )
    return (SourceItem(item, row, (picture,)),)


def read_annotations(row: Row, num_needed: int | None = None) -> tuple[str, ...]:
    """Return what each annotator said, from texts or from objects with an "answer".

    Any text counts, "nan" and the empty one too: it is what somebody said.
    """
    answers = row.cells.get("answers")
    if not isinstance(answers, list) or not answers:
        raise row.error("answers", f"got {show(answers)}; a list of the annotators' answers is needed")
    if num_needed is not None and len(answers) != num_needed:
        raise row.error("answers", f"got {len(answers)} answers; exactly {num_needed} are needed")
    texts = [answer.get("answer") if isinstance(answer, dict) else answer for answer in answers]
    for place, text in enumerate(texts, start=1):
        if not isinstance(text, str):
            raise row.error("answers", f"answer {place} is {show(text)}; a text is needed")
    return tuple(str(text) for text in texts)


def _score(name: str, variant: str, answered: Sequence[Answered]) -> Scored:
    official = score_each(answered, lambda item, text: score_vizwiz(item.item_id, text, item.reference))
    evalai = score_each(answered, lambda item, text: score_vizwiz_evalai(item.item_id, text, item.reference))
    groups = [(f"type/{entry.item.group}",) if entry.item.group else () for entry in answered]
    reports = report_means(name, list(map(GroupedScore, official, groups)))
    return Scored(tuple(official), (*reports, *report_means(f"{name}/evalai", list(map(GroupedScore, evalai)))))


TASK = Task(
    name="vizwiz",
    title="VizWiz VQA",
    needs="the annotations as JSON, as val.json; the photos beside it or with --images",
    variants={
        "llava": "LLaVA-1.5's prompt, which offers 'Unanswerable'",
        "short": "the single-word instruction alone",
    },
    open_rows=_open_rows,
    read_row=_read_row,
    score=_score,
    submission=SUBMISSION,
)
