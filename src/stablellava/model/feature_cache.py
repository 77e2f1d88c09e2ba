"""What a frozen tower says of each picture, computed once and kept on disk.

    <folder>/<fingerprint of tower and preprocessing>/
      <shard>.npy     float32 [images, P, D]
      <shard>.json    sha256 of each image in the rows' order; written last, so a shard counts when it is there

Shape legend: N images, C channels, H height, W width, P tokens per image, D width.
"""

import hashlib
import io
import json
from collections.abc import Callable, Iterable, Sequence
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from PIL import Image, UnidentifiedImageError
from transformers import BaseImageProcessor, LlavaForConditionalGeneration

from stablellava.core.errors import RecordError
from stablellava.core.ids import hash_id
from stablellava.model.vlm import select_patches
from stablellava.store.files import write_atomic
from stablellava.store.images import MAX_PIXELS

BATCH_SIZE = 32
SHARD_SIZE = 256

Progress = Callable[[int, int], None]


class FeatureCache:
    """Patches by image content; needs the tower only for pictures it has not seen.

    Without a folder it keeps them in memory, as long as it lives.
    """

    def __init__(self, folder: Path | None, llava: LlavaForConditionalGeneration, image_processor: BaseImageProcessor):
        self.llava = llava
        self.image_processor = image_processor
        self.folder = folder / fingerprint_tower(llava, image_processor) if folder is not None else None
        self._digest_of: dict[Path, str] = {}
        self._rows: dict[str, tuple[NDArray[np.float32], int]] = {}
        for index_path in sorted(self.folder.glob("*.json")) if self.folder is not None else ():
            self._map_shard(index_path)

    @property
    def size_bytes(self) -> int:
        return sum(shard[row].nbytes for shard, row in self._rows.values())

    def compute(self, images: Iterable[Path], progress: Progress | None = None) -> int:
        """Store the patches of every picture that is not here yet and return how many those were.

        Raises: RecordError for a picture that cannot be read, or when the disk is full.
        """
        missing = {digest: path for path in images if (digest := self._digest(path)) not in self._rows}
        # Sorted, and committed in shards of whole batches: an interrupted run goes on in the same batches.
        digests = sorted(missing)
        for start in range(0, len(digests), SHARD_SIZE):
            chosen = digests[start : start + SHARD_SIZE]
            self._keep(chosen, self._run_tower([missing[digest] for digest in chosen]))
            if progress is not None:
                progress(start + len(chosen), len(digests))
        return len(digests)

    def gather(self, images: Sequence[Path]) -> torch.Tensor:
        """Return [N, P, D] in the order of the images, all of them computed before."""
        if not images:
            return torch.empty(0)
        rows = (self._rows[self._digest(path)] for path in images)
        return torch.from_numpy(np.stack([shard[row] for shard, row in rows]))

    def _run_tower(self, paths: list[Path]) -> NDArray[np.float32]:
        batches = []
        with torch.inference_mode():
            for start in range(0, len(paths), BATCH_SIZE):
                images = [read_image(path) for path in paths[start : start + BATCH_SIZE]]
                pixels_NCHW = self.image_processor(images=images, return_tensors="pt")["pixel_values"]
                # Kernels differ with the batch size in their last bits; one size, one result per picture.
                full_NCHW = pixels_NCHW.new_zeros(BATCH_SIZE, *pixels_NCHW.shape[1:])
                full_NCHW[: len(images)] = pixels_NCHW
                batches.append(select_patches(self.llava, full_NCHW)[: len(images)].numpy())
        return np.concatenate(batches)

    def _keep(self, digests: list[str], patches_NPD: NDArray[np.float32]) -> None:
        if self.folder is None:
            self._rows.update({digest: (patches_NPD, row) for row, digest in enumerate(digests)})
            return
        index_path = self.folder / f"{hash_id(digests)}.json"
        buffer = io.BytesIO()
        np.save(buffer, patches_NPD)
        write_atomic(index_path.with_suffix(".npy"), buffer.getvalue())
        write_atomic(index_path, json.dumps(digests).encode())
        self._map_shard(index_path)

    def _map_shard(self, index_path: Path) -> None:
        data_path = index_path.with_suffix(".npy")
        if not data_path.is_file():
            return
        patches_NPD = np.load(data_path, mmap_mode="r")
        for row, digest in enumerate(json.loads(index_path.read_text())):
            self._rows[digest] = (patches_NPD, row)

    def _digest(self, path: Path) -> str:
        if path not in self._digest_of:
            try:
                self._digest_of[path] = hashlib.sha256(path.read_bytes()).hexdigest()
            except OSError as exc:
                raise RecordError(f"image {path} cannot be read: {exc.strerror}") from exc
        return self._digest_of[path]


def read_image(path: Path) -> Image.Image:
    """Return a picture as RGB.

    Raises: RecordError if it is missing, broken, or has more than MAX_PIXELS pixels.
    """
    try:
        with Image.open(path) as image:
            width, height = image.size
            if width * height > MAX_PIXELS:
                raise RecordError(f"image {path} has {width} x {height} pixels; at most {MAX_PIXELS} are read")
            return image.convert("RGB")
    except (OSError, UnidentifiedImageError, Image.DecompressionBombError, SyntaxError, ValueError) as exc:
        raise RecordError(f"image {path} cannot be read: {exc}") from exc


def fingerprint_tower(llava: LlavaForConditionalGeneration, image_processor: BaseImageProcessor) -> str:
    """Return a hash of all that features depend on besides the picture."""
    digest = hashlib.sha256()
    for name, tensor in sorted(llava.model.vision_tower.state_dict().items()):
        digest.update(name.encode())
        digest.update(np.ascontiguousarray(tensor.detach().cpu().numpy()).tobytes())
    reading = [llava.config.vision_feature_layer, llava.config.vision_feature_select_strategy]
    # The weights say their type themselves; the config says it only once the model was saved.
    tower = {key: value for key, value in llava.model.vision_tower.config.to_dict().items() if key != "dtype"}
    digest.update(json.dumps([reading, tower, image_processor.to_dict()], sort_keys=True, default=str).encode())
    return digest.hexdigest()[:32]
