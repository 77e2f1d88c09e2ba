"""Where a model's files lie, and one short name for exactly these files."""

import json
import textwrap
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

import xxhash
from diffusers import DiffusionPipeline
from huggingface_hub import hf_hub_download

from stablellava.backends.adapters.diffusers_painter.options import LoraOptions
from stablellava.core.errors import BackendFailed, ConfigError

_INDEX = "model_index.json"
_READ = (".json", ".txt", ".model", ".safetensors")
_PICKLED = ("*.bin", "*.pt", "*.pth", "*.ckpt")
_BLOCK_BYTES = 1 << 24
_BRIEF = 200


@dataclass(frozen=True)
class Weights:
    """A model on this disk.

    Attributes:
        name: the hub id, or the last part of a folder's path: where it lies stays out of the data.
        revision: commit of a hub model, hash of all files of a folder.
        is_local: whether the name alone does not find it again.
    """

    folder: Path
    name: str
    revision: str
    is_local: bool

    @property
    def has_transformer(self) -> bool:
        """Whether the denoiser is a transformer (FLUX, SD 3, PixArt), not a UNet."""
        return "transformer" in json.loads((self.folder / _INDEX).read_text(encoding="utf-8"))


@dataclass(frozen=True)
class LoraFile:
    """A LoRA on this disk; the revision is a hash of the file."""

    path: Path
    revision: str
    scale: float


def find_weights(model: str, revision: str | None = None, variant: str | None = None) -> Weights:
    """Return the model's folder, fetched from the hub if it is neither a folder nor in the cache.

    Raises: ConfigError for a folder that is no model or has pickled weights only, BackendFailed when the hub
    has no such model or cannot be reached.
    """
    folder = Path(model).expanduser()
    if folder.is_dir():
        _check_folder(folder)
        return Weights(folder, folder.resolve().name, hash_files(folder), is_local=True)
    if folder.is_file() or model.startswith((".", "/", "~")):
        what = "is a file" if folder.is_file() else "does not exist"
        raise ConfigError(f"model {model!r} {what}; name a folder that holds {_INDEX}, or a hub id as 'owner/name'")
    snapshot = _fetch(model, revision, variant)
    return Weights(snapshot, model, snapshot.name, is_local=False)


def find_lora(lora: LoraOptions) -> LoraFile:
    """Return the LoRA's file, fetched from the hub if need be. Raises: as ``find_weights``."""
    path = Path(lora.path).expanduser()
    if not path.is_file():
        if lora.weight_name is None:
            raise ConfigError(f"lora {lora.path!r} does not exist; name a .safetensors file, or a hub id + weight_name")
        if not lora.weight_name.endswith(".safetensors"):
            raise ConfigError(f"lora weight_name={lora.weight_name!r}: pickled weights can run code; use .safetensors")
        try:
            path = Path(hf_hub_download(lora.path, lora.weight_name, revision=lora.revision))
        except Exception as exc:  # errors of the hub's transport share no base with the hub's own
            raise BackendFailed(f"lora {lora.path!r} is no file here, and the hub gave none: {_brief(exc)}") from exc
    return LoraFile(path, _hash_listing((_listed(path, path.parent),), str(path.parent)), lora.scale)


def hash_files(folder: Path) -> str:
    """Return a hash over names and bytes of everything that loading reads; about a second per 2 GB."""
    files = sorted(path for path in folder.rglob("*") if path.suffix in _READ and path.is_file())
    return _hash_listing(tuple(_listed(path, folder) for path in files), str(folder))


def _check_folder(folder: Path) -> None:
    if not (folder / _INDEX).is_file():
        raise ConfigError(f"model {str(folder)!r} holds no {_INDEX}; it wants the layout that save_pretrained writes")
    for part in sorted(path for path in folder.iterdir() if path.is_dir()):
        pickled = sorted(path.name for pattern in _PICKLED for path in part.glob(pattern))
        if pickled and not list(part.glob("*.safetensors")):
            raise ConfigError(
                f"{part}: only {pickled[0]!r}; pickled weights can run code and are not loaded. "
                "Save the model again with safe_serialization=True"
            )


def _fetch(model: str, revision: str | None, variant: str | None) -> Path:
    options: dict[str, Any] = {"revision": revision, "variant": variant, "use_safetensors": True}
    try:
        return Path(DiffusionPipeline.download(model, **options))
    except Exception as exc:  # errors of the hub's transport share no base with the hub's own
        raise BackendFailed(
            f"model {model!r} is no folder here, and the hub gave none: {_brief(exc)}. "
            "Check the name and the network, or name a folder of the model"
        ) from exc


def _brief(error: Exception) -> str:
    lines = [line.strip() for line in str(error).splitlines() if line.strip()]
    return textwrap.shorten(lines[0], _BRIEF, placeholder=" (cut)").rstrip(".") if lines else type(error).__name__


def _listed(path: Path, folder: Path) -> tuple[str, int, int]:
    stat = path.stat()
    return path.relative_to(folder).as_posix(), stat.st_size, stat.st_mtime_ns


@cache
def _hash_listing(listing: tuple[tuple[str, int, int], ...], folder: str) -> str:
    """Read every file once per process, as long as sizes and times stand."""
    digest = xxhash.xxh3_128()
    for name, size, _ in listing:
        digest.update(f"{name}\0{size}\0".encode())
        with (Path(folder) / name).open("rb") as file:
            while block := file.read(_BLOCK_BYTES):
                digest.update(block)
    return digest.hexdigest()
