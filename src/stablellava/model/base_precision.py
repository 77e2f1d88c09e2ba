"""In how many bits weights are kept: as they are, in half precision, or under adapters in four bits (QLoRA)."""

from typing import Any, Literal

import torch
from torch import nn
from transformers import LlavaForConditionalGeneration

from stablellava.core.errors import BackendMissing

BasePrecision = Literal["float32", "bfloat16", "nf4"]


def lower_base_precision(llava: LlavaForConditionalGeneration, precision: BasePrecision) -> None:
    """Keep the language model in fewer bits; tower and projector stay in float32.

    nf4 holds for the linear layers inside, the rest of the language model is bfloat16 then. Call before adapters join.

    Raises: BackendMissing for nf4 without bitsandbytes.
    """
    if precision == "float32":
        return
    cast_language_model(llava, torch.bfloat16)
    if precision == "nf4":
        _quantize(llava.model.language_model)


def cast_language_model(llava: LlavaForConditionalGeneration, dtype: torch.dtype) -> None:
    """Keep the language model in another precision; tower and projector stay as they are."""
    for part in (llava.model.language_model, llava.lm_head):
        cast_weights(part, dtype)
    llava.tie_weights()


def cast_weights(module: nn.Module, dtype: torch.dtype) -> None:
    """Change the precision of what a file of weights holds.

    What a module computes for itself stays: rotary frequencies in bfloat16 are off by a radian after a thousand tokens.
    """
    stored = module.state_dict().keys()
    computed = {name: buffer for name, buffer in module.named_buffers() if name not in stored}
    module.to(dtype)
    for name, buffer in computed.items():
        owner, _, own = name.rpartition(".")
        setattr(module.get_submodule(owner), own, buffer)


def _quantize(language_model: nn.Module) -> None:
    kind = _import_bitsandbytes().nn
    device = torch.device("cuda") if torch.cuda.is_available() else torch.device("cpu")
    for name, layer in list(language_model.named_modules()):
        if not isinstance(layer, nn.Linear):
            continue
        small = kind.Linear4bit(
            layer.in_features,
            layer.out_features,
            bias=layer.bias is not None,
            compute_dtype=torch.bfloat16,
            compress_statistics=True,
            quant_type="nf4",
        )
        small.weight = kind.Params4bit(
            layer.weight.data, requires_grad=False, quant_type="nf4", compress_statistics=True, module=small
        )
        if layer.bias is not None:
            small.bias = layer.bias
        parent, _, own = name.rpartition(".")
        # Weights are quantized on their way to the device.
        setattr(language_model.get_submodule(parent), own, small.to(device))


def _import_bitsandbytes() -> Any:
    try:
        import bitsandbytes
    except ImportError as exc:
        raise BackendMissing(
            "base_precision=nf4 needs the package bitsandbytes: pip install bitsandbytes; or use bfloat16"
        ) from exc
    return bitsandbytes
