"""Reading a folder of evaluation items and refusing what cannot work before a model is loaded.

A suite is a folder with an ``items.jsonl`` and its pictures. Rows have one of two shapes:

- generated suites: ``core.score.EvalItem``;
- photos: ``{"id", "image", "capability", "question", "keywords"}``, asked as a wh-question.
"""

from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import orjson
from pydantic import ValidationError

from stablellava.core.errors import RecordError
from stablellava.core.ids import hash_id
from stablellava.core.matching import split_words
from stablellava.core.record import Record, first_problem
from stablellava.core.score import EvalItem
from stablellava.store.images import read_picture, resolve_inside

ITEMS_FILE = "items.jsonl"


class PhotoRow(Record):
    """One row of a folder of photos."""

    id: str
    image: str
    capability: str
    question: str
    keywords: tuple[str, ...]

    def to_item(self) -> EvalItem:
        return EvalItem(
            item_id=self.id,
            capability=self.capability,
            images=(self.image,),
            question=self.question,
            accepted=self.keywords,
            form="wh",
        )


@dataclass(frozen=True)
class BadRow:
    """A row that was left out."""

    line: int
    item_id: str
    """Empty if the row could not be read far enough to know."""
    message: str


@dataclass(frozen=True)
class Suite:
    """Checked items, in the order of the file."""

    folder: Path
    items: tuple[EvalItem, ...]
    """With the sha256 of their images filled in."""
    bad_rows: tuple[BadRow, ...] = ()

    @cached_property
    def fingerprint(self) -> str:
        """Changes with every question, accepted answer and picture."""
        return hash_id(*(item.model_dump(mode="json") for item in self.items))


def load_suite(folder: Path, *, keep_going: bool = False) -> Suite:
    """Read and check every row and every picture of a suite.

    With ``keep_going`` bad rows are listed in the result instead of stopping at the first.

    Raises: RecordError naming file, line, value and what would work; also if no good row is left.
    """
    path = folder / ITEMS_FILE
    if not path.is_file():
        raise RecordError(f"{folder} is no suite: it has no {ITEMS_FILE}; give the folder that holds one")
    items: dict[str, EvalItem] = {}
    bad_rows: list[BadRow] = []
    for line, raw in enumerate(path.read_bytes().split(b"\n"), start=1):
        if not raw.strip():
            continue
        try:
            item = _read_item(raw, folder)
            if item.item_id in items:
                raise _RowError("this id stands in an earlier row already; ids must be unique", item.item_id)
        except _RowError as exc:
            message = f"{path}, line {line}{f', id {exc.item_id!r}' if exc.item_id else ''}: {exc}"
            if not keep_going:
                raise RecordError(message) from exc
            bad_rows.append(BadRow(line=line, item_id=exc.item_id, message=message))
        else:
            items[item.item_id] = item
    if not items:
        first = f" (first problem: {bad_rows[0].message})" if bad_rows else ""
        raise RecordError(f"{path} holds no usable row{first}; one JSON object per line is needed")
    return Suite(folder=folder, items=tuple(items.values()), bad_rows=tuple(bad_rows))


class _RowError(Exception):
    """What is wrong with one row, and with which one."""

    def __init__(self, message: str, item_id: str = "") -> None:
        super().__init__(message)
        self.item_id = item_id


def build_item(row: dict[str, Any]) -> EvalItem:
    """Return the checked item of a parsed row of either shape, its pictures not looked at.

    Raises: RecordError saying what is wrong, without saying where.
    """
    try:
        item = PhotoRow.model_validate(row).to_item() if _is_photo_row(row) else EvalItem.model_validate(row)
    except ValidationError as exc:
        raise RecordError(first_problem(exc)) from exc
    problem = _problem_of_text(item) or _problem_of_answers(item)
    if problem:
        raise RecordError(problem)
    return item


def _read_item(raw: bytes, folder: Path) -> EvalItem:
    row = _parse_row(raw)
    item_id = str(row.get("id", row.get("item_id", "")))
    try:
        item = build_item(row)
        digests = tuple(_digest_of_image(folder, image) for image in item.images)
    except RecordError as exc:
        raise _RowError(str(exc), item_id) from exc
    if item.images_sha256 and item.images_sha256 != digests:
        raise _RowError("a picture is not the one the row was written for (sha256 differs); restore it", item_id)
    return item.model_copy(update={"images_sha256": digests})


def _digest_of_image(folder: Path, image: str) -> str:
    path = resolve_inside(folder, image, where="image")
    return read_picture(path, where=image)[1].sha256


def _parse_row(raw: bytes) -> dict[str, Any]:
    try:
        text = raw.decode("utf-8")
    except UnicodeDecodeError as exc:
        bad = raw[exc.start : exc.start + 1].hex()
        raise _RowError(f"not UTF-8: byte 0x{bad} at column {exc.start + 1}; save the file as UTF-8") from exc
    try:
        row = orjson.loads(text)
    except orjson.JSONDecodeError as exc:
        raise _RowError(f"broken JSON: {exc.msg} at column {exc.colno} in {text[:60]!r}; write one object") from exc
    if not isinstance(row, dict):
        raise _RowError(f"a row must be a JSON object, not {text[:60]!r}")
    return row


def _is_photo_row(row: dict[str, Any]) -> bool:
    return "item_id" not in row and "accepted" not in row


def _problem_of_text(item: EvalItem) -> str:
    for field in ("item_id", "capability", "question"):
        if not str(getattr(item, field)).strip():
            return f"{field.removeprefix('item_')} is empty"
    if not item.images:
        return "no image is named; give at least one"
    num_tags = item.question.count("<image>")
    if num_tags not in (0, len(item.images)):
        return f"the question has {num_tags} <image> tags for {len(item.images)} images; use one per image or none"
    return ""


def _problem_of_answers(item: EvalItem) -> str:
    if not item.accepted:
        return "keywords are empty; at least one accepted answer is needed"
    for phrase in (*item.accepted, *item.rejected):
        if not split_words(phrase):
            return f"keyword {phrase!r} has no letter or digit to look for"
    if item.form == "yes_no" and item.accepted not in (("yes",), ("no",)):
        return f'a yes_no item accepts exactly "yes" or "no", not {list(item.accepted)}'
    if item.form == "either_or" and not item.rejected:
        return "an either_or item needs the wrong alternative in rejected"
    both = sorted({phrase.lower() for phrase in item.accepted} & {phrase.lower() for phrase in item.rejected})
    return f"{both[0]!r} is both accepted and rejected" if both else ""
