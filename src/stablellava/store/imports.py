"""Rows that others made: LLaVA's JSON, and the JSON that the StableLLaVA authors released.

- released: id, image, prompt (``((peacock)), garden, realistic``), question, answer; pictures do not exist yet.
- LLaVA: id, image (a path or a list of paths), conversations of human and gpt with ``<image>`` tags.

A bad row is listed with its number and a reason and the others are kept; a file that is no JSON list is refused.
"""

import gzip
import re
import zlib
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import orjson

from stablellava.core.draft import CallStamp, Draft, PaintPrompt, Turn
from stablellava.core.errors import RecordError
from stablellava.core.ids import hash_id
from stablellava.core.sample import Rejected

RowForm = Literal["released", "llava"]
IMAGE_TAG = "<image>"
_BRACKETED = re.compile(r"\(\(([^()]*)\)\)")
_EMPHASIS = 1.3
_MAX_BYTES = 4_000_000_000
"""A compressed file that unpacks to more is refused instead of filling the memory."""
_RELEASED_FIELDS = ("prompt", "question", "answer")


class RowRefused(RecordError):
    """A row that cannot be taken; ``reason`` is a stable identifier."""

    def __init__(self, reason: str, message: str) -> None:
        super().__init__(message)
        self.reason = reason


@dataclass(frozen=True)
class ImportedRow:
    """A row as a draft. ``images`` are paths as the row names them; empty if they are still to be painted."""

    number: int
    """Counted from 1."""
    draft: Draft
    images: tuple[str, ...] = ()


@dataclass(frozen=True)
class ImportedFile:
    """All rows of one file, good and bad, in the file's order."""

    path: Path
    form: RowForm
    rows: tuple[ImportedRow | Rejected, ...]
    num_exact_duplicates: int
    """Rows whose content (id and image name aside) stood in an earlier row of the file."""


def read_rows(path: Path, capability: str, drop_duplicates: bool = True) -> ImportedFile:
    """Read a .json or .json.gz file; its form is told by its first row.

    Args:
        path: the file.
        capability: what its rows are about.
        drop_duplicates: refuse a row whose content stood in an earlier row; they are counted either way.

    Raises: RecordError if the file is missing, not UTF-8, not JSON, not a list, or of no known form.
    """
    table = _read_list(path)
    form = _form_of(path, table)
    rows: list[ImportedRow | Rejected] = []
    seen: dict[str, int] = {}
    num_duplicates = 0
    for number, row in enumerate(table, start=1):
        draft_id = hash_id("import", capability, number, row)
        try:
            content = hash_id(_content_of(form, row, number))
            if content in seen:
                num_duplicates += 1
            if content in seen and drop_duplicates:
                raise RowRefused("duplicate_row", f"row {number}: repeats row {seen[content]}")
            seen.setdefault(content, number)
            convert = _convert_released if form == "released" else _convert_llava
            rows.append(convert(row, number, draft_id, capability))
        except RowRefused as exc:
            rows.append(
                Rejected(
                    draft_id=draft_id,
                    capability=capability,
                    keyword=_keyword_of(row),
                    stage="import",
                    reason=exc.reason,
                    detail=str(exc),
                )
            )
    return ImportedFile(path, form, tuple(rows), num_duplicates)


def parse_bracketed(text: str) -> PaintPrompt:
    """Return ``((peacock)), garden`` as plain text with its emphasis as data.

    Raises: RowRefused ("keyword_not_marked") without a bracketed phrase.
    """
    found = [phrase.strip() for phrase in _BRACKETED.findall(text) if phrase.strip()]
    if not found:
        raise RowRefused("keyword_not_marked", f"no ((keyword)) in the prompt {text[:80]!r}")
    phrases = [phrase.strip() for phrase in _BRACKETED.sub(lambda match: match[1], text).split(",")]
    plain = ", ".join(_plain(phrase) for phrase in phrases if phrase)
    return PaintPrompt(text=plain, emphasis=tuple((_plain(phrase), _EMPHASIS) for phrase in dict.fromkeys(found)))


def _plain(phrase: str) -> str:
    """Return the phrase as our prompts write it: lower case, words apart ("Yellow-cornflower")."""
    return " ".join(phrase.lower().replace("-", " ").replace("_", " ").split())


def _read_list(path: Path) -> list[Any]:
    try:
        data = path.read_bytes()
        if path.suffix == ".gz":
            data = _unpack(path)
    except FileNotFoundError as exc:
        raise RecordError(f"{path}: no such file; name a .json or .json.gz file") from exc
    except (OSError, EOFError, zlib.error) as exc:
        raise RecordError(f"{path}: cannot be read ({exc}); fetch the file again") from exc
    try:
        data.decode("utf-8")
    except UnicodeDecodeError as exc:
        line = data.count(b"\n", 0, exc.start) + 1
        raise RecordError(f"{path}: line {line}, byte {exc.start} is not UTF-8; save the file as UTF-8") from exc
    try:
        table = orjson.loads(data)
    except orjson.JSONDecodeError as exc:
        raise RecordError(f"{path}: line {exc.lineno}, column {exc.colno}: not JSON ({exc.msg})") from exc
    if not isinstance(table, list) or not table:
        raise RecordError(f"{path}: expected a list of rows, got {'an empty list' if table == [] else type(table)}")
    return table


def _unpack(path: Path) -> bytes:
    with gzip.open(path) as file:
        data = file.read(_MAX_BYTES + 1)
    if len(data) > _MAX_BYTES:
        raise RecordError(f"{path}: unpacks to more than {_MAX_BYTES:,} bytes; split it")
    return data


def _form_of(path: Path, table: list[Any]) -> RowForm:
    for row in table:
        if isinstance(row, dict) and "conversations" in row:
            return "llava"
        if isinstance(row, dict) and all(field in row for field in _RELEASED_FIELDS):
            return "released"
    raise RecordError(
        f"{path}: no row has 'conversations' (LLaVA) or 'prompt', 'question' and 'answer' (StableLLaVA); "
        f"the first row is {str(table[0])[:80]!r}"
    )


def _content_of(form: RowForm, row: Any, number: int) -> list[Any]:
    if not isinstance(row, dict):
        raise RowRefused("not_an_object", f"row {number}: expected an object, got {str(row)[:60]!r}")
    fields = _RELEASED_FIELDS if form == "released" else ("image", "conversations")
    return [row.get(field) for field in fields]


def _text_of(row: dict[str, Any], field: str, number: int) -> str:
    value = row.get(field)
    if not isinstance(value, str):
        raise RowRefused("field_missing", f"row {number}: {field!r} must be a text, got {str(value)[:60]!r}")
    if not value.replace(IMAGE_TAG, "").strip():
        raise RowRefused("empty_turn", f"row {number}: {field!r} is empty")
    return value


def _keyword_of(row: Any) -> str:
    prompt = row.get("prompt") if isinstance(row, dict) else None
    found = _BRACKETED.search(prompt) if isinstance(prompt, str) else None
    return _plain(found[1]) if found else ""


def _convert_released(row: dict[str, Any], number: int, draft_id: str, capability: str) -> ImportedRow:
    prompt_text, question, answer = (_text_of(row, field, number) for field in _RELEASED_FIELDS)
    if question.count(IMAGE_TAG) != 1 or IMAGE_TAG in answer:
        tags = question.count(IMAGE_TAG) + answer.count(IMAGE_TAG)
        raise RowRefused("images_mismatch", f"row {number}: {tags} {IMAGE_TAG} tags, the question needs exactly one")
    try:
        prompt = parse_bracketed(prompt_text)
    except RowRefused as exc:
        raise RowRefused(exc.reason, f"row {number}: {exc}") from exc
    turns = (
        Turn(speaker="user", text=_untagged(question), images=(0,)),
        Turn(speaker="assistant", text=answer.strip()),
    )
    draft = _draft(draft_id, capability, prompt.emphasis[0][0], (prompt,), turns)
    return ImportedRow(number, draft)


def _convert_llava(row: dict[str, Any], number: int, draft_id: str, capability: str) -> ImportedRow:
    images = row.get("image", [])
    images = [images] if isinstance(images, str) else images
    if not isinstance(images, list) or not images or not all(isinstance(name, str) and name for name in images):
        raise RowRefused("field_missing", f"row {number}: 'image' must be a path or paths, got {str(images)[:60]!r}")
    conversations = row.get("conversations")
    if not isinstance(conversations, list) or not conversations:
        raise RowRefused("field_missing", f"row {number}: 'conversations' must be a list of turns")
    turns: list[Turn] = []
    num_tags = 0
    for index, entry in enumerate(conversations):
        speaker = _speaker_of(entry, index, number)
        value = _text_of(entry, "value", number)
        tags = range(num_tags, num_tags + value.count(IMAGE_TAG))
        num_tags += len(tags)
        turns.append(Turn(speaker=speaker, text=_untagged(value), images=tuple(tags)))
    if num_tags != len(images) or any(turn.images for turn in turns if turn.speaker == "assistant"):
        raise RowRefused("images_mismatch", f"row {number}: {num_tags} {IMAGE_TAG} tags, {len(images)} images")
    return ImportedRow(number, _draft(draft_id, capability, "", (), tuple(turns)), tuple(images))


def _speaker_of(entry: Any, index: int, number: int) -> Literal["user", "assistant"]:
    said = entry.get("from") if isinstance(entry, dict) else None
    if said not in ("human", "gpt"):
        raise RowRefused("bad_speaker", f"row {number}, turn {index + 1}: 'from' must be human or gpt, got {said!r}")
    if said != ("human", "gpt")[index % 2]:
        raise RowRefused("turns_out_of_order", f"row {number}, turn {index + 1}: human and gpt must take turns")
    return "user" if said == "human" else "assistant"


def _untagged(text: str) -> str:
    return text.replace(IMAGE_TAG, "").strip()


def _draft(
    draft_id: str, capability: str, keyword: str, prompts: tuple[PaintPrompt, ...], turns: tuple[Turn, ...]
) -> Draft:
    return Draft(
        draft_id=draft_id,
        capability=capability,
        keyword=keyword,
        setting="",
        prompts=prompts,
        turns=turns,
        stamp=CallStamp(backend="import"),
    )
