"""MMMU: college questions of 30 subjects, multiple-choice and open."""

import re
from collections.abc import Iterator, Sequence

from stablellava.core.errors import RecordError
from stablellava.core.score import TaskForm, TaskItem
from stablellava.evaluation.benchmarks.base import (
    LETTER_ANSWER,
    SHORT_ANSWER,
    Answered,
    Arranged,
    Scored,
    Source,
    SourceItem,
    Task,
    cluster_of,
    format_options,
    locate_picture,
)
from stablellava.evaluation.benchmarks.pictures import Base64Picture, ParquetPicture, PictureSource
from stablellava.evaluation.benchmarks.rows import Row, show
from stablellava.evaluation.benchmarks.tables import read_records
from stablellava.evaluation.official.mmmu import MULTIPLE_CHOICE, Question, report_mmmu, score_mmmu, subject_of
from stablellava.evaluation.submissions.answers import MMMU as SUBMISSION

_LETTERS = "ABCDEFGHIJ"
_MAX_IMAGES = 7
_MAX_PATH = 300
"""A longer text cell is a picture in base64."""
_MARKER = re.compile(r"<image (\d)>")
_NO_ANSWER = "?"
"""What stands for the answer in the test split."""


def _open_rows(source: Source) -> Iterator[Row]:
    """Yield rows of one file, or of all validation files below a folder."""
    files = [source.path]
    if source.path.is_dir():
        files = sorted(source.path.rglob("validation*.parquet"))
        if not files:
            raise RecordError(f"{source.path} holds no validation*.parquet; name a parquet or JSON file in it")
    for file in files:
        yield from read_records(file)


def _read_row(row: Row, source: Source) -> Sequence[SourceItem]:
    kind = row.one_of("question_type", (MULTIPLE_CHOICE, "open"))
    question = row.text("question")
    texts = row.texts("options") if kind == MULTIPLE_CHOICE else ()
    if kind == MULTIPLE_CHOICE and not 2 <= len(texts) <= len(_LETTERS):
        raise row.error("options", f"got {len(texts)} options; 2 to {len(_LETTERS)} are needed")
    options = dict(zip(_LETTERS, texts, strict=False))
    reference = _read_reference(row, kind, options)
    item_id = row.text("id")
    pictures = _list_pictures(row, source, " ".join((question, *texts)))
    is_alone = source.variant == "llava"
    form: TaskForm = "choice" if options else "short"
    if is_alone and len(_MARKER.findall(" ".join(texts))) > 1:
        # One picture cannot show options that are pictures; MMMU's own run draws a letter then.
        form = "unasked"
    item = TaskItem(
        item_id=item_id,
        form=form,
        prompt=_write_prompt(question, options),
        question=question,
        options=options,
        reference=reference,
        group=subject_of(item_id),
        fields={"question_type": kind, "subfield": row.optional("subfield")},
    )
    # LLaVA-1.5 was given one image, whatever the question shows.
    shown = pictures[:1] if is_alone else pictures
    return (SourceItem(item, row, tuple(picture for _, picture in shown), shown[0][0] if shown else "image_1"),)


def _arrange(items: Sequence[SourceItem], source: Source) -> Arranged:
    """Sort by subject, as the official tool goes: its random letters depend on the order."""
    return Arranged(sorted(items, key=lambda entry: entry.item.group), [])


def _score(name: str, variant: str, answered: Sequence[Answered]) -> Scored:
    scores = score_mmmu([_question(entry) for entry in answered])
    return Scored(tuple(item.score for item in scores), report_mmmu(name, scores))


def _read_reference(row: Row, kind: str, options: dict[str, str]) -> tuple[str, ...]:
    answer = row.optional("answer")
    if answer in ("", _NO_ANSWER):
        return ()
    if kind != MULTIPLE_CHOICE:
        return row.texts("answer") if answer.startswith("[") else (answer,)
    if answer not in options:
        raise row.error("answer", f"got {show(answer)}, but the options are {', '.join(options)}")
    return (answer,)


def _list_pictures(row: Row, source: Source, text: str) -> list[tuple[str, PictureSource]]:
    """Return column and picture of every image the row has; one that the text points to must be there."""
    pictures: list[tuple[str, PictureSource]] = []
    named = {int(number) for number in _MARKER.findall(text)}
    for number in range(1, _MAX_IMAGES + 1):
        column = f"image_{number}"
        cell = row.cells.get(column)
        if isinstance(cell, ParquetPicture):
            pictures.append((column, cell))
        elif isinstance(cell, str) and cell:
            pictures.append((column, _find(row, column, cell, source)))
        elif number in named:
            raise row.error(column, f"got {show(cell)}, but the question shows <image {number}>")
    if not pictures:
        raise row.error("image_1", "the row has no image at all")
    return pictures


def _find(row: Row, column: str, cell: str, source: Source) -> PictureSource:
    if len(cell) > _MAX_PATH:
        return Base64Picture(cell)
    return locate_picture(row, column, source, [row.path.parent, row.path.parent / "images"])


def _write_prompt(question: str, options: dict[str, str]) -> str:
    """Return the prompt of MMMU's own run of LLaVA-1.5; its YAML folds the blank lines that can be seen in it."""
    if not options:
        return f"{question}\n{SHORT_ANSWER}"
    return f"{question}\n{format_options(options, '({letter}) {text}')}\n\n{LETTER_ANSWER}"


def _question(answered: Answered) -> Question:
    item = answered.item
    return Question(
        question_id=item.item_id,
        question_type="multiple-choice" if item.options else "open",
        answer=item.reference[0] if len(item.reference) == 1 else item.reference,
        text=answered.text,
        index2ans=item.options or None,
        why_unscored=answered.failure,
        image=cluster_of(item),
    )


TASK = Task(
    name="mmmu",
    title="MMMU",
    needs="a folder with a validation*.parquet per subject, or one parquet or JSON file; pictures in it or as paths",
    variants={
        "llava": "MMMU's prompt for LLaVA-1.5, the first image only, greedy; options that are pictures by chance",
        "all-images": "the same prompt with every image of the question",
    },
    open_rows=_open_rows,
    read_row=_read_row,
    arrange=_arrange,
    score=_score,
    submission=SUBMISSION,
)
