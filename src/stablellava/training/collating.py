"""Examples to the tensors of one step. Shape legend: B batch, L text length, N images, P tokens per image, D width."""

from collections.abc import Sequence

import torch
from torch.utils.data import Dataset

from stablellava.model.feature_cache import FeatureCache
from stablellava.model.vlm import IGNORE
from stablellava.training.labels import EncodedExample


class EncodedDataset(Dataset[EncodedExample]):
    """Encoded examples by position."""

    def __init__(self, examples: Sequence[EncodedExample]):
        self.examples = examples

    def __len__(self) -> int:
        return len(self.examples)

    def __getitem__(self, index: int) -> EncodedExample:
        return self.examples[index]


class Collator:
    """Pads rows on the right and fetches the pictures' patches from the cache."""

    def __init__(self, cache: FeatureCache, pad_token_id: int):
        self.cache = cache
        self.pad_token_id = pad_token_id

    def __call__(self, examples: Sequence[EncodedExample]) -> dict[str, torch.Tensor]:
        """Return token_ids and labels [B, L] and patches [N, P, D] in reading order."""
        longest = max(len(example.token_ids) for example in examples)
        token_ids_BL = torch.full((len(examples), longest), self.pad_token_id, dtype=torch.long)
        labels_BL = torch.full((len(examples), longest), IGNORE, dtype=torch.long)
        for row, example in enumerate(examples):
            length = len(example.token_ids)
            token_ids_BL[row, :length] = torch.from_numpy(example.token_ids)
            labels_BL[row, :length] = torch.from_numpy(example.labels)
        patches_NPD = self.cache.gather([path for example in examples for path in example.images])
        return {"token_ids": token_ids_BL, "labels": labels_BL, "patches": patches_NPD}
