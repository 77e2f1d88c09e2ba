"""What a stage is trained on: dialogues about pictures, from our samples or from LLaVA's JSON."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Literal

import orjson

from stablellava.core.draft import Turn
from stablellava.core.errors import RecordError
from stablellava.core.ids import share_of
from stablellava.core.sample import Sample
from stablellava.model.chat_template import IMAGE_TOKEN
from stablellava.store.images import image_path, resolve_inside
from stablellava.store.shards import read_samples

DataKind = Literal["descriptions", "dialogues"]
_SPEAKERS: Mapping[str, Literal["user", "assistant"]] = {
    "human": "user",
    "user": "user",
    "gpt": "assistant",
    "assistant": "assistant",
}


@dataclass(frozen=True)
class TrainingExample:
    """A dialogue and the pictures its turns point to, by index."""

    example_id: str
    images: tuple[Path, ...]
    turns: tuple[Turn, ...]
    phrases: tuple[str, ...] = ()
    """Per picture, what it shows in a phrase; empty where nobody said."""


def load_examples(data_dir: Path, kind: DataKind) -> list[TrainingExample]:
    """Return every sample of a data folder as the stage wants it, in the store's order.

    Raises: RecordError if there are no samples or a picture is missing.
    """
    return [shape_example(from_sample(sample, data_dir), kind) for sample in read_samples(data_dir)]


def from_sample(sample: Sample, data_dir: Path) -> TrainingExample:
    """Return a synthesized sample as a training example."""
    images = tuple(image_path(data_dir, painting.sha256) for painting in sample.paintings)
    # A prompt opens with its decisive phrase; the place, the light and the style come after.
    phrases = tuple(prompt.text.partition(",")[0].strip() for prompt in sample.draft.prompts)
    return TrainingExample(sample.sample_id, images, sample.draft.turns, phrases)


def shape_example(example: TrainingExample, kind: DataKind) -> TrainingExample:
    """Return the whole dialogue, or for descriptions its first question and answer with their pictures."""
    if kind == "dialogues":
        return example
    first_answer = next((i for i, turn in enumerate(example.turns) if turn.speaker == "assistant"), len(example.turns))
    turns = example.turns[: first_answer + 1]
    shown = sorted({index for turn in turns for index in turn.images})
    place_of = {index: place for place, index in enumerate(shown)}
    turns = tuple(turn.model_copy(update={"images": tuple(place_of[index] for index in turn.images)}) for turn in turns)
    images = tuple(example.images[index] for index in shown)
    phrases = tuple(example.phrases[index] for index in shown) if example.phrases else ()
    return TrainingExample(example.example_id, images, turns, phrases)


def delay_description(example: TrainingExample, share: float) -> TrainingExample:
    """Return the dialogue, for a share of all examples with its first exchange moved to the end.

    A model that only ever meets short questions late in a dialogue answers a first one with a
    description. Whether an example is moved depends on its id. Dialogues that show a picture after
    the first turn, as stories do, keep their order.
    """
    first, rest = example.turns[:2], example.turns[2:]
    shows_later = any(turn.images for turn in example.turns[1:])
    if not rest or shows_later or share_of(example.example_id, "delay description") >= share:
        return example
    opening = rest[0].model_copy(update={"images": first[0].images})
    closing = first[0].model_copy(update={"images": ()})
    return replace(example, turns=(opening, *rest[1:], closing, *first[1:]))


def read_llava_json(path: Path, image_dir: Path) -> Iterator[TrainingExample]:
    """Yield the rows of a LLaVA JSON file: {id, image (one or a list, may be absent), conversations}.

    Raises: RecordError naming the row for what is not of that form.
    """
    try:
        rows = orjson.loads(path.read_bytes())
    except (OSError, orjson.JSONDecodeError) as exc:
        raise RecordError(f"{path} cannot be read as JSON: {exc}") from exc
    if not isinstance(rows, list):
        raise RecordError(f"{path}: LLaVA's format is a list of rows, not {type(rows).__name__}")
    for number, row in enumerate(rows):
        where = f"{path} row {number}"
        try:
            yield _from_llava_row(row, number, image_dir, where)
        except (KeyError, TypeError, AttributeError) as exc:
            raise RecordError(f"{where}: not a LLaVA row, {type(exc).__name__} {exc}") from exc


def _from_llava_row(row: Mapping[str, Any], number: int, image_dir: Path, where: str) -> TrainingExample:
    named = row.get("image") or ()
    names: Sequence[str] = (named,) if isinstance(named, str) else tuple(named)
    turns: list[Turn] = []
    num_tags = 0
    for said in row["conversations"]:
        if said["from"] not in _SPEAKERS:
            raise RecordError(f"{where}: unknown speaker {said['from']!r}; known are {', '.join(_SPEAKERS)}")
        speaker = _SPEAKERS[said["from"]]
        # Only the user shows pictures; the tag in an answer is text, as a reader would take it.
        here = said["value"].count(IMAGE_TOKEN) if names and speaker == "user" else 0
        text = said["value"].replace(IMAGE_TOKEN, "") if here else said["value"]
        turns.append(Turn(speaker=speaker, text=text.strip(), images=tuple(range(num_tags, num_tags + here))))
        num_tags += here
    if num_tags != len(names):
        raise RecordError(f"{where}: {num_tags} {IMAGE_TOKEN} tags for {len(names)} images; write one tag per image")
    _check_order(turns, where)
    images = tuple(resolve_inside(image_dir, name, where) for name in names)
    return TrainingExample(str(row.get("id", number)), images, tuple(turns))


def _check_order(turns: Sequence[Turn], where: str) -> None:
    expected = ["user", "assistant"] * (len(turns) // 2)
    if not turns or [turn.speaker for turn in turns] != expected:
        raise RecordError(f"{where}: turns have to alternate, a question first and an answer last")
