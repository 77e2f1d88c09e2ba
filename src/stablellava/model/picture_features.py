"""One vector per picture, for checks that compare pictures with words."""

import io
from collections.abc import Sequence

import numpy as np
import torch
from numpy.typing import NDArray
from PIL import Image

from stablellava.model.tower_efficientnet import build_image_processor, load_efficientnet_lite

_BATCH_SIZE = 32


class PictureFeatures:
    """The embedded tower's patches, their mean and maximum side by side.

    Raises: BackendMissing without the extra "train".
    """

    def __init__(self, image_size_px: int = 128) -> None:
        self._tower = load_efficientnet_lite(image_size_px)
        self._processor = build_image_processor(image_size_px)

    @torch.inference_mode()
    def __call__(self, images: Sequence[bytes]) -> NDArray[np.float32]:
        """Return float32 [images, 2 x width] for encoded pictures; the same whatever the batch, up to rounding."""
        chunks = [images[start : start + _BATCH_SIZE] for start in range(0, len(images), _BATCH_SIZE)]
        return np.concatenate([self._read(chunk) for chunk in chunks])

    def _read(self, images: Sequence[bytes]) -> NDArray[np.float32]:
        pictures = [Image.open(io.BytesIO(data)).convert("RGB") for data in images]
        pixels_NCHW = torch.as_tensor(np.stack(self._processor(pictures)["pixel_values"]))
        patches_NPD = self._tower(pixels_NCHW).last_hidden_state
        features_NF: NDArray[np.float32] = torch.cat((patches_NPD.mean(dim=1), patches_NPD.amax(dim=1)), -1).numpy()
        return features_NF
