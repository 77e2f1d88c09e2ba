"""What a frozen tower says of each picture, computed once and kept on disk.

    <folder>/<fingerprint of tower and preprocessing>/
      <shard>.npy     float32 [images, P, D]
      <shard>.json    sha256 of each image in the rows' order; written last, so a shard counts when it is there

Shape legend: N images, C channels, H height, W width, P tokens per image, D width.
"""

import hashlib
import io
import json
import os
from collections.abc import Callable, Generator, Iterable, Sequence
from contextlib import closing
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch.utils.data import DataLoader, Dataset
from transformers import BaseImageProcessor, LlavaForConditionalGeneration

from stablellava.core.errors import ConfigError, RecordError
from stablellava.core.ids import hash_id
from stablellava.model.core_streams import in_turn, on_every_core
from stablellava.model.vlm import select_patches
from stablellava.store.files import write_atomic
from stablellava.store.image_refs import ImageRef, load_rgb, read_encoded

BATCH_SIZE = 8
SHARD_SIZE = 256
SHARD_BYTES = 1 << 28
"""Shards of wide features hold fewer pictures: one is in memory while it is made."""

Progress = Callable[[int, int], None]


class PixelBatches(Dataset["torch.Tensor | RecordError"]):
    """Batches of pictures as the tower wants them, decoded where they are asked for.

    A picture that cannot be read is returned as its error, which keeps its wording across processes.
    """

    def __init__(self, batches: Sequence[Sequence[ImageRef]], image_processor: BaseImageProcessor):
        self.batches = batches
        self.image_processor = image_processor

    def __len__(self) -> int:
        return len(self.batches)

    def __getitem__(self, index: int) -> "torch.Tensor | RecordError":
        try:
            return read_pixels(self.batches[index], self.image_processor)
        except RecordError as exc:
            return exc


class FeatureCache:
    """Patches by image content; needs the tower only for pictures it has not seen.

    Without a folder it keeps them in memory, as long as it lives.
    """

    def __init__(self, folder: Path | None, llava: LlavaForConditionalGeneration, image_processor: BaseImageProcessor):
        self.llava = llava
        self.image_processor = image_processor
        self.patches_shape = (llava.config.image_seq_length, llava.model.multi_modal_projector.linear_1.in_features)
        self.root = folder
        self.folder = folder / fingerprint_tower(llava, image_processor) if folder is not None else None
        self.digest_of: dict[ImageRef, str] = {}
        """What is known of the pictures' bytes; what is not is read when it is needed."""
        self._rows: dict[str, tuple[NDArray[np.float32], int]] = {}
        self._mapped: set[Path] = set()
        self.refresh()

    def __getstate__(self) -> dict[str, Any]:
        """Return what another process needs to gather: not the model, nor what it can map from the disk itself."""
        mapped: dict[str, Any] = {} if self.folder is None else {"_rows": {}, "_mapped": set()}
        return self.__dict__ | {"llava": None, "image_processor": None} | mapped

    def __setstate__(self, state: dict[str, Any]) -> None:
        self.__dict__.update(state)
        self.refresh()

    def refresh(self) -> None:
        """Take up what other processes stored since."""
        found = sorted(self.folder.glob("*.json")) if self.folder is not None else []
        for index_path in found:
            if index_path not in self._mapped:
                self._map_shard(index_path)

    @property
    def bytes_per_image(self) -> int:
        num_patches, width = self.patches_shape
        return int(num_patches * width * np.dtype(np.float32).itemsize)

    def compute(
        self,
        images: Iterable[ImageRef],
        progress: Progress | None = None,
        num_workers: int = 0,
        device: torch.device | None = None,
    ) -> int:
        """Store the patches of every picture that is not here yet and return how many those were.

        The tower runs on ``device``, or where it is; ``num_workers`` processes decode the pictures.

        Raises: RecordError for a picture that cannot be read, or when the disk is full.
        """
        missing = {digest: path for path in images if (digest := self._digest(path)) not in self._rows}
        # Sorted, and committed in shards of whole batches: an interrupted run goes on in the same batches.
        digests = sorted(missing)
        shard_size = min(SHARD_SIZE, max(SHARD_BYTES // self.bytes_per_image // BATCH_SIZE, 1) * BATCH_SIZE)
        with closing(self._run_tower([missing[digest] for digest in digests], num_workers, device)) as computed:
            for start in range(0, len(digests), shard_size):
                chosen = digests[start : start + shard_size]
                num_batches = -(-len(chosen) // BATCH_SIZE)
                self._keep(chosen, np.concatenate([next(computed) for _ in range(num_batches)]))
                if progress is not None:
                    progress(start + len(chosen), len(digests))
        return len(digests)

    def make_room(self, images: Iterable[ImageRef], limit_bytes: float) -> int:
        """Delete what these pictures do not need, the longest unused first, until they fit; return bytes deleted.

        Raises: ConfigError if these pictures alone take more than the limit.
        """
        digests = {self._digest(path) for path in images}
        needed = len(digests) * self.bytes_per_image
        if needed > limit_bytes:
            raise ConfigError(
                f"training.speed.max_cache_gb={limit_bytes / 1e9:g}: the features of {len(digests)} pictures take "
                f"{needed / 1e9:.1f} GB; allow as much, or set training.speed.cached_features=false"
            )
        shards = self._list_shards()
        for index_path in shards:
            if self._is_needed(index_path, digests):
                os.utime(index_path)
        coming = sum(digest not in self._rows for digest in digests) * self.bytes_per_image
        excess = sum(shards.values()) + coming - limit_bytes
        deleted = 0
        for index_path in sorted(shards, key=lambda path: (path.stat().st_mtime, path)):
            if deleted >= excess:
                break
            if not self._is_needed(index_path, digests):
                deleted += shards[index_path]
                self._delete_shard(index_path)
        return deleted

    def gather(self, images: Sequence[ImageRef]) -> torch.Tensor:
        """Return [N, P, D] in the order of the images, all of them computed before."""
        if not images:
            return torch.empty(0, *self.patches_shape)
        rows = (self._rows[self._digest(path)] for path in images)
        return torch.from_numpy(np.stack([shard[row] for shard, row in rows]))

    def _run_tower(
        self, paths: list[ImageRef], num_workers: int, device: torch.device | None
    ) -> Generator[NDArray[np.float32], None, None]:
        batches = [paths[start : start + BATCH_SIZE] for start in range(0, len(paths), BATCH_SIZE)]
        pixels = PixelBatches(batches, self.image_processor)
        places = range(len(pixels))
        # No process is started for nothing.
        loaded = DataLoader(pixels, batch_size=None, num_workers=min(num_workers, len(pixels))) if num_workers else None
        tower = self.llava.model.vision_tower
        home = tower.device
        if device is not None and paths:
            tower.to(device)
        try:
            if tower.device.type != "cpu":
                decoded = loaded or in_turn(pixels.__getitem__, places, 1)
                yield from (self._look(batch) for batch in decoded)
            elif loaded is not None:
                yield from on_every_core(self._look, loaded)
            else:
                yield from on_every_core(lambda place: self._look(pixels[place]), places)
        finally:
            tower.to(home)

    def _look(self, pixels_NCHW: "torch.Tensor | RecordError") -> NDArray[np.float32]:
        """Return a batch's patches [N, P, D]. Raises: the error that stands for pictures that could not be read."""
        if isinstance(pixels_NCHW, RecordError):
            raise pixels_NCHW
        # Kernels differ with the batch size in their last bits; one size, one result per picture.
        full_NCHW = pixels_NCHW.new_zeros(BATCH_SIZE, *pixels_NCHW.shape[1:])
        full_NCHW[: len(pixels_NCHW)] = pixels_NCHW
        with torch.inference_mode():
            full_NPD = select_patches(self.llava, full_NCHW.to(self.llava.model.vision_tower.device))
        patches_NPD: NDArray[np.float32] = full_NPD[: len(pixels_NCHW)].cpu().numpy()
        return patches_NPD

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
        self._mapped.add(index_path)

    def _list_shards(self) -> dict[Path, int]:
        """Return the index of every shard of every tower, with what it takes on disk."""
        found = sorted(self.root.glob("*/*.json")) if self.root is not None else []
        return {
            index: index.with_suffix(".npy").stat().st_size for index in found if index.with_suffix(".npy").exists()
        }

    def _is_needed(self, index_path: Path, digests: set[str]) -> bool:
        return index_path.parent == self.folder and not digests.isdisjoint(json.loads(index_path.read_text()))

    def _delete_shard(self, index_path: Path) -> None:
        held = json.loads(index_path.read_text()) if index_path.parent == self.folder else []
        # The index goes first: what is half deleted does not count as there.
        index_path.unlink()
        index_path.with_suffix(".npy").unlink()
        for digest in held:
            self._rows.pop(digest, None)

    def _digest(self, image: ImageRef) -> str:
        if image not in self.digest_of:
            self.digest_of[image] = hashlib.sha256(read_encoded(image)).hexdigest()
        return self.digest_of[image]


def read_pixels(images: Sequence[ImageRef], image_processor: BaseImageProcessor) -> torch.Tensor:
    """Return pictures as the tower wants them, [N, C, H, W].

    Raises: RecordError for a picture that cannot be read.
    """
    decoded = [load_rgb(image) for image in images]
    pixels_NCHW: torch.Tensor = image_processor(images=decoded, return_tensors="pt")["pixel_values"]
    return pixels_NCHW


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
