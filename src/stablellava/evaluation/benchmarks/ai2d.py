"""AI2D: diagrams from school books, four options.

The official folder has bare diagrams, and options that name their labels by letters which are drawn here
("mask": the label's box is white with its letter; "no-mask": the box is outlined and the letter beside it).
"""

from collections.abc import Iterator, Sequence
from dataclasses import replace
from pathlib import Path

from stablellava.core.errors import RecordError
from stablellava.core.score import TaskItem
from stablellava.evaluation.benchmarks.ai2d_diagrams import LabelledDiagram
from stablellava.evaluation.benchmarks.base import (
    Answered,
    Scored,
    Source,
    SourceItem,
    Task,
    ask_choice,
    cluster_of,
    locate_picture,
    score_each,
)
from stablellava.evaluation.benchmarks.pictures import Base64Picture, ParquetPicture, PictureSource
from stablellava.evaluation.benchmarks.rows import Row, show
from stablellava.evaluation.benchmarks.tables import as_object, build_row, read_json, read_records
from stablellava.evaluation.official.aggregating import GroupedScore, report_means
from stablellava.evaluation.official.ai2d import score_ai2d, score_ai2d_rules

_LETTERS = ("A", "B", "C", "D")
_MAX_REFERENCE = 64


def _open_rows(source: Source) -> Iterator[Row]:
    if source.path.is_dir():
        yield from _read_folder(source.path)
        return
    rows = list(read_records(source.path))
    pictures = {row.optional("index"): row.cells.get("image") for row in rows}
    for number, row in enumerate(rows):
        image = row.cells.get("image")
        if isinstance(image, str):
            image = pictures.get(image, image)
        yield replace(row, cells={"number": number, **row.cells, "image": image})


def _read_folder(folder: Path) -> Iterator[Row]:
    """Yield the questions of the official folder, of the test images where a list of them is there."""
    files = sorted((folder / "questions").glob("*.json"))
    if not files:
        raise RecordError(
            f"{folder} has no questions/*.json; give the folder of ai2d-all.zip, or a TSV or parquet file"
        )
    listed = next(iter(sorted((*folder.glob("*test_ids*.csv"), *folder.parent.glob("*test_ids*.csv")))), None)
    test_ids = set(listed.read_text(encoding="utf-8").split()) if listed else None
    for file in files:
        content = as_object(read_json(file), file)
        image = str(content.get("imageName", file.stem))
        if test_ids is not None and Path(image).stem not in test_ids:
            continue
        for number, (text, cells) in enumerate(as_object(content.get("questions"), file).items(), start=1):
            row = build_row(file, f"question {number}", cells)
            yield replace(row, cells={**row.cells, "question": text, "imageName": image, "folder": folder})


def _read_row(row: Row, source: Source) -> Sequence[SourceItem]:
    if "imageName" in row.cells:
        options = _read_options(row, row.texts("answerTexts"))
        answer, item_id = _letter_at(row, "correctAnswer", options), row.text("questionId")
        picture = _find_diagram(row, source)
    else:
        has_list = "options" in row.cells
        options = _read_options(row, row.texts("options")) if has_list else row.lettered(_LETTERS)
        answer = _letter_at(row, "answer", options) if has_list else row.one_of("answer", tuple(options))
        item_id = row.optional("index") or str(row.cells["number"])
        picture = _take_picture(row)
    item = TaskItem(
        item_id=item_id,
        form="choice",
        prompt=ask_choice(row.text("question"), options),
        question=row.text("question"),
        options=options,
        reference=(answer,),
        group=row.optional("category"),
    )
    return (SourceItem(item, row, (picture,)),)


def _read_options(row: Row, texts: Sequence[str]) -> dict[str, str]:
    if not 2 <= len(texts) <= len(_LETTERS):
        column = "answerTexts" if "answerTexts" in row.cells else "options"
        raise row.error(column, f"got {len(texts)} options; 2 to {len(_LETTERS)} are needed")
    return dict(zip(_LETTERS, texts, strict=False))


def _letter_at(row: Row, column: str, options: dict[str, str]) -> str:
    place = row.integer(column)
    if not 0 <= place < len(options):
        raise row.error(column, f"got {place}; it is the index of one of {len(options)} options, from 0")
    return list(options)[place]


def _find_diagram(row: Row, source: Source) -> PictureSource:
    folder = Path(row.cells["folder"])
    path = locate_picture(row, "imageName", source, [folder / "images"])
    if not row.cells.get("abcLabel"):
        return path
    labels = folder / "annotations" / f"{row.text('imageName')}.json"
    if not labels.is_file():
        raise row.error("abcLabel", f"the options are labels of the diagram, but there is no {labels}; put it there")
    return LabelledDiagram(path, labels, is_masked=source.variant != "llava-no-mask")


def _take_picture(row: Row) -> PictureSource:
    cell = row.cells.get("image")
    if isinstance(cell, ParquetPicture):
        return cell
    if not isinstance(cell, str) or len(cell) <= _MAX_REFERENCE:
        raise row.error("image", f"got {show(cell)}: neither a picture nor the index of a row with one")
    return Base64Picture(cell)


def _score(name: str, variant: str, answered: Sequence[Answered]) -> Scored:
    official = score_each(answered, lambda i, text: score_ai2d(i.item_id, text, i.reference[0], i.options))
    rules = score_each(answered, lambda i, text: score_ai2d_rules(i.item_id, text, i.reference[0], i.options))
    grouped, by_rules = (
        [
            GroupedScore(score, (entry.item.group,) if entry.item.group else (), cluster_of(entry.item))
            for score, entry in zip(scores, answered, strict=True)
        ]
        for scores in (official, rules)
    )
    reports = (*report_means(name, grouped), report_means(f"{name}/vlmevalkit-rules", by_rules)[0])
    return Scored(tuple(official), reports)


TASK = Task(
    name="ai2d",
    title="AI2D",
    needs="the folder of ai2d-all.zip, or a TSV (AI2D_TEST) or parquet file; what letters it draws is up to the file",
    variants={
        "llava": "LLaVA-1.5's letter prompt; labels of the official folder masked by their letters",
        "llava-no-mask": "the same with labels outlined and their letters added",
    },
    open_rows=_open_rows,
    read_row=_read_row,
    score=_score,
)
