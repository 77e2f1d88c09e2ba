"""Which tokens are learned: every answer with what closes it, and nothing else.

Paper: 2308.10253v1, section 4.2 (auto-regressive loss on the answers, as LLaVA).
Departs: LLaVA's train.py finds the answers by counting tokens of re-tokenised prefixes and silently
masks whole samples when the counts disagree; here the place of each token in the text decides.
"""

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from itertools import islice

import numpy as np
from numpy.typing import NDArray

from stablellava.core.record import Record
from stablellava.model.chat_template import Chat, Dialogue, Segment, TemplateRefused, count_images
from stablellava.model.vlm import IGNORE
from stablellava.store.image_refs import ImageRef
from stablellava.training.data import TrainingExample

_ENCODED_AT_ONCE = 1024
"""Dialogues per call of the tokenizer: enough to keep all cores busy, little enough to hold."""


@dataclass(frozen=True)
class EncodedExample:
    """Token ids and labels of equal length, and the pictures in the order of their placeholders."""

    example_id: str
    token_ids: NDArray[np.int64]
    labels: NDArray[np.int64]
    """The token's own id where it is learned, IGNORE elsewhere; the loss shifts them."""
    images: tuple[ImageRef, ...]
    source: int = 0
    """Which of the stage's sources it comes from."""

    @property
    def num_supervised(self) -> int:
        return int((self.labels[1:] != IGNORE).sum())


class DroppedExample(Record):
    """An example that a stage cannot learn from, and why."""

    example_id: str
    reason: str
    """"no_supervision", "too_long", or why the chat template cannot spell it: "no_place_for_system"."""
    detail: str = ""
    source: int = 0

    @property
    def summary(self) -> str:
        return f"{self.example_id} is dropped as {self.reason}" + (f" ({self.detail})" if self.detail else "")


def encode_example(example: TrainingExample, chat: Chat) -> EncodedExample:
    """Tokenise a dialogue.

    Raises: ValueError if the turns show another number of pictures than the example has,
    TemplateRefused if the chat template cannot spell it.
    """
    return _encode(example, chat.segments(example.turns, example.system))


def iter_encoded(
    examples: Iterable[TrainingExample], chat: Chat, max_length: int
) -> Iterator[EncodedExample | DroppedExample]:
    """Yield one outcome per example, in their order; holds a thousand at a time."""
    waiting = iter(examples)
    while group := list(islice(waiting, _ENCODED_AT_ONCE)):
        spelt = chat.segments_of_all([Dialogue(example.turns, example.system) for example in group])
        for example, segments in zip(group, spelt, strict=True):
            yield _judge(example, segments, max_length)


def _judge(
    example: TrainingExample, segments: list[Segment] | TemplateRefused, max_length: int
) -> EncodedExample | DroppedExample:
    if isinstance(segments, TemplateRefused):
        return _drop(example, segments.reason, str(segments))
    encoded = _encode(example, segments)
    if not encoded.num_supervised:
        return _drop(example, "no_supervision")
    if len(encoded.token_ids) > max_length:
        shown = f"{len(encoded.token_ids)} tokens ({count_images(example.turns)} images)"
        return _drop(example, "too_long", f"{shown}, max_length {max_length}")
    return encoded


def _drop(example: TrainingExample, reason: str, detail: str = "") -> DroppedExample:
    return DroppedExample(example_id=example.example_id, reason=reason, detail=detail, source=example.source)


def _encode(example: TrainingExample, segments: Sequence[Segment]) -> EncodedExample:
    shown = [index for turn in example.turns for index in turn.images]
    if any(index >= len(example.images) for index in shown):
        raise ValueError(f"{example.example_id}: a turn shows image {max(shown)} of {len(example.images)}")
    token_ids = np.array([token for segment in segments for token in segment.token_ids], dtype=np.int64)
    counts = [len(segment.token_ids) for segment in segments]
    learned = np.repeat(np.array([segment.supervised for segment in segments], dtype=bool), counts)
    return EncodedExample(
        example.example_id,
        token_ids,
        np.where(learned, token_ids, IGNORE),
        tuple(example.images[index] for index in shown),
        example.source,
    )
