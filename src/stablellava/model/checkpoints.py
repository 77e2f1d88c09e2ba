"""Checkpoints from disk, in every form: whole, adapters to another folder, the original LLaVA's."""

from collections.abc import Iterator
from contextlib import contextmanager, nullcontext
from pathlib import Path
from typing import Any

import numpy as np
import torch
from transformers import BaseImageProcessor, LlavaForConditionalGeneration, LlavaProcessor

from stablellava.config.training import ModelSettings
from stablellava.core.errors import RecordError
from stablellava.core.record import Record
from stablellava.model.adapters import apply_adapter, find_base, is_adapter
from stablellava.model.assembling import Vlm, assemble
from stablellava.model.base_precision import cast_language_model, cast_weights
from stablellava.model.chat_template import (
    CHAT_TEMPLATES,
    IMAGE_TOKEN,
    OWN_TEMPLATE,
    Chat,
    bind_template,
    recognise_template,
    token_id_of,
)
from stablellava.model.language_model import without_progress_bars
from stablellava.model.original_llava import is_original, read_original
from stablellava.model.vlm import select_patches


class TensorAccount(Record):
    """What became of every tensor of a model and of its files."""

    num_loaded: int
    missing: tuple[str, ...] = ()
    """Of the model, in no file: the library fills them with random numbers."""
    unexpected: tuple[str, ...] = ()
    """In a file, of no use to the model."""
    mismatched: tuple[str, ...] = ()
    """In a file, with another shape."""

    @property
    def is_complete(self) -> bool:
        return not (self.missing or self.unexpected or self.mismatched)

    @property
    def summary(self) -> str:
        parts = [f"{self.num_loaded} tensors loaded"]
        for name in ("missing", "unexpected", "mismatched"):
            found: tuple[str, ...] = getattr(self, name)
            if found:
                parts.append(f"{len(found)} {name} ({', '.join(found[:2])}{', ...' if len(found) > 2 else ''})")
        return ", ".join(parts)


def begin_vlm(settings: ModelSettings, seed: int) -> Vlm:
    """Return what training begins with: a checkpoint if the settings name one, else parts with a new projector.

    A checkpoint keeps its tower, projector and language model, whatever the settings say of them; the chat template
    is that of the settings.

    Raises: as ``assemble`` and ``read_checkpoint``.
    """
    if not settings.start:
        return assemble(settings, seed)
    folder = Path(settings.start).expanduser()
    tower = Path(settings.tower).expanduser()
    model, processor = read_checkpoint(folder, tower_folder=tower if (tower / "config.json").is_file() else None)
    template = bind_template(settings.chat_template, processor.tokenizer)
    if token_id_of(processor.tokenizer, IMAGE_TOKEN) != model.config.image_token_id:
        raise RecordError(f"{folder}: the model marks images with another token than {IMAGE_TOKEN}")
    processor.chat_template = template.jinja
    _describe_images(model, processor)
    return Vlm(model, processor, Chat(processor.tokenizer, template, model.config.image_seq_length), folder)


def load_vlm(folder: Path) -> Vlm:
    """Return a saved LLaVA of ours in float32, adapters merged.

    Raises: RecordError if the folder holds none, or one whose chat template is not ours.
    """
    model, processor = read_checkpoint(folder)
    template = recognise_template(str(processor.chat_template), processor.tokenizer)
    if template is None:
        known = ", ".join((*CHAT_TEMPLATES, OWN_TEMPLATE))
        raise RecordError(f"{folder}: its chat template is none of {known}")
    return Vlm(model, processor, Chat(processor.tokenizer, template, model.config.image_seq_length), folder)


def read_checkpoint(
    folder: Path,
    dtype: torch.dtype = torch.float32,
    tower_folder: Path | None = None,
    *,
    only_language: bool = False,
) -> tuple[LlavaForConditionalGeneration, LlavaProcessor]:
    """Return a LLaVA with its processor: in the Hugging Face form, or the original, or adapters merged into theirs.

    With ``only_language``, ``dtype`` is the language model's, and tower and projector are in float32.
    ``tower_folder`` is for originals that name a tower which lies elsewhere here.

    Raises: RecordError if the folder holds none, or a tensor is missing, misshapen or left over.
    """
    if not (folder / "config.json").is_file():
        raise RecordError(f"{folder} is not a model's folder: it has no config.json. Train a stage first")
    cast = cast_language_model if only_language else cast_weights
    if is_adapter(folder):
        model, _ = read_checkpoint(find_base(folder))
        apply_adapter(model, folder)
        cast(model, dtype)
        return model, _read_processor(folder)
    if is_original(folder):
        model, processor = read_original(folder, tower_folder)
        cast(model, dtype)
        return model, processor
    model, account = read_whole(folder, dtype, only_language=only_language)
    if not account.is_complete:
        raise RecordError(
            f"{folder} does not hold the weights of the model that its config.json names: {account.summary}"
        )
    return model, _read_processor(folder)


def read_whole(
    folder: Path, dtype: torch.dtype = torch.float32, *, only_language: bool = False
) -> tuple[LlavaForConditionalGeneration, TensorAccount]:
    """Return a model in the Hugging Face form, and what became of every tensor.

    Raises: RecordError if the folder holds none.
    """
    with without_progress_bars(), _whole_sight() if only_language else nullcontext():
        try:
            loaded: Any = LlavaForConditionalGeneration.from_pretrained(
                folder, dtype=dtype, local_files_only=True, output_loading_info=True
            )
        except (OSError, ValueError, KeyError, RuntimeError) as exc:
            raise RecordError(f"{folder} cannot be loaded as a LLaVA: {exc}") from exc
    model, info = loaded
    return model, _account(model, info)


@contextmanager
def _whole_sight() -> Iterator[None]:
    """Let the library load tower and projector in float32, without ever holding the rest in it.

    It asks the class for their names, and takes a class of our own for a model it has no renamed weights of.
    """
    kind: Any = LlavaForConditionalGeneration
    before = kind._keep_in_fp32_modules_strict
    kind._keep_in_fp32_modules_strict = ["vision_tower", "multi_modal_projector"]
    try:
        yield
    finally:
        kind._keep_in_fp32_modules_strict = before


def _account(model: LlavaForConditionalGeneration, info: dict[str, Any]) -> TensorAccount:
    missing = tuple(sorted(info["missing_keys"]))
    mismatched = tuple(sorted(str(name) for name, *_ in info["mismatched_keys"]))
    return TensorAccount(
        num_loaded=len(model.state_dict()) - len(missing) - len(mismatched),
        missing=missing,
        unexpected=tuple(sorted(info["unexpected_keys"])),
        mismatched=mismatched,
    )


def _read_processor(folder: Path) -> LlavaProcessor:
    with without_progress_bars():
        try:
            processor: LlavaProcessor = LlavaProcessor.from_pretrained(folder, local_files_only=True)
        except (OSError, ValueError, KeyError) as exc:
            raise RecordError(f"{folder} holds no processor of a LLaVA: {exc}") from exc
    return processor


@torch.inference_mode()
def count_tokens_per_image(model: LlavaForConditionalGeneration, image_processor: BaseImageProcessor) -> int:
    """Return how many tokens an image takes, by what the tower gives for a blank one."""
    blank = np.zeros((64, 64, 3), dtype=np.uint8)
    pixels_NCHW = image_processor(images=[blank], return_tensors="pt")["pixel_values"]
    return int(select_patches(model, pixels_NCHW.to(model.device)).shape[1])


def _describe_images(model: LlavaForConditionalGeneration, processor: LlavaProcessor) -> None:
    """Say in config and processor how many tokens an image takes; folders of older libraries leave it out."""
    num_tokens = count_tokens_per_image(model, processor.image_processor)
    tower, strategy = model.model.vision_tower.config, model.config.vision_feature_select_strategy
    model.config.image_seq_length = num_tokens
    processor.patch_size = int(tower.patch_size)
    processor.vision_feature_select_strategy = strategy
    dropped = 1 if strategy == "default" else 0
    processor.num_additional_image_tokens = num_tokens + dropped - (int(tower.image_size) // int(tower.patch_size)) ** 2
