"""What a stage is trained on: dialogues about pictures."""

from dataclasses import dataclass, replace
from pathlib import Path
from typing import Literal

from stablellava.core.draft import Turn
from stablellava.core.ids import share_of
from stablellava.core.sample import Sample
from stablellava.store.image_refs import ImageRef
from stablellava.store.images import image_path
from stablellava.store.shards import read_painted_samples

DataKind = Literal["descriptions", "dialogues"]


@dataclass(frozen=True)
class TrainingExample:
    """A dialogue and the pictures its turns point to, by index."""

    example_id: str
    images: tuple[ImageRef, ...]
    turns: tuple[Turn, ...]
    phrases: tuple[str, ...] = ()
    """Per picture, what it shows in a phrase; empty where nobody said."""
    system: str | None = None
    """The dialogue's own system message, in place of the template's."""
    source: int = 0
    """Which of the stage's sources it comes from."""


def load_examples(data_dir: Path, kind: DataKind) -> list[TrainingExample]:
    """Return every sample of a data folder as the stage wants it, in the store's order.

    Raises: RecordError if there are no samples or a picture is missing.
    """
    return [shape_example(from_sample(sample, data_dir), kind) for sample in read_painted_samples(data_dir)]


def from_sample(sample: Sample, data_dir: Path, source: int = 0) -> TrainingExample:
    """Return a synthesized sample as a training example. Raises: RecordError if a picture is missing."""
    images: tuple[ImageRef, ...] = tuple(image_path(data_dir, painting.sha256) for painting in sample.paintings)
    # A prompt opens with its decisive phrase; the place, the light and the style come after.
    phrases = tuple(prompt.text.partition(",")[0].strip() for prompt in sample.draft.prompts)
    return TrainingExample(sample.sample_id, images, sample.draft.turns, phrases, source=source)


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
    return replace(example, images=images, turns=turns, phrases=phrases)


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
