"""How the layers compute: attention, recomputation, compilation, Liger. None of it changes the loss."""

import importlib.util
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import torch
from accelerate.utils import send_to_device
from transformers import LlavaForConditionalGeneration
from transformers.utils.import_utils import is_flash_attn_2_available

from stablellava.config.training import SpeedSettings
from stablellava.core.errors import BackendMissing, ConfigError
from stablellava.model.answer_layer import can_skip_positions, skip_positions
from stablellava.model.packed_attention import SEGMENTS
from stablellava.model.vlm import AnswerLoss

PARITY_TOLERANCE = 1e-4
"""Largest relative change of a loss that other kernels may cause."""
_LIGER_KERNELS = {"rope": True, "rms_norm": True, "swiglu": True}


def choose_attention(speed: SpeedSettings, precision: str) -> str:
    """Return what keeps packed samples apart here: "segments", "block_mask" or "flash".

    Raises: ConfigError for a combination that cannot work, BackendMissing without FlashAttention.
    """
    has_flash = is_flash_attn_2_available() and precision == "bfloat16"
    if speed.attention == "flash" and not has_flash:
        raise BackendMissing(
            "training.speed.attention=flash needs a GPU, the package flash-attn and training.precision=bfloat16; "
            "use auto to take it where it is there"
        )
    if speed.attention != "auto":
        if speed.attention == "segments" and speed.packing and speed.compile:
            raise ConfigError(
                "training.speed: compile with attention=segments would compile anew for every batch; "
                "use attention=block_mask, or compile=false"
            )
        return speed.attention
    if has_flash:
        return "flash"
    return "block_mask" if speed.compile else "segments"


def check_kernels(speed: SpeedSettings, precision: str) -> None:
    """Refuse what is not there before anything is computed. Raises: as ``choose_attention`` and ``apply_kernels``."""
    choose_attention(speed, precision)
    if not speed.liger:
        return
    if importlib.util.find_spec("liger_kernel") is None:
        raise BackendMissing("training.speed.liger needs the package liger-kernel: pip install liger-kernel")
    if not torch.cuda.is_available():
        raise ConfigError("training.speed.liger=true: its kernels run on GPUs only; leave it off here")


def shortens_last_layer(llava: LlavaForConditionalGeneration, speed: SpeedSettings) -> bool:
    """Tell whether the last layer computes the answers' positions alone."""
    asked = speed.packing and speed.answers_only and speed.short_last_layer
    return asked and can_skip_positions(llava.model.language_model)


@contextmanager
def use_kernels(llava: LlavaForConditionalGeneration, speed: SpeedSettings, attention: str) -> Iterator[None]:
    """Let the language model compute as the settings ask inside the block, and as the library does after it."""
    if not speed.packing:
        yield
        return
    restore = None
    if attention == "segments" and shortens_last_layer(llava, speed):
        restore = skip_positions(llava.model.language_model)
    try:
        with use_attention(llava, implementation_of(attention)):
            yield
    finally:
        if restore is not None:
            restore()


@contextmanager
def use_attention(llava: LlavaForConditionalGeneration, implementation: str) -> Iterator[None]:
    """Let the language model attend in another way inside the block."""
    config = llava.model.language_model.config
    before = config._attn_implementation
    config._attn_implementation = implementation
    try:
        yield
    finally:
        config._attn_implementation = before


def implementation_of(attention: str) -> str:
    """Return transformers' name of an attention."""
    return {"segments": SEGMENTS, "block_mask": "sdpa", "flash": "flash_attention_2"}[attention]


def apply_kernels(
    loss_model: AnswerLoss, speed: SpeedSettings, batch: dict[str, Any], precision: str = "float32"
) -> None:
    """Switch on what the settings ask for, which ``check_kernels`` let pass; Liger's are tried on ``batch``.

    Raises: ConfigError if Liger's kernels change the loss.
    """
    language_model = loss_model.llava.model.language_model
    if speed.liger:
        _apply_liger(loss_model, batch, precision)
    if speed.gradient_checkpointing:
        # Renamed in transformers 5; the old name warns where the new one is there.
        enable = getattr(language_model, "activation_checkpointing_enable", None)
        (enable or language_model.gradient_checkpointing_enable)({"use_reentrant": False})
    if speed.compile:
        for layer in language_model.layers:
            layer.compile(dynamic=True)


def undo_checkpointing(llava: LlavaForConditionalGeneration) -> None:
    """Let the layers keep their activations again."""
    language_model = llava.model.language_model
    disable = getattr(language_model, "activation_checkpointing_disable", None)
    (disable or language_model.gradient_checkpointing_disable)()


def check_parity(name: str, before: float, after: float) -> None:
    """Refuse kernels that change the loss.

    Raises: ConfigError naming the setting and both losses.
    """
    if not abs(after - before) <= PARITY_TOLERANCE * max(abs(before), 1.0):
        raise ConfigError(f"training.speed.{name} changes the first loss from {before:.6f} to {after:.6f}; turn it off")


def loss_of(loss_model: AnswerLoss, batch: dict[str, Any], precision: str) -> torch.Tensor:
    """Return a batch's mean loss where the model is, in the precision of training, as the Trainer computes it."""
    device = loss_model.llava.device
    num_supervised = (batch["labels"][:, 1:] >= 0).sum()
    with torch.autocast(device.type, torch.bfloat16, enabled=precision == "bfloat16"):
        loss: torch.Tensor = loss_model(**send_to_device(batch, device), num_supervised=num_supervised)
    return loss


def _apply_liger(loss_model: AnswerLoss, batch: dict[str, Any], precision: str) -> None:
    from transformers.integrations.liger import apply_liger_kernel

    with torch.no_grad():
        before = float(loss_of(loss_model, batch, precision))
        apply_liger_kernel(loss_model.llava.model.language_model, _LIGER_KERNELS)
        check_parity("liger", before, float(loss_of(loss_model, batch, precision)))
