"""A stage's samples as token ids, in a file: four bytes a token that the system keeps in memory while there is room."""

import tempfile
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import overload

import numpy as np
from numpy.typing import NDArray

from stablellava.model.chat_template import Chat
from stablellava.model.vlm import IGNORE
from stablellava.store.files import explain_disk_errors
from stablellava.store.image_refs import ImageRef
from stablellava.training.data import TrainingExample
from stablellava.training.labels import DroppedExample, EncodedExample, iter_encoded


class EncodedSamples(Sequence[EncodedExample]):
    """Encoded examples by position.

    ``tokens`` are all examples', one after the other; one that is not learned stands as its complement, below 0.
    """

    def __init__(self) -> None:
        self.example_ids: list[str] = []
        self.sources: list[int] = []
        self.images: list[tuple[ImageRef, ...]] = []
        self.lengths: list[int] = []
        self.tokens: NDArray[np.int32] = np.empty(0, dtype=np.int32)
        self._starts: NDArray[np.int64] = np.empty(0, dtype=np.int64)

    def note(self, example: EncodedExample) -> None:
        """Add all of an example but its tokens."""
        self.example_ids.append(example.example_id)
        self.sources.append(example.source)
        self.images.append(example.images)
        self.lengths.append(len(example.token_ids))

    def take_tokens(self, tokens: NDArray[np.int32]) -> None:
        """Set the tokens of all examples."""
        self.tokens = tokens
        self._starts = np.concatenate([[0], np.cumsum(self.lengths, dtype=np.int64)])

    def __len__(self) -> int:
        return len(self.example_ids)

    @overload
    def __getitem__(self, index: int) -> EncodedExample: ...
    @overload
    def __getitem__(self, index: slice) -> list[EncodedExample]: ...
    def __getitem__(self, index: int | slice) -> EncodedExample | list[EncodedExample]:
        if isinstance(index, slice):
            return [self[place] for place in range(*index.indices(len(self)))]
        place = range(len(self))[index]
        kept = self.tokens[self._starts[place] : self._starts[place + 1]]
        is_learned = kept >= 0
        return EncodedExample(
            self.example_ids[place],
            np.where(is_learned, kept, ~kept).astype(np.int64),
            np.where(is_learned, kept, IGNORE).astype(np.int64),
            self.images[place],
            self.sources[place],
        )


def encode_samples(
    examples: Iterable[TrainingExample], chat: Chat, max_length: int, folder: Path
) -> tuple[EncodedSamples, list[DroppedExample]]:
    """Return what can be learned from and what was dropped; nothing is ever cut.

    The tokens lie in a file without a name in ``folder``: it is gone with the process, and its forks share it.

    Raises: RecordError when the disk is full.
    """
    folder.mkdir(parents=True, exist_ok=True)
    kept, dropped = EncodedSamples(), list[DroppedExample]()
    with tempfile.TemporaryFile(dir=folder) as file:
        for outcome in iter_encoded(examples, chat, max_length):
            if isinstance(outcome, DroppedExample):
                dropped.append(outcome)
                continue
            kept.note(outcome)
            with explain_disk_errors(folder):
                file.write(_mark(outcome).tobytes())
        with explain_disk_errors(folder):
            file.flush()
        if kept:
            kept.take_tokens(np.memmap(file, dtype=np.int32, mode="r").view(np.ndarray))
    return kept, dropped


def _mark(example: EncodedExample) -> NDArray[np.int32]:
    return np.where(example.labels != IGNORE, example.token_ids, ~example.token_ids).astype(np.int32)
