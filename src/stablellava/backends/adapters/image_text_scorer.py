"""CLIP and SigLIP as scorers of pictures and texts, through transformers.

Nothing of a text is lost: one that is longer than the encoder holds is scored in parts of whole words, and the mean of
its parts counts.
"""

import io
from collections.abc import Iterator, Sequence
from itertools import chain
from pathlib import Path
from typing import Any

from stablellava.backends.adapters.torch_placement import choose_placement
from stablellava.core.errors import BackendFailed, BackendMissing, ConfigError
from stablellava.core.ids import hash_id


class ImageTextScorer:
    """Cosine of picture and text, times 100 for CLIP (its usual scale); the pair's probability for SigLIP.

    Args:
        model: hub name or folder of a CLIP or SigLIP checkpoint (safetensors).
        revision: of a hub model.
        device: "auto" takes a GPU where there is one.
        dtype: "auto" is float16 on a GPU and float32 elsewhere.
        batch_size: pictures, and texts, per forward pass; never changes a score beyond rounding.

    Raises: BackendMissing without torch and transformers, ConfigError for a model that is neither.
    """

    name = "image-text"

    def __init__(
        self,
        model: str = "openai/clip-vit-large-patch14",
        revision: str | None = None,
        device: str = "auto",
        dtype: str = "auto",
        batch_size: int = 64,
    ) -> None:
        try:
            import torch
            from transformers import AutoImageProcessor, AutoModel, AutoTokenizer
        except ImportError as exc:
            raise BackendMissing(f"scorer image-text needs {exc.name!r}: pip install 'stablellava[train]'") from exc
        self._torch = torch
        self._device, dtype = choose_placement(torch, device, dtype)
        self._batch_size = batch_size
        try:
            loaded: Any = AutoModel.from_pretrained(
                model, revision=revision, dtype=getattr(torch, dtype), use_safetensors=True
            )
            self._tokenizer: Any = AutoTokenizer.from_pretrained(model, revision=revision)
            self._processor: Any = AutoImageProcessor.from_pretrained(model, revision=revision, backend="pil")
        except (OSError, ValueError) as exc:
            raise BackendFailed(f"scorer image-text: {model!r} cannot be loaded: {str(exc).splitlines()[0]}") from exc
        kind = str(loaded.config.model_type)
        if not kind.startswith(("clip", "siglip")):
            raise ConfigError(f"model={model!r} is a {kind!r}; a scorer needs a CLIP or SigLIP checkpoint")
        self._is_siglip = kind.startswith("siglip")
        self._model = loaded.to(self._device).eval()
        self._max_tokens = int(loaded.config.text_config.max_position_embeddings)
        commit = getattr(loaded.config, "_commit_hash", None) or _hash_config(model)
        self.revision = hash_id(model, commit, dtype, str(self._device.type))

    def score(self, images: Sequence[bytes], texts: Sequence[Sequence[str]]) -> list[list[float]]:
        """Return for each picture one score per text of its own, in their order."""
        if not any(texts):
            return [[] for _ in images]
        parts = [[list(self._split(text)) for text in of_image] for of_image in texts]
        flat = list(dict.fromkeys(part for of_image in parts for text in of_image for part in text))
        place = {part: index for index, part in enumerate(flat)}
        with self._torch.inference_mode():
            pictures, embedded = self._embed_images(images), self._embed_texts(flat)
            scores: list[list[float]] = []
            for picture, of_image in zip(pictures, parts, strict=True):
                rows = [[place[part] for part in text] for text in of_image]
                scores.append([self._rate(embedded[row] @ picture) for row in rows])
        return scores

    def _rate(self, cosines: Any) -> float:
        if self._is_siglip:
            logits = cosines * self._model.logit_scale.float().exp() + self._model.logit_bias.float()
            return float(logits.sigmoid().mean())
        return float(cosines.mean()) * 100

    def _split(self, text: str) -> Iterator[str]:
        """Yield the text, or the fewest parts of whole words that the encoder holds; a longer word is cut, too."""
        words: list[str] = []
        for word in chain.from_iterable(map(self._cut, text.split())):
            if words and self._count(" ".join([*words, word])) > self._max_tokens:
                yield " ".join(words)
                words = []
            words.append(word)
        yield " ".join(words)

    def _cut(self, word: str) -> Iterator[str]:
        """Yield the word, or pieces that the encoder holds: Chinese has no spaces, nor has an address."""
        # No token is shorter than a byte, so that most words need no counting.
        if len(word) < 2 or len(word.encode()) + 2 <= self._max_tokens or self._count(word) <= self._max_tokens:
            yield word
            return
        middle = len(word) // 2
        yield from self._cut(word[:middle])
        yield from self._cut(word[middle:])

    def _count(self, text: str) -> int:
        return len(self._tokenizer(text, add_special_tokens=True, truncation=False, verbose=False)["input_ids"])

    def _embed_images(self, images: Sequence[bytes]) -> Any:
        from PIL import Image

        rows = []
        for chunk in _chunks(images, self._batch_size):
            pictures = [Image.open(io.BytesIO(data)).convert("RGB") for data in chunk]
            inputs = self._processor(images=pictures, return_tensors="pt")["pixel_values"]
            rows.append(
                _vectors(self._model.get_image_features(pixel_values=inputs.to(self._model.device, self._model.dtype)))
            )
        return self._torch.cat(rows)

    def _embed_texts(self, texts: Sequence[str]) -> Any:
        # SigLIP was trained with every text filled up to its longest; padding so is part of the model.
        padding = {"padding": "max_length", "max_length": self._max_tokens} if self._is_siglip else {"padding": True}
        rows = []
        for chunk in _chunks(texts, self._batch_size):
            inputs = self._tokenizer(list(chunk), truncation=False, return_tensors="pt", **padding)
            rows.append(_vectors(self._model.get_text_features(**inputs.to(self._device))))
        return self._torch.cat(rows)


def _vectors(features: Any) -> Any:
    """Return unit vectors in float32; transformers 5 wraps them in an output, 4 did not."""
    vectors = getattr(features, "pooler_output", features).float()
    return vectors / vectors.norm(dim=-1, keepdim=True)


def _chunks(items: Sequence[Any], size: int) -> Iterator[Sequence[Any]]:
    for start in range(0, len(items), size):
        yield items[start : start + size]


def _hash_config(model: str) -> str:
    path = Path(model) / "config.json"
    return hash_id(path.read_text(encoding="utf-8")) if path.is_file() else ""
