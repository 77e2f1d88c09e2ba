"""Any image classifier of transformers, as a check for what should not be in a picture."""

import io
from collections.abc import Sequence
from typing import Any

from stablellava.backends.adapters.torch_placement import choose_placement
from stablellava.core.errors import BackendFailed, BackendMissing
from stablellava.core.ids import hash_id


class ImageClassifier:
    """Gives each picture a probability per label of the model, summing to 1.

    Args:
        model: hub name or folder of an image classification checkpoint (safetensors).
        revision: of a hub model.
        device: "auto" takes a GPU where there is one.
        dtype: "auto" is float16 on a GPU and float32 elsewhere.
        batch_size: pictures per forward pass; never changes a probability beyond rounding.

    Raises: BackendMissing without torch and transformers, BackendFailed for a model that cannot be loaded,
        ConfigError for an unknown dtype.
    """

    name = "image-classifier"

    def __init__(
        self,
        model: str = "Falconsai/nsfw_image_detection",
        revision: str | None = None,
        device: str = "auto",
        dtype: str = "auto",
        batch_size: int = 32,
    ) -> None:
        try:
            import torch
            from transformers import AutoImageProcessor, AutoModelForImageClassification
        except ImportError as exc:
            raise BackendMissing(
                f"classifier image-classifier needs {exc.name!r}: pip install 'stablellava[train]'"
            ) from exc
        self._torch = torch
        self._device, dtype = choose_placement(torch, device, dtype)
        self._batch_size = batch_size
        try:
            loaded: Any = AutoModelForImageClassification.from_pretrained(
                model, revision=revision, dtype=getattr(torch, dtype), use_safetensors=True
            )
            self._processor: Any = AutoImageProcessor.from_pretrained(model, revision=revision, backend="pil")
        except (OSError, ValueError) as exc:
            why = str(exc).splitlines()[0]
            raise BackendFailed(f"classifier image-classifier: {model!r} cannot be loaded: {why}") from exc
        self._model = loaded.to(self._device).eval()
        names: dict[int, str] = loaded.config.id2label
        self.labels = tuple(str(names[index]) for index in range(loaded.config.num_labels))
        weights = [tensor.double().sum().item() for tensor in self._model.state_dict().values()]
        self.revision = hash_id(model, getattr(loaded.config, "_commit_hash", None), self.labels, weights, dtype)

    def classify(self, images: Sequence[bytes]) -> list[dict[str, float]]:
        """Return label -> probability for encoded pictures, in their order."""
        from PIL import Image

        found: list[dict[str, float]] = []
        for start in range(0, len(images), self._batch_size):
            chunk = images[start : start + self._batch_size]
            pictures = [Image.open(io.BytesIO(data)).convert("RGB") for data in chunk]
            pixels = self._processor(images=pictures, return_tensors="pt")["pixel_values"]
            with self._torch.inference_mode():
                logits = self._model(pixel_values=pixels.to(self._device, self._model.dtype)).logits
            rows = logits.float().softmax(dim=-1).tolist()
            found.extend(dict(zip(self.labels, row, strict=True)) for row in rows)
        return found
