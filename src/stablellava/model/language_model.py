"""Causal language models: from a folder, or from a GGUF asset converted once."""

import contextlib
import shutil
import tempfile
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import torch
from transformers import AutoModelForCausalLM, AutoTokenizer, PreTrainedModel, PreTrainedTokenizerBase
from transformers.utils import logging as transformers_logging

from stablellava.core.errors import BackendFailed, BackendMissing, ConfigError
from stablellava.core.suggesting import suggest_name
from stablellava.store.assets import asset_path, cache_dir, find_asset

ASSET_OF_MODEL = {"smollm2-135m-instruct": "smollm2-135m-instruct.gguf"}


def load_language_model(name_or_path: str) -> tuple[PreTrainedModel, PreTrainedTokenizerBase]:
    """Return a causal language model in float32 and its tokenizer.

    The first use of a GGUF asset converts it (about 20 s); later ones read safetensors (under 1 s).

    Raises: ConfigError if it is neither a known asset nor a model's folder, BackendMissing if the
    asset was not pulled.
    """
    folder = _folder_of(name_or_path)
    with without_progress_bars():
        try:
            loaded: Any = AutoModelForCausalLM.from_pretrained(
                folder, dtype=torch.float32, local_files_only=True, output_loading_info=True
            )
            tokenizer = AutoTokenizer.from_pretrained(folder, local_files_only=True)
        except (OSError, ValueError, KeyError) as exc:
            raise ConfigError(f"training.model.language_model={name_or_path!r} cannot be loaded: {exc}") from exc
    model, info = loaded
    refuse_missing(info, folder)
    return model, tokenizer


def refuse_missing(info: Mapping[str, Any], folder: Path) -> None:
    """Look at what the library says of loading: it fills what it did not find with random numbers, and goes on.

    Raises: ConfigError if there was something.
    """
    missing = sorted(info["missing_keys"])
    if missing:
        raise ConfigError(f"{folder} lacks {len(missing)} tensors of the model that it names, such as {missing[0]}")


def load_tokenizer(name_or_path: str) -> PreTrainedTokenizerBase:
    """Return the tokenizer of a language model without its weights. Raises: as ``load_language_model``."""
    try:
        tokenizer: PreTrainedTokenizerBase = AutoTokenizer.from_pretrained(
            _folder_of(name_or_path), local_files_only=True
        )
    except (OSError, ValueError, KeyError) as exc:
        raise ConfigError(f"training.model.language_model={name_or_path!r} has no tokenizer: {exc}") from exc
    return tokenizer


@contextlib.contextmanager
def without_progress_bars() -> Iterator[None]:
    """Keep transformers' bars for loading and writing off the terminal; ours show the whole work."""
    was_enabled = transformers_logging.is_progress_bar_enabled()
    transformers_logging.disable_progress_bar()
    try:
        yield
    finally:
        if was_enabled:
            transformers_logging.enable_progress_bar()


def _folder_of(name_or_path: str) -> Path:
    if name_or_path in ASSET_OF_MODEL:
        return _converted(ASSET_OF_MODEL[name_or_path])
    folder = Path(name_or_path).expanduser()
    if not (folder / "config.json").is_file():
        raise ConfigError(
            f"training.model.language_model={name_or_path!r} is neither a known model nor a folder with a config.json. "
            f"{suggest_name(name_or_path, ASSET_OF_MODEL)}"
        )
    return folder


def _converted(asset_name: str) -> Path:
    """Return the folder of an asset's safetensors form, made on the first call."""
    target = cache_dir() / "converted" / f"{Path(asset_name).stem}-{find_asset(asset_name).sha256[:16]}"
    if target.is_dir():
        return target
    gguf_path = asset_path(asset_name)
    target.parent.mkdir(parents=True, exist_ok=True)
    scratch = Path(tempfile.mkdtemp(dir=target.parent, prefix=".convert-"))
    try:
        _convert(gguf_path, scratch)
        _move_into_place(scratch, target)
    finally:
        shutil.rmtree(scratch, ignore_errors=True)
    return target


def _convert(gguf_path: Path, folder: Path) -> None:
    try:
        with without_progress_bars():
            source = {"pretrained_model_name_or_path": str(gguf_path.parent), "gguf_file": gguf_path.name}
            model = AutoModelForCausalLM.from_pretrained(**source, dtype=torch.float32)
            _shed_quantization_marks(model)
            model.save_pretrained(folder)
            AutoTokenizer.from_pretrained(**source).save_pretrained(folder)
    except ImportError as exc:
        raise BackendMissing(
            f"reading {gguf_path.name} needs the package gguf: pip install 'stablellava[train]'"
        ) from exc
    except OSError as exc:
        raise BackendFailed(f"{gguf_path} could not be converted in {folder.parent}: {exc}") from exc


def _shed_quantization_marks(model: PreTrainedModel) -> None:
    # The weights are plain float32 by now, but save_pretrained refuses what still looks quantized.
    if hasattr(model.config, "quantization_config"):
        del model.config.quantization_config
    for mark, value in (("hf_quantizer", None), ("quantization_method", None), ("is_quantized", False)):
        setattr(model, mark, value)


def _move_into_place(scratch: Path, target: Path) -> None:
    try:
        scratch.rename(target)
    except OSError:
        # Another process converted the same asset meanwhile; its folder is as good as ours.
        if not target.is_dir():
            raise
