"""Which device a worker paints on, in which number format, and how many pictures at once."""

import os

import torch

from stablellava.backends.adapters.diffusers_painter.options import PainterOptions
from stablellava.core.errors import ConfigError

_MAX_ROWS = 16
_MEMORY_SHARE = 0.85
"""Left free: what the allocator loses to fragments, and the encoders' own peaks."""
_BYTES_PER_PIXEL = 5_000
"""A decoder holds about five float32 tensors of 256 channels at full size (256 x 4 x 5); the denoiser needs less."""
_DTYPES = {"float32": torch.float32, "float16": torch.float16, "bfloat16": torch.bfloat16}


def pick_device_type(options: PainterOptions) -> str:
    """Return "cuda", "mps" or "cpu". Raises: ConfigError if the one asked for is not there."""
    available = ["cpu"]
    if torch.backends.mps.is_available():
        available.insert(0, "mps")
    if torch.cuda.is_available():
        available.insert(0, "cuda")
    if options.device == "auto" and options.devices is None:
        return available[0]
    wanted = "cuda" if options.device == "auto" else options.device.partition(":")[0]
    if wanted not in available:
        raise ConfigError(f"device {wanted!r} is not available here; there is: {', '.join(available)}")
    return wanted


def pick_device(options: PainterOptions, rank: int) -> torch.device:
    """Return the device of the worker with this rank: GPUs are given out in order, one each.

    Raises: ConfigError if there are more workers than devices, or no such device.
    """
    kind = pick_device_type(options)
    if kind != "cuda" or ":" in options.device:
        return torch.device(options.device if ":" in options.device else kind)
    index = assign_index(options.devices, torch.cuda.device_count(), rank)
    return torch.device("cuda", index)


def assign_index(devices: tuple[int, ...] | None, num_devices: int, rank: int) -> int:
    """Return the GPU of a worker. Raises: ConfigError if it has none."""
    chosen = devices if devices is not None else tuple(range(num_devices))
    unknown = [index for index in chosen if not 0 <= index < num_devices]
    if unknown:
        raise ConfigError(f"devices={list(chosen)}: there are {num_devices} GPUs, numbered from 0")
    if rank >= len(chosen):
        raise ConfigError(
            f"worker {rank + 1} has no GPU left of {list(chosen)}. Set synthesis.num_workers={len(chosen)}, "
            "or name a GPU twice in painter option devices to share it"
        )
    return chosen[rank]


def pick_dtype(options: PainterOptions, device_type: str, has_transformer: bool) -> torch.dtype:
    """Return the number format of the weights."""
    if options.dtype != "auto":
        return _DTYPES[options.dtype]
    if device_type == "cpu":
        return torch.float32
    # Text encoders of the T5 family and large transformers overflow in float16.
    if has_transformer and (device_type == "mps" or torch.cuda.is_bf16_supported()):
        return torch.bfloat16
    return torch.float16


def pick_rows(device: torch.device, weight_bytes: int, pixels: int) -> int:
    """Return how many pictures of so many pixels fit at once: a power of two, from the device's whole memory.

    Free memory would give another number in every run, and pictures other last bits.
    """
    if device.type == "cuda":
        total = torch.cuda.get_device_properties(device).total_memory
    else:
        total = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") // 2
    fitting = max(int((total * _MEMORY_SHARE - weight_bytes) / (pixels * _BYTES_PER_PIXEL)), 1)
    return min(1 << (fitting.bit_length() - 1), _MAX_ROWS)


def describe_device(device: torch.device) -> str:
    """Return the kind of device whose arithmetic shaped a picture: "cpu", or a GPU's name."""
    return torch.cuda.get_device_name(device) if device.type == "cuda" else device.type


def is_out_of_memory(error: RuntimeError) -> bool:
    """Tell running out of memory, which CPUs and Apple's GPUs report as plain RuntimeErrors, from other errors."""
    words = str(error).lower()
    return isinstance(error, torch.OutOfMemoryError) or "not enough memory" in words or "out of memory" in words
