"""POPE: is an object in the image? Three splits of 3,000 questions on 500 images."""

from collections.abc import Iterator, Sequence
from dataclasses import replace

from stablellava.core.errors import RecordError
from stablellava.core.score import TaskItem
from stablellava.evaluation.benchmarks.base import Answered, Scored, Source, SourceItem, Task, ask_short, locate_picture
from stablellava.evaluation.benchmarks.rows import Row
from stablellava.evaluation.benchmarks.tables import read_json_lines
from stablellava.evaluation.official.pope import Question, report_pope, score_question

_SPLITS = ("random", "popular", "adversarial")


def _open_rows(source: Source) -> Iterator[Row]:
    files = [source.path]
    if source.path.is_dir():
        files = [path for split in _SPLITS for path in sorted(source.path.glob(f"*pope_{split}.json*"))]
        if not files:
            raise RecordError(f"{source.path} holds no coco_pope_{_SPLITS[0]}.json or another split")
    for file in files:
        split = next((split for split in _SPLITS if split in file.stem), file.stem)
        for row in read_json_lines(file):
            yield replace(row, cells={"category": split, **row.cells})


def _read_row(row: Row, source: Source) -> Sequence[SourceItem]:
    split, question_id = row.text("category"), row.text("question_id")
    label = row.one_of("label", ("yes", "no"))
    root = row.path.parent
    picture = locate_picture(row, "image", source, [root, root / "val2014", root / "images"])
    item = TaskItem(
        item_id=f"{split}/{question_id}",
        form="yes_no",
        prompt=ask_short(row.text("text")) if source.variant == "llava" else row.text("text"),
        question=row.text("text"),
        reference=(label,),
        group=split,
        fields={"image": row.text("image")},
        also_known_as=(question_id,),
    )
    return (SourceItem(item, row, (picture,)),)


def _score(name: str, variant: str, answered: Sequence[Answered]) -> Scored:
    questions = [
        Question(
            question_id=entry.item.item_id,
            category=entry.item.group,
            image=entry.item.fields["image"],
            label=entry.item.reference[0],
            text=entry.text,
            why_unscored=entry.failure,
        )
        for entry in answered
    ]
    *reports, headline = report_pope(name, questions)
    return Scored(tuple(map(score_question, questions)), (headline, *reports))


TASK = Task(
    name="pope",
    title="POPE",
    needs="the folder with coco_pope_random.json, ..popular.json and ..adversarial.json, or one of them; COCO val2014",
    variants={
        "llava": "LLaVA-1.5's single-word instruction after the question",
        "official": "the question alone",
    },
    open_rows=_open_rows,
    read_row=_read_row,
    score=_score,
)
