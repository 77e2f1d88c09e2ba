"""Reading answer files of LLaVA's scripts, lmms-eval and VLMEvalKit.

- ``llava``: JSON lines with question_id, prompt, text (and round_id where options are shifted);
- ``lmms-eval``: the JSON lines of ``--log_samples``, with doc and filtered_resps or resps;
- ``vlmevalkit``: XLSX, TSV or CSV with index, question and prediction.
"""

import zipfile
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from stablellava.core.errors import BackendMissing, ConfigError, RecordError
from stablellava.core.score import TaskItem
from stablellava.core.suggesting import suggest_name
from stablellava.evaluation.benchmarks.rows import Row, RowError
from stablellava.evaluation.benchmarks.tables import ensure_file, read_json_lines, read_separated

_ID_COLUMNS = ("index", "question_id", "id", "pid", "data_id", "image", "image_id", "image_path")
"""By what names documents carry their id, the most telling first."""
_QUESTION = "question: "
"""Begins the names under which items are found by their question."""


@dataclass(frozen=True)
class ForeignAnswer:
    """An answer as another tool wrote it down."""

    row: Row
    ids: tuple[str, ...]
    """Whatever may name the question, the most telling first."""
    question: str
    """Its text or the whole prompt, to tell questions of one id apart; may be empty."""
    text: str


@dataclass(frozen=True)
class MatchedAnswers:
    """Answers by item id."""

    texts: dict[str, str]
    left_out: tuple[str, ...]
    """Messages about rows that name no item, or one that was answered before."""


def read_answers(path: Path, form: str) -> Iterator[ForeignAnswer]:
    """Yield the answers of a file.

    Raises: ConfigError for an unknown form, RecordError naming file, row and column for one that cannot be read.
    """
    if form not in FORMATS:
        raise ConfigError(f"no form of answer files named {form!r}. {suggest_name(form, FORMATS)}")
    try:
        yield from FORMATS[form](path)
    except RowError as exc:
        raise RecordError(str(exc)) from exc


def match_answers(
    answers: Iterator[ForeignAnswer], items: Sequence[TaskItem], *, keep_going: bool = False
) -> MatchedAnswers:
    """Find the item of each answer: by id, and by its question where several items share the id.

    Raises: RecordError for an answer that fits no item or several, or one that another row answered before; with
    ``keep_going`` those are listed instead.
    """
    by_name = _index(items)
    texts: dict[str, str] = {}
    left_out: list[str] = []
    for answer in answers:
        found = _find(answer, by_name)
        problem = found if isinstance(found, str) else ""
        if not isinstance(found, str):
            if found.item_id in texts:
                problem = f"item {found.item_id!r} is answered in an earlier row already"
            texts.setdefault(found.item_id, answer.text)
        if problem:
            message = str(answer.row.error("", problem))
            if not keep_going:
                raise RecordError(message)
            left_out.append(message)
    return MatchedAnswers(texts, tuple(left_out))


def _index(items: Sequence[TaskItem]) -> dict[str, list[TaskItem]]:
    """Return items by each of their ids, and by their question for answers that carry no id of ours."""
    by_name: dict[str, list[TaskItem]] = {}
    for item in items:
        for name in dict.fromkeys((item.item_id, *item.also_known_as, _QUESTION + _fold(item.question))):
            by_name.setdefault(name, []).append(item)
    return by_name


def _find(answer: ForeignAnswer, by_name: Mapping[str, Sequence[TaskItem]]) -> TaskItem | str:
    """Return the item that is meant, or what is wrong. An id alone is not believed where the question is another."""
    num_named = 0
    for name in (*answer.ids, _QUESTION + _fold(answer.question)):
        named = by_name.get(name, ())
        num_named += len(named)
        asked = [item for item in named if _is_asked(item, answer.question)]
        if len(asked) == 1:
            return asked[0]
        if len(asked) > 1:
            return f"{name.removeprefix(_QUESTION)!r} fits {len(asked)} items; an id or the prompt is needed to choose"
    shown = " / ".join(answer.ids) or "no id"
    if num_named:
        return f"{shown!r} is asked something else in this task's file than {answer.question[:60]!r}"
    return f"{shown!r} names no item of this task's file"


def _is_asked(item: TaskItem, question: str) -> bool:
    asked = _fold(question)
    return not asked or any(_fold(text) in asked for text in (item.question, item.prompt.split("\n", 1)[0]))


def _fold(text: str) -> str:
    return " ".join(text.lower().split())


def _read_llava(path: Path) -> Iterator[ForeignAnswer]:
    for row in map(Row.checked, read_json_lines(path)):
        name, shift = row.text("question_id"), row.integer("round_id") if row.optional("round_id") else 0
        # LLaVA's rounds are no passes of the official file: it shifts to the other side.
        if shift:
            raise row.error("round_id", f"got {shift}; only answers of the first round can be scored here")
        if not isinstance(row.cells.get("text"), str):
            raise row.error("text", f"got {row.cells.get('text')!r}; the answer's text is needed")
        yield ForeignAnswer(row, (name,), row.optional("prompt"), row.cells["text"])


def _read_lmms_eval(path: Path) -> Iterator[ForeignAnswer]:
    for row in map(Row.checked, read_json_lines(path)):
        document = row.cells.get("doc")
        if not isinstance(document, dict):
            raise row.error("doc", f"got {str(document)[:60]!r}; log the samples with their documents")
        cells = Row(path, row.place, document)
        ids = tuple(name for column in _ID_COLUMNS if (name := _simple(document.get(column))))
        category = cells.optional("category")
        split_ids = tuple(f"{category}/{name}" for name in ids) if category else ()
        text = _first_text(row.cells.get("filtered_resps"))
        text = _first_text(row.cells.get("resps")) if text is None else text
        if text is None:
            raise row.error("filtered_resps", "neither here nor in resps stands a text")
        yield ForeignAnswer(row, (*split_ids, *ids), cells.optional("question", "text"), text)


def _read_vlmevalkit(path: Path) -> Iterator[ForeignAnswer]:
    for row in map(Row.checked, _read_sheet(path)):
        if "prediction" not in row.cells:
            raise row.error("prediction", f"missing; the columns here are {', '.join(row.cells)}")
        ids = tuple(name for column in _ID_COLUMNS if (name := _simple(row.cells.get(column))))
        category = row.optional("category")
        split_ids = tuple(f"{category}/{name}" for name in ids) if category else ()
        yield ForeignAnswer(row, (*split_ids, *ids), row.optional("question"), row.optional("prediction"))


def _read_sheet(path: Path) -> Iterator[Row]:
    ensure_file(path)
    if path.suffix == ".tsv":
        yield from read_separated(path)
    elif path.suffix == ".csv":
        yield from read_separated(path, "commas")
    elif path.suffix == ".xlsx":
        yield from _read_xlsx(path)
    else:
        raise RecordError(f"{path}: the suffix {path.suffix!r} is none of .xlsx, .tsv, .csv")


def _read_xlsx(path: Path) -> Iterator[Row]:
    try:
        from openpyxl import load_workbook
    except ImportError as exc:
        raise BackendMissing("XLSX files need openpyxl: pip install 'stablellava[xlsx]'") from exc
    try:
        book = load_workbook(path, read_only=True)
    except (OSError, ValueError, KeyError, zipfile.BadZipFile) as exc:
        raise RecordError(f"{path}: not a readable XLSX file: {exc}") from exc
    rows = book.active.iter_rows(values_only=True)
    header = [str(cell) for cell in next(rows, ())]
    for number, cells in enumerate(rows, start=2):
        # Spreadsheets keep rows that were emptied.
        if any(cell is not None for cell in cells):
            yield Row(path, f"row {number}", dict(zip(header, cells, strict=False)))
    book.close()


def _simple(value: Any) -> str:
    if isinstance(value, float) and value.is_integer():
        return str(int(value))
    return str(value) if isinstance(value, str | int) and not isinstance(value, bool) else ""


def _first_text(value: Any) -> str | None:
    while isinstance(value, list) and value:
        value = value[0]
    return value if isinstance(value, str) else None


FORMATS: dict[str, Callable[[Path], Iterator[ForeignAnswer]]] = {
    "llava": _read_llava,
    "lmms-eval": _read_lmms_eval,
    "vlmevalkit": _read_vlmevalkit,
}
