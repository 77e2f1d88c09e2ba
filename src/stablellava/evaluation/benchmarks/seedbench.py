"""SEED-Bench: four options, 12 dimensions, images and videos; by generated letter or by likelihood."""

from collections.abc import Iterator, Sequence
from pathlib import Path

import orjson

from stablellava.core.errors import RecordError
from stablellava.core.score import ItemScore, TaskItem
from stablellava.evaluation.benchmarks.base import (
    Answered,
    Scored,
    Source,
    SourceItem,
    Task,
    ask_choice,
    cluster_of,
    locate_picture,
    no_answer,
)
from stablellava.evaluation.benchmarks.rows import Row, RowError, is_missing, show
from stablellava.evaluation.benchmarks.tables import list_rows, read_json
from stablellava.evaluation.official.seedbench import (
    LETTERS,
    QUESTION_TYPES,
    report_seedbench,
    score_first_character,
    score_generation,
    score_likelihood,
)
from stablellava.evaluation.submissions.answers import SEEDBENCH as SUBMISSION

_LIKELIHOOD = "likelihood"


def _open_rows(source: Source) -> Iterator[Row]:
    content = read_json(source.path)
    if not isinstance(content, dict) or not isinstance(content.get("questions"), list):
        raise RecordError(f'{source.path}: no list under "questions"; the file is SEED-Bench.json')
    yield from list_rows(source.path, content["questions"], "question")


def _read_row(row: Row, source: Source) -> Sequence[SourceItem]:
    data_type = row.one_of("data_type", ("image", "video"))
    if data_type == "video" and source.variant == "llava-image":
        return ()
    question, type_id = row.text("question"), row.integer("question_type_id")
    if type_id not in QUESTION_TYPES:
        raise row.error("question_type_id", f"got {type_id}; known are 1 to {max(QUESTION_TYPES)}")
    options = {letter: row.text(f"choice_{letter.lower()}") for letter in LETTERS}
    is_likelihood = source.variant == _LIKELIHOOD
    item = TaskItem(
        item_id=row.text("question_id"),
        form="likelihood" if is_likelihood else "choice",
        prompt=question if is_likelihood else ask_choice(question, options),
        question=question,
        options=options,
        reference=() if is_missing(row.cells.get("answer")) else (row.one_of("answer", LETTERS),),
        group=QUESTION_TYPES[type_id],
        fields={"question_type_id": str(type_id), "data_type": data_type},
    )
    return (SourceItem(item, row, (_find(row, item.item_id, data_type, source),), "data_id"),)


def _find(row: Row, question_id: str, data_type: str, source: Source) -> Path:
    """Return the image, or the frame of a video, which stands under the question's id or the video's own name."""
    root = row.path.parent
    if data_type == "image":
        return locate_picture(row, "data_id", source, [root / "SEED-Bench-image", root])
    folders = [root / "SEED-Bench-video-image", root / "SEED-Bench-video", root]
    try:
        return locate_picture(row, "data_id", source, folders, name=question_id)
    except RowError:
        try:
            return locate_picture(row, "data_id", source, folders)
        except RowError as exc:
            hint = f"a video needs its middle frame as {question_id}.png, or use --variant llava-image"
            raise RowError(f"{exc}; {hint}") from exc


def _score(name: str, variant: str, answered: Sequence[Answered]) -> Scored:
    official = [_score_one(entry) for entry in answered]
    images = [cluster_of(entry.item) for entry in answered]
    placed = [_place(score, entry) for score, entry in zip(official, answered, strict=True)]
    reports = report_seedbench(name, placed, images=images)
    if variant != _LIKELIHOOD:
        first = [
            score if entry.text is None else score_first_character(score.item_id, entry.text, entry.item.reference[0])
            for score, entry in zip(official, answered, strict=True)
        ]
        placed = [_place(score, entry) for score, entry in zip(first, answered, strict=True)]
        reports = (*reports, report_seedbench(f"{name}/first-character", placed, images=images)[0])
    return Scored(tuple(official), reports)


def _score_one(answered: Answered) -> ItemScore:
    item, text = answered.item, answered.text
    if text is None:
        return no_answer(answered)
    if item.form != "likelihood":
        return score_generation(item.item_id, text, item.reference[0])
    try:
        losses = [float(loss) for loss in orjson.loads(text)]
        return score_likelihood(item.item_id, losses, item.reference[0])
    except (ValueError, TypeError, RecordError):
        return ItemScore(item_id=item.item_id, value=None, why=f"no four losses in {show(text)}")


def _place(score: ItemScore, answered: Answered) -> tuple[ItemScore, int, str]:
    fields = answered.item.fields
    return score, int(fields["question_type_id"]), fields["data_type"]


TASK = Task(
    name="seedbench",
    title="SEED-Bench",
    needs="SEED-Bench.json with SEED-Bench-image/ (and middle frames in SEED-Bench-video-image/) beside it",
    variants={
        "llava": "LLaVA-1.5's letter prompt; the text must be the letter; videos by their middle frame",
        "llava-image": "the same on image questions alone",
        _LIKELIHOOD: "the benchmark's own form: which option's text has the lowest loss after the bare question",
    },
    open_rows=_open_rows,
    read_row=_read_row,
    score=_score,
    submission=SUBMISSION,
)
