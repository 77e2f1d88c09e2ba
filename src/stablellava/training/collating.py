"""Examples to the tensors of one batch.

Shape legend: B rows, L row length, N images, C H W of a picture, P tokens per image, D width.
"""

from collections.abc import Sequence
from typing import Any, Protocol

import numpy as np
import torch
from torch.utils.data import Dataset
from transformers import BaseImageProcessor

from stablellava.model.feature_cache import FeatureCache, read_pixels
from stablellava.model.vlm import IGNORE
from stablellava.store.image_refs import ImageRef
from stablellava.training.labels import EncodedExample
from stablellava.training.packing import fill_rows


class PictureSource(Protocol):
    """Where a batch's pictures come from, in the form that the model's forward pass takes."""

    def __call__(self, images: Sequence[ImageRef]) -> dict[str, torch.Tensor]: ...


class CachedPatches:
    """What the tower said of the pictures, [N, P, D]."""

    def __init__(self, cache: FeatureCache):
        self.cache = cache

    def __call__(self, images: Sequence[ImageRef]) -> dict[str, torch.Tensor]:
        return {"patches": self.cache.gather(images)}


class DecodedPictures:
    """The pictures themselves, [N, C, H, W], for a tower that runs in every step."""

    def __init__(self, image_processor: BaseImageProcessor, image_size_px: int):
        self.image_processor = image_processor
        self.image_size_px = image_size_px

    def __call__(self, images: Sequence[ImageRef]) -> dict[str, torch.Tensor]:
        if not images:
            return {"pixel_values": torch.empty(0, 3, self.image_size_px, self.image_size_px)}
        return {"pixel_values": read_pixels(images, self.image_processor)}


class EncodedDataset(Dataset[EncodedExample]):
    """Encoded examples by position."""

    def __init__(self, examples: Sequence[EncodedExample]):
        self.examples = examples

    def __len__(self) -> int:
        return len(self.examples)

    def __getitem__(self, index: int) -> EncodedExample:
        return self.examples[index]


class PaddingCollator:
    """One row per example, padded on the right."""

    def __init__(self, pictures: PictureSource, pad_token_id: int):
        self.pictures = pictures
        self.pad_token_id = pad_token_id

    def __call__(self, examples: Sequence[EncodedExample]) -> dict[str, Any]:
        """Return token_ids and labels [B, L] and the pictures in reading order."""
        rows = [[example] for example in examples]
        token_ids, labels, _ = _lay_out(rows, self.pad_token_id)
        return {"token_ids": token_ids, "labels": labels, **self.pictures(_images_of(rows))}


class PackingCollator:
    """Many examples per row, each counting its positions from 0.

    Without ``row_length`` a batch is one row, whose segments the attention must keep apart.
    """

    def __init__(
        self,
        pictures: PictureSource,
        pad_token_id: int,
        row_length: int | None = None,
        *,
        names_answer_places: bool = False,
    ):
        self.pictures = pictures
        self.pad_token_id = pad_token_id
        self.row_length = row_length
        self.names_answer_places = names_answer_places

    def __call__(self, examples: Sequence[EncodedExample]) -> dict[str, Any]:
        """Return token_ids, labels and position_ids [B, L] and the pictures in reading order.

        A batch of one row also tells its segments' lengths and, when asked, from where in each
        segment a supervised token is predicted.
        """
        rows = [list(examples)]
        if self.row_length is not None:
            places = fill_rows([len(example.token_ids) for example in examples], self.row_length)
            rows = [[examples[place] for place in row] for row in places] or [[]]
        token_ids, labels, position_ids = _lay_out(rows, self.pad_token_id)
        batch: dict[str, Any] = {"token_ids": token_ids, "labels": labels, "position_ids": position_ids}
        if self.row_length is None:
            batch["segment_lengths"] = [len(example.token_ids) for example in examples] or [1]
            if self.names_answer_places:
                batch["answer_places"] = [_predicts(example) for example in examples] or [torch.empty(0).long()]
        return batch | self.pictures(_images_of(rows))


def _lay_out(rows: Sequence[Sequence[EncodedExample]], pad_token_id: int) -> tuple[torch.Tensor, ...]:
    """Return token ids, labels and positions [B, L].

    A batch without an example is one token of padding: there is nothing to learn from it, but every
    process of a step runs the model.
    """
    lengths = [sum(len(example.token_ids) for example in row) for row in rows]
    shape = (max(len(rows), 1), max([*lengths, 1]))
    token_ids_BL = np.full(shape, pad_token_id, dtype=np.int64)
    labels_BL = np.full(shape, IGNORE, dtype=np.int64)
    # Padding goes on counting, as if it belonged to the last example, which does not see it.
    positions_BL = np.tile(np.arange(shape[1], dtype=np.int64), (shape[0], 1))
    for index, row in enumerate(rows):
        start = 0
        for example in row:
            end = start + len(example.token_ids)
            token_ids_BL[index, start:end] = example.token_ids
            # Nothing before an example predicts its first token.
            labels_BL[index, start + 1 : end] = example.labels[1:]
            positions_BL[index, start:] = np.arange(shape[1] - start)
            start = end
    return torch.from_numpy(token_ids_BL), torch.from_numpy(labels_BL), torch.from_numpy(positions_BL)


def _predicts(example: EncodedExample) -> torch.Tensor:
    """Return the places whose next token is supervised."""
    return torch.from_numpy(np.flatnonzero(example.labels[1:] != IGNORE))


def _images_of(rows: Sequence[Sequence[EncodedExample]]) -> list[ImageRef]:
    return [path for row in rows for example in row for path in example.images]
