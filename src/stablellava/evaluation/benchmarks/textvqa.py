"""TextVQA: questions about text in photos, ten annotators each.

Whether the prompt lists what an OCR system read changes the figure by some 13 points, so each way is a variant.
"""

from collections.abc import Iterator, Sequence
from dataclasses import replace
from pathlib import Path

from stablellava.core.errors import RecordError
from stablellava.core.score import TaskItem
from stablellava.evaluation.benchmarks.base import (
    Answered,
    Scored,
    Source,
    SourceItem,
    Task,
    ask_short,
    cluster_of,
    locate_picture,
    score_each,
)
from stablellava.evaluation.benchmarks.pictures import ParquetPicture, PictureSource
from stablellava.evaluation.benchmarks.rows import Row, show
from stablellava.evaluation.benchmarks.tables import list_rows, read_json, read_json_lines, read_parquet
from stablellava.evaluation.benchmarks.vizwiz import read_annotations
from stablellava.evaluation.official.aggregating import GroupedScore, report_means
from stablellava.evaluation.official.textvqa import score_textvqa, score_textvqa_vqa

_NUM_ANNOTATIONS = 10
_OCR_LEAD = "Reference OCR token: "
_OCR_FILE = "TextVQA_Rosetta_OCR_v0.2_val.json"
_WITH_OCR = "llava"


def _open_rows(source: Source) -> Iterator[Row]:
    """Yield rows, each with the line of OCR tokens that LLaVA's prompt has where the variant wants it."""
    rows = _read_rows(source.path)
    if source.variant != _WITH_OCR:
        yield from rows
        return
    lines = _read_ocr(source.path.parent)
    for row in rows:
        key = (row.optional("image_id"), row.optional("question").lower())
        line = lines.get(key, lines.get((key[0], "")))
        yield row if line is None else replace(row, cells={**row.cells, "ocr_line": line})


def _read_rows(path: Path) -> Iterator[Row]:
    if path.suffix == ".parquet":
        yield from read_parquet(path)
        return
    yield from _list_entries(path, "TextVQA_0.5.1_val.json")


def _list_entries(path: Path, official_name: str) -> Iterator[Row]:
    content = read_json(path)
    if not isinstance(content, dict) or not isinstance(content.get("data"), list):
        raise RecordError(f'{path}: no list under "data"; the file is {official_name}')
    yield from list_rows(path, content["data"], "data entry")


def _read_ocr(folder: Path) -> dict[tuple[str, str], str]:
    """Return OCR lines by image and lower-case question (LLaVA's file), or by image alone (TextVQA's)."""
    lines: dict[tuple[str, str], str] = {}
    for path in sorted(folder.glob("*Rosetta_OCR*.json")):
        for row in map(Row.checked, _list_entries(path, _OCR_FILE)):
            lines[row.text("image_id"), ""] = _join_tokens(row, "a list of texts is needed")
    for path in sorted(folder.glob("*_ocr.jsonl")):
        for row in map(Row.checked, read_json_lines(path)):
            question, *between = row.text("text").split("\n")
            if not between:
                raise row.error("text", f"got {show(question)}; LLaVA's prompt has the question on a line of its own")
            lines[row.text("question_id"), question.lower()] = "\n".join(between[:-1])
    return lines


def _read_row(row: Row, source: Source) -> Sequence[SourceItem]:
    image_id, question = row.text("image_id"), row.text("question")
    between = (_read_ocr_line(row),) if source.variant == _WITH_OCR else ()
    item = TaskItem(
        item_id=row.text("question_id"),
        form="short",
        prompt=ask_short(question, *between),
        question=question,
        reference=read_annotations(row, _NUM_ANNOTATIONS) if row.cells.get("answers") is not None else (),
        fields={"image_id": image_id},
        also_known_as=(image_id,),
    )
    return (SourceItem(item, row, (_find(row, source),), "image_id"),)


def _read_ocr_line(row: Row) -> str:
    if "ocr_line" in row.cells:
        return row.text("ocr_line")
    advice = (
        f"LLaVA-1.5's prompt lists OCR tokens: put llava_textvqa_val_v051_ocr.jsonl or {_OCR_FILE} beside the file, or "
        "use --variant no-ocr"
    )
    return _join_tokens(row, advice)


def _join_tokens(row: Row, advice: str) -> str:
    tokens = row.cells.get("ocr_tokens")
    if not isinstance(tokens, list):
        raise row.error("ocr_tokens", f"got {show(tokens)}; {advice}")
    return _OCR_LEAD + ", ".join(map(str, tokens))


def _find(row: Row, source: Source) -> PictureSource:
    cell = row.cells.get("image")
    if isinstance(cell, ParquetPicture):
        return cell
    root = row.path.parent
    return locate_picture(row, "image_id", source, [root / "train_images", root, root / "images"])


def _score(name: str, variant: str, answered: Sequence[Answered]) -> Scored:
    official = score_each(answered, lambda item, text: score_textvqa(item.item_id, text, item.reference))
    other = score_each(answered, lambda item, text: score_textvqa_vqa(item.item_id, text, item.reference))
    grouped, by_vqa = (
        [GroupedScore(score, cluster=cluster_of(e.item)) for score, e in zip(scores, answered, strict=True)]
        for scores in (official, other)
    )
    return Scored(tuple(official), (*report_means(name, grouped), *report_means(f"{name}/vqa-rule", by_vqa)))


TASK = Task(
    name="textvqa",
    title="TextVQA",
    needs="TextVQA_0.5.1_val.json with train_images/ and an OCR file beside it, or a parquet file",
    variants={
        _WITH_OCR: "LLaVA-1.5's prompt: question, OCR tokens, single-word instruction",
        "no-ocr": "question and single-word instruction (lmms-eval's default)",
    },
    open_rows=_open_rows,
    read_row=_read_row,
    score=_score,
)
