"""Weights as files: hashing, reading and renaming, whatever their number."""

import json
from collections.abc import Callable
from pathlib import Path

import torch
import xxhash
from safetensors import safe_open
from safetensors.torch import load_file, save_file

from stablellava.core.errors import RecordError

_READ_BYTES = 1 << 22
_INDEX_NAME = "model.safetensors.index.json"
_PICKLED = ("pytorch_model*.bin", "mm_projector.bin")


def hash_weights(folder: Path) -> str:
    """Return a hash of a checkpoint's weights."""
    digest = xxhash.xxh3_128()
    for path in list_weight_files(folder):
        with path.open("rb") as file:
            while block := file.read(_READ_BYTES):
                digest.update(block)
    return digest.hexdigest()


def list_weight_files(folder: Path) -> list[Path]:
    """Return the files that hold weights: safetensors, or where there are none, PyTorch's."""
    return sorted(folder.glob("*.safetensors")) or sorted(path for kind in _PICKLED for path in folder.glob(kind))


def read_weights(folder: Path) -> dict[str, torch.Tensor]:
    """Return all tensors of a folder by name.

    Raises: RecordError if there are none, or a file is broken.
    """
    tensors: dict[str, torch.Tensor] = {}
    for path in list_weight_files(folder):
        try:
            is_safe = path.suffix == ".safetensors"
            read = load_file(path) if is_safe else torch.load(path, map_location="cpu", weights_only=True)
        except Exception as exc:  # each of the two readers has errors of its own
            raise RecordError(f"{path} cannot be read: {exc}") from exc
        tensors.update(read)
    if not tensors:
        raise RecordError(f"{folder} holds no weights: neither *.safetensors nor pytorch_model*.bin")
    return tensors


def rename_weights(folder: Path, rename: Callable[[str], str]) -> None:
    """Give tensors other names where they lie; files without one to rename are not touched."""
    for path in sorted(folder.glob("*.safetensors")):
        with safe_open(path, "pt") as file:
            names = list(file.keys())
        if all(rename(name) == name for name in names):
            continue
        tensors = {rename(name): tensor for name, tensor in load_file(path).items()}
        scratch = path.with_suffix(".renaming")
        save_file(tensors, scratch, metadata={"format": "pt"})
        scratch.replace(path)
    index_path = folder / _INDEX_NAME
    if index_path.is_file():
        index = json.loads(index_path.read_text(encoding="utf-8"))
        index["weight_map"] = {rename(name): place for name, place in index["weight_map"].items()}
        index_path.write_text(json.dumps(index, indent=2) + "\n", encoding="utf-8")
