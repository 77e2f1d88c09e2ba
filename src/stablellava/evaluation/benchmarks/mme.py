"""MME: two yes/no questions an image, 14 subtasks."""

from collections.abc import Iterator, Sequence
from dataclasses import replace
from pathlib import Path

from stablellava.core.errors import RecordError
from stablellava.core.score import TaskItem
from stablellava.evaluation.benchmarks.base import (
    Answered,
    Arranged,
    Scored,
    Source,
    SourceItem,
    Task,
    ask_short,
    locate_picture,
)
from stablellava.evaluation.benchmarks.pictures import Base64Picture, ParquetPicture, PictureSource
from stablellava.evaluation.benchmarks.rows import Row
from stablellava.evaluation.benchmarks.tables import read_records
from stablellava.evaluation.official.mme import COGNITION, PERCEPTION, Question, report_mme, score_question
from stablellava.evaluation.submissions.answers import MME as SUBMISSION

_SUBTASKS = (*PERCEPTION, *COGNITION)
_ENDING = "Please answer yes or no."
_PER_IMAGE = 2


def _open_rows(source: Source) -> Iterator[Row]:
    if not source.path.is_dir():
        yield from read_records(source.path)
        return
    folders = [source.path / subtask for subtask in _SUBTASKS if (source.path / subtask).is_dir()]
    listed = [source.path / f"{subtask}.txt" for subtask in _SUBTASKS if (source.path / f"{subtask}.txt").is_file()]
    if not folders and not listed:
        raise RecordError(f"{source.path} holds no subtask of MME, neither a folder nor a text file {_SUBTASKS[0]}.txt")
    if listed:
        for file in listed:
            yield from _read_lines(file, file.stem, "")
        return
    for folder in folders:
        texts = sorted(file for file in folder.rglob("*.txt"))
        for file in texts:
            yield from _read_lines(file, folder.name, file.stem)


def _read_lines(file: Path, subtask: str, image: str) -> Iterator[Row]:
    """Yield the questions of a text file: of one image, or with the image in the first column."""
    names = ("question", "answer") if image else ("image", "question", "answer")
    try:
        lines = file.read_text(encoding="utf-8-sig").splitlines()
    except UnicodeDecodeError as exc:
        raise RecordError(f"{file}: byte {exc.start} is not UTF-8; save the file as UTF-8") from exc
    for number, line in enumerate(lines, start=1):
        if line.strip():
            cells = dict(zip(names, line.split("\t"), strict=False))
            yield Row(file, f"line {number}", {"image": image, **cells, "category": subtask, "is_text": True})


def _read_row(row: Row, source: Source) -> Sequence[SourceItem]:
    subtask = row.one_of("category", _SUBTASKS)
    question = row.text("question")
    answer = row.text("answer").strip().capitalize()
    if answer not in ("Yes", "No"):
        raise row.error("answer", f"got {answer!r}; it must be Yes or No")
    name, picture = _find_picture(row, subtask, source)
    asked = question.replace(_ENDING, "").strip()
    item = TaskItem(
        item_id=f"{subtask}/{name}/{asked}",
        form="yes_no",
        prompt=question if source.variant == "official" else ask_short(asked),
        question=question,
        reference=(answer,),
        group=subtask,
        fields={"image": name},
        also_known_as=tuple(
            dict.fromkeys((f"{subtask}/{name}", f"{subtask}/{Path(name).stem}", row.optional("question_id", "index")))
        ),
    )
    return (SourceItem(item, row, (picture,)),)


def _find_picture(row: Row, subtask: str, source: Source) -> tuple[str, PictureSource]:
    """Return the image's name and the picture."""
    cell = row.cells.get("image")
    if isinstance(cell, ParquetPicture):
        return Path(row.text("question_id")).name, cell
    if not row.cells.get("is_text"):
        return row.optional("image_path", "index"), Base64Picture(row.text("image"))
    root = source.images_dir or source.path
    folders = [root / subtask / "images", root / subtask]
    path = locate_picture(row, "image", replace(source, images_dir=None), folders)
    return path.name, path


def _arrange(items: Sequence[SourceItem], source: Source) -> Arranged:
    """Put the two questions on an image side by side; leave out images with another number of them."""
    images: dict[str, list[SourceItem]] = {}
    for entry in items:
        images.setdefault(_image_of(entry.item), []).append(entry)
    pairs, problems = [], []
    for image, entries in images.items():
        if len(entries) == _PER_IMAGE:
            pairs.extend(entries)
        else:
            problem = f"image {image!r} has {len(entries)} usable questions; it takes {_PER_IMAGE}"
            problems.append(str(entries[0].row.error("question", problem)))
    pairs.sort(key=lambda entry: _SUBTASKS.index(entry.item.group))
    return Arranged(pairs, problems)


def _image_of(item: TaskItem) -> str:
    return f"{item.group}/{item.fields['image']}"


def _score(name: str, variant: str, answered: Sequence[Answered]) -> Scored:
    questions = [_question(entry) for entry in answered]
    scores = [score_question(question) for question in questions]
    named = [
        score.model_copy(update={"item_id": entry.item.item_id}) for score, entry in zip(scores, answered, strict=True)
    ]
    reports = report_mme(name, questions)
    # Totals first: Perception alone is what papers call MME.
    totals = [report for report in reports if report.name.split("/")[1] in ("Perception", "Cognition")]
    return Scored(tuple(named), (*totals, *(report for report in reports if report not in totals)))


def _question(answered: Answered) -> Question:
    item = answered.item
    return Question(
        subtask=item.group,
        image=item.fields["image"],
        question=item.question,
        answer=item.reference[0],
        text=answered.text,
        why_unscored=answered.failure,
    )


TASK = Task(
    name="mme",
    title="MME",
    needs="the folder of subtask folders (or of subtask .txt files with --images), a parquet or a TSV file",
    variants={
        "llava": "the question with LLaVA-1.5's single-word instruction in place of its own ending",
        "official": "the question as the file has it",
    },
    open_rows=_open_rows,
    read_row=_read_row,
    arrange=_arrange,
    score=_score,
    unit_of=_image_of,
    submission=SUBMISSION,
)
