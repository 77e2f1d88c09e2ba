"""The three forms of rows, told apart by their fields.

- LLaVA: id, image (a path, a list of paths, or absent), conversations of {from, value} with ``<image>`` tags.
- messages: images, messages of {role, content}; contents are texts or lists of text and image parts.
- released: StableLLaVA's own rows of id, image, prompt, question and answer.

Other fields are left alone: published files carry ``model``, ``text``, ``markdown`` and more.
"""

from collections.abc import Mapping
from pathlib import PurePosixPath
from typing import Any

from stablellava.training.sources.rows import (
    ImageName,
    ParsedRow,
    RowRefused,
    Said,
    build_row,
    read_image_names,
    read_text,
)

_SPEAKERS = {"human": "user", "user": "user", "gpt": "assistant", "assistant": "assistant", "system": "system"}
_ZERO_PADDED = 12
_RELEASED_SUFFIXES = (".jpg", ".png")


def parse_row(row: Any) -> ParsedRow:
    """Return the row's dialogue. Raises: RowRefused."""
    if not isinstance(row, dict):
        raise RowRefused("not_an_object", f"a row has to be an object, not {type(row).__name__}", row)
    if row.get("conversations") is not None:
        return _parse_llava(row)
    if row.get("messages") is not None:
        return _parse_messages(row)
    if "question" in row and "answer" in row:
        return _parse_released(row)
    known = "conversations (LLaVA), messages (chat), or question and answer (StableLLaVA)"
    raise RowRefused("field_missing", f"the row has none of: {known}", list(row))


def id_of(row: Any) -> str:
    """Return the row's own id as text, empty if it has none."""
    value = row.get("id") if isinstance(row, dict) else None
    return "" if value is None else str(value)


def _parse_llava(row: dict[str, Any]) -> ParsedRow:
    said = [
        Said(_speaker(entry, "from", number), read_text(entry.get("value"), f"turn {number}: 'value'"))
        for number, entry in enumerate(_entries(row, "conversations"), start=1)
    ]
    return build_row(said, read_image_names(row))


def _parse_messages(row: dict[str, Any]) -> ParsedRow:
    said: list[Said] = []
    inline: list[ImageName] = []
    for number, entry in enumerate(_entries(row, "messages"), start=1):
        speaker = _speaker(entry, "role", number)
        content = entry.get("content")
        if not isinstance(content, list):
            said.append(Said(speaker, read_text(content, f"turn {number}: 'content'")))
            continue
        texts, num_images = _read_parts(content, number, inline)
        said.append(Said(speaker, "\n".join(texts), num_images))
    named = read_image_names(row)
    if inline and named:
        raise RowRefused("image_and_images", "parts name pictures, and the row names more; keep one", len(named))
    return build_row(said, inline or named)


def _read_parts(parts: list[Any], number: int, inline: list[ImageName]) -> tuple[list[str], int]:
    """Return a message's texts and how many pictures it shows; pictures that parts name are added to ``inline``."""
    texts: list[str] = []
    num_images = 0
    for part in parts:
        kind = part.get("type") if isinstance(part, Mapping) else None
        if kind == "text":
            texts.append(read_text(part.get("text"), f"turn {number}: 'text'"))
        elif kind in ("image", "image_url"):
            num_images += 1
            inline += [name for name in (_inline_name(part),) if name]
        else:
            raise RowRefused("unknown_part", f"turn {number}: a part has to be a text or an image", kind or part)
    return texts, num_images


def _inline_name(part: Mapping[str, Any]) -> str:
    named = part.get("image") or part.get("path") or part.get("url") or part.get("image_url") or ""
    named = named.get("url", "") if isinstance(named, Mapping) else named
    return read_text(named, "an image part")


def _parse_released(row: dict[str, Any]) -> ParsedRow:
    question, answer = read_text(row["question"], "'question'"), read_text(row["answer"], "'answer'")
    images = read_image_names(row) or ((str(row["id"]),) if row.get("id") is not None else ())
    names = tuple(_released_paths(name) if isinstance(name, str) else name for name in images)
    return build_row([Said("user", question), Said("assistant", answer)], names)


def _released_paths(name: str) -> tuple[str, ...]:
    """Return where a released row's picture may lie: some ids are zero-padded where the files' names are not."""
    path = PurePosixPath(name)
    suffixes = dict.fromkeys([path.suffix, *_RELEASED_SUFFIXES] if path.suffix else _RELEASED_SUFFIXES)
    stems = [path.stem]
    if path.stem.isdigit():
        stems += [str(int(path.stem)), str(int(path.stem)).zfill(_ZERO_PADDED)]
    return tuple(dict.fromkeys(str(path.with_name(stem + suffix)) for stem in stems for suffix in suffixes))


def _entries(row: dict[str, Any], field: str) -> list[dict[str, Any]]:
    entries = row[field]
    if not isinstance(entries, list):
        raise RowRefused("field_wrong_type", f"{field!r} has to be a list of turns", entries)
    for number, entry in enumerate(entries, start=1):
        if not isinstance(entry, dict):
            raise RowRefused("field_wrong_type", f"turn {number} has to be an object", entry)
    return entries


def _speaker(entry: dict[str, Any], field: str, number: int) -> Any:
    said = entry.get(field)
    speaker = _SPEAKERS.get(said) if isinstance(said, str) else None
    if speaker is None:
        raise RowRefused("unknown_speaker", f"turn {number}: {field!r} has to be one of {', '.join(_SPEAKERS)}", said)
    return speaker
