"""What a row of training data says, whatever form it was written in."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Literal

from stablellava.core.draft import Turn
from stablellava.core.errors import RecordError
from stablellava.core.record import Record
from stablellava.store.export_rows import IMAGE_TAG
from stablellava.store.image_refs import ImageRef

_SHOWN_CHARACTERS = 120

Speaker = Literal["user", "assistant"]
ImageName = str | ImageRef | tuple[str, ...]
"""A path relative to the images' folder, a picture inside the source's own file, or several paths to try in turn."""


class RowRefused(RecordError):
    """A row that cannot be used; ``reason`` is a stable identifier, ``value`` what was found instead."""

    def __init__(self, reason: str, message: str, value: object = ""):
        super().__init__(message)
        self.reason = reason
        self.value = shorten(value)

    def __reduce__(self) -> tuple[type["RowRefused"], tuple[str, str, str]]:
        return RowRefused, (self.reason, str(self), self.value)


class BadRow(Record):
    """A row that is left out, and why."""

    source: str
    file: str
    row: int
    """Counted from 1; in JSON lines the line, in tars the sample."""
    row_id: str
    reason: str
    """Stable identifier: "image_missing"."""
    detail: str
    value: str = ""
    """What was found, shortened."""
    index: int
    """Place in the source, counted from 0 over all its files."""


@dataclass(frozen=True, slots=True)
class ParsedRow:
    """A dialogue with its pictures as the row names them; turns point to them by index."""

    turns: tuple[Turn, ...]
    images: tuple[ImageName, ...]
    system: str | None = None
    notes: tuple[str, ...] = ()
    """Oddities that were put right, as stable identifiers: "repeated_tag"."""


@dataclass(slots=True)
class Said:
    """One entry of a dialogue before it is checked; ``num_images`` counts pictures named apart from the text."""

    speaker: Literal["system", "user", "assistant"]
    text: str
    num_images: int = 0


def build_row(said: Sequence[Said], images: Sequence[ImageName]) -> ParsedRow:
    """Check the order and place the pictures: where entries name them, else where the tags stand.

    As LLaVA's code: an answer before the first question is skipped, a tag may stand anywhere in a question, and
    for a single picture a tag repeated in the same question counts once.

    Raises: RowRefused.
    """
    system, entries, notes = _split_system(said)
    if entries and entries[0].speaker == "assistant" and len(entries) > 1:
        entries = entries[1:]
        notes.append("opening_answer_skipped")
    _check_order(entries)
    counts = _count_shown(entries, len(images), notes)
    turns: list[Turn] = []
    num_shown = 0
    for number, (entry, count) in enumerate(zip(entries, counts, strict=True), start=1):
        # Only the user shows pictures; a tag in an answer is text, as a reader would take it.
        is_tagged = bool(count) and not entry.num_images
        text = (entry.text.replace(IMAGE_TAG, "") if is_tagged else entry.text).strip()
        if not text and not count:
            what = "question" if entry.speaker == "user" else "answer"
            raise RowRefused(f"empty_{what}", f"turn {number}: the {what} is empty")
        speaker: Speaker = "user" if entry.speaker == "user" else "assistant"
        turns.append(Turn(speaker=speaker, text=text, images=tuple(range(num_shown, num_shown + count))))
        num_shown += count
    return ParsedRow(tuple(turns), tuple(images), system, tuple(notes))


def shorten(value: object) -> str:
    """Return the value as a line of text that fits a report."""
    text = " ".join(str(value).split())
    return text if len(text) <= _SHOWN_CHARACTERS else f"{text[: _SHOWN_CHARACTERS - 3]}..."


def read_text(value: Any, where: str) -> str:
    """Return the value if it is a text. Raises: RowRefused."""
    if not isinstance(value, str):
        raise RowRefused("field_wrong_type", f"{where} has to be a text, not {type(value).__name__}", value)
    return value


def read_image_names(row: dict[str, Any]) -> tuple[ImageName, ...]:
    """Return what ``image`` or ``images`` names; nothing where it is absent, null or an empty list.

    Raises: RowRefused.
    """
    if row.get("image") is not None and row.get("images") is not None:
        raise RowRefused("image_and_images", "the row has both 'image' and 'images'; keep one", row["images"])
    value = row.get("image") if row.get("image") is not None else row.get("images")
    names = () if value is None else tuple(value) if isinstance(value, list | tuple) else (value,)
    for name in names:
        if not (isinstance(name, str) and name) and not hasattr(name, "read_bytes"):
            raise RowRefused("field_wrong_type", "'image' has to be a path or a list of paths", name)
    return names


def _split_system(said: Sequence[Said]) -> tuple[str | None, list[Said], list[str]]:
    entries = list(said)
    system = entries.pop(0).text.strip() if entries and entries[0].speaker == "system" else None
    for number, entry in enumerate(entries, start=1):
        if entry.speaker == "system":
            raise RowRefused("system_turn_misplaced", f"a system message after turn {number - 1}", entry.text)
    return system or None, entries, ["system_message"] if system else []


def _check_order(entries: Sequence[Said]) -> None:
    speakers = [entry.speaker for entry in entries]
    if not speakers:
        raise RowRefused("no_turns", "the dialogue is empty")
    for number, speaker in enumerate(speakers, start=1):
        if speaker != ("user", "assistant")[(number - 1) % 2]:
            raise RowRefused("turns_out_of_order", f"turn {number}: {speaker} speaks twice in a row", speakers)
    if speakers[-1] == "user":
        raise RowRefused("question_unanswered", "the last turn is a question", entries[-1].text)


def _count_shown(entries: Sequence[Said], num_images: int, notes: list[str]) -> list[int]:
    """Return how many pictures each turn shows."""
    named = [entry.num_images for entry in entries]
    if any(count for count, entry in zip(named, entries, strict=True) if entry.speaker == "assistant"):
        raise RowRefused("image_in_answer", "a picture stands in an answer; only questions can show one")
    if any(named):
        if sum(named) != num_images:
            raise RowRefused("images_mismatch", f"{sum(named)} pictures are shown, {num_images} are named")
        return named
    tags = [entry.text.count(IMAGE_TAG) if entry.speaker == "user" else 0 for entry in entries]
    if not num_images:
        _refuse_dangling_tags(entries)
        notes += ["literal_tag"] if any(tags) else []
        return [0] * len(entries)
    if sum(tags) == num_images:
        return tags
    if not any(tags):
        has_answer_tag = any(IMAGE_TAG in entry.text for entry in entries)
        reason = "image_in_answer" if has_answer_tag else "image_without_tag"
        raise RowRefused(reason, f"{num_images} images, but no question has the tag {IMAGE_TAG}")
    if num_images == 1 and sum(map(bool, tags)) == 1:
        notes.append("repeated_tag")
        return [min(count, 1) for count in tags]
    reason = "too_many_tags" if sum(tags) > num_images else "too_few_tags"
    raise RowRefused(reason, f"{sum(tags)} {IMAGE_TAG} tags for {num_images} images", sum(tags))


def _refuse_dangling_tags(entries: Sequence[Said]) -> None:
    """Refuse a tag that stands where one shows a picture; inside a sentence it is talked about."""
    for number, entry in enumerate(entries, start=1):
        text = entry.text.strip()
        if entry.speaker == "user" and (text.startswith(IMAGE_TAG) or text.endswith(IMAGE_TAG)):
            raise RowRefused("tag_without_image", f"turn {number}: the tag {IMAGE_TAG}, but no image", entry.text)
