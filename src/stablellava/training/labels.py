"""Which tokens are learned: every answer with what closes it, and nothing else.

Paper: 2308.10253v1, section 4.2 (auto-regressive loss on the answers, as LLaVA).
Departs: LLaVA's train.py finds the answers by counting tokens of re-tokenised prefixes and silently
masks whole samples when the counts disagree; here each segment is tokenised by itself.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from stablellava.core.record import Record
from stablellava.model.chat_template import Chat, count_images
from stablellava.model.vlm import IGNORE
from stablellava.training.data import TrainingExample


@dataclass(frozen=True)
class EncodedExample:
    """Token ids and labels of equal length, and the pictures in the order of their placeholders."""

    example_id: str
    token_ids: NDArray[np.int64]
    labels: NDArray[np.int64]
    """The token's own id where it is learned, IGNORE elsewhere; the loss shifts them."""
    images: tuple[Path, ...]

    @property
    def num_supervised(self) -> int:
        return int((self.labels[1:] != IGNORE).sum())


class DroppedExample(Record):
    """An example that a stage cannot learn from, and why."""

    example_id: str
    reason: str
    """"no_supervision" or "too_long"."""
    detail: str = ""


def encode_example(example: TrainingExample, chat: Chat) -> EncodedExample:
    """Tokenise a dialogue segment by segment.

    Raises: ValueError if the turns show another number of pictures than the example has.
    """
    shown = [index for turn in example.turns for index in turn.images]
    if any(index >= len(example.images) for index in shown):
        raise ValueError(f"{example.example_id}: a turn shows image {max(shown)} of {len(example.images)}")
    segments = chat.segments(example.turns)
    token_ids = np.array([token for segment in segments for token in segment.token_ids], dtype=np.int64)
    learned = np.array([segment.supervised for segment in segments for _ in segment.token_ids], dtype=bool)
    return EncodedExample(
        example.example_id,
        token_ids,
        np.where(learned, token_ids, IGNORE),
        tuple(example.images[index] for index in shown),
    )


def encode_all(
    examples: Sequence[TrainingExample], chat: Chat, max_length: int
) -> tuple[list[EncodedExample], list[DroppedExample]]:
    """Return what can be learned from and what was dropped; nothing is ever cut."""
    kept: list[EncodedExample] = []
    dropped: list[DroppedExample] = []
    for example in examples:
        encoded = encode_example(example, chat)
        if not encoded.num_supervised:
            dropped.append(DroppedExample(example_id=example.example_id, reason="no_supervision"))
        elif len(encoded.token_ids) > max_length:
            detail = f"{len(encoded.token_ids)} tokens ({count_images(example.turns)} images), max_length {max_length}"
            dropped.append(DroppedExample(example_id=example.example_id, reason="too_long", detail=detail))
        else:
            kept.append(encoded)
    return kept, dropped
