"""A pipeline on its device, set up as the options say."""

import contextlib
from collections.abc import Iterator
from dataclasses import dataclass
from inspect import signature
from typing import Any

import diffusers
import torch
from diffusers.utils import logging as diffusers_logging
from transformers.utils import logging as transformers_logging

from stablellava.backends.adapters.diffusers_painter.options import PainterOptions
from stablellava.backends.adapters.diffusers_painter.weights import LoraFile, Weights
from stablellava.core.errors import BackendFailed, BackendMissing, ConfigError
from stablellava.core.suggesting import suggest_name

_OWN_NOISE = ("DPMSolverSDEScheduler", "CosineDPMSolverMultistepScheduler")
"""Draw noise that no generator of ours seeds, so a picture would depend on its batch."""

_LIBRARY_LOGS: tuple[Any, ...] = (diffusers_logging, transformers_logging)


@dataclass(frozen=True)
class Loaded:
    """What paints; the refiner is None unless one was asked for."""

    pipeline: Any
    refiner: Any
    device: torch.device


def load_pipeline(
    weights: Weights,
    refiner: Weights | None,
    loras: tuple[LoraFile, ...],
    options: PainterOptions,
    device: torch.device,
    dtype: torch.dtype,
) -> Loaded:
    """Read the weights and move them to the device.

    Raises: ConfigError for an option that the pipeline does not take, BackendFailed if the weights cannot be read,
    BackendMissing if LoRAs are asked for and peft is not installed.
    """
    with quiet_library():
        pipeline = _read(diffusers.AutoPipelineForText2Image, weights, options, dtype)
        second = _read_refiner(pipeline, refiner, options, dtype) if refiner else None
        set_up(pipeline, loras, options)
        for part in filter(None, (pipeline, second)):
            place(part, options, device)
    return Loaded(pipeline, second, device)


def set_up(pipeline: Any, loras: tuple[LoraFile, ...], options: PainterOptions) -> None:
    """Check the call's options, merge LoRAs and change the scheduler. Raises: as ``load_pipeline``."""
    accepted = signature(type(pipeline).__call__).parameters
    for name in options.call_options:
        if name not in accepted:
            hint = suggest_name(name, accepted)
            raise ConfigError(f"call_options: {type(pipeline).__name__} takes no {name!r}. {hint}")
    if options.scheduler or options.scheduler_options:
        pipeline.scheduler = _build_scheduler(pipeline, options)
    if loras:
        _merge_loras(pipeline, loras)


def place(pipeline: Any, options: PainterOptions, device: torch.device) -> None:
    """Move to the device and turn on what saves memory or time."""
    pipeline.set_progress_bar_config(disable=True)
    if options.cpu_offload:
        if device.type == "cpu":
            raise ConfigError("cpu_offload keeps weights off a GPU, and this painter paints on the CPU; leave it out")
        pipeline.enable_model_cpu_offload(device=device)
    else:
        pipeline.to(device)
    if options.attention_slicing:
        pipeline.enable_attention_slicing()
    if options.vae_slicing:
        pipeline.vae.enable_slicing()
    if options.vae_tiling:
        pipeline.vae.enable_tiling()
    if options.compile:
        name = "transformer" if getattr(pipeline, "transformer", None) is not None else "unet"
        getattr(pipeline, name).compile()


@contextlib.contextmanager
def quiet_library() -> Iterator[None]:
    """Keep loading bars and advice for interactive use off the user's terminal; errors still come through."""
    for library in _LIBRARY_LOGS:
        library.disable_progress_bar()
    levels = [library.get_verbosity() for library in _LIBRARY_LOGS]
    for library in _LIBRARY_LOGS:
        library.set_verbosity_error()
    try:
        yield
    finally:
        for library, level in zip(_LIBRARY_LOGS, levels, strict=True):
            library.set_verbosity(level)
            library.enable_progress_bar()


def _read(pipeline_class: Any, weights: Weights, options: PainterOptions, dtype: torch.dtype, **parts: Any) -> Any:
    try:
        return pipeline_class.from_pretrained(
            weights.folder, dtype=dtype, variant=options.variant, use_safetensors=True, **parts
        )
    except (OSError, ValueError, ImportError) as exc:
        raise BackendFailed(f"model {weights.name!r} cannot be loaded from {weights.folder}: {exc}") from exc


def _read_refiner(base: Any, refiner: Weights, options: PainterOptions, dtype: torch.dtype) -> Any:
    if "denoising_end" not in signature(type(base).__call__).parameters:
        raise ConfigError(f"refiner: {type(base).__name__} cannot hand over a half-painted picture; only SDXL can")
    shared = {"vae": base.vae, "text_encoder_2": base.text_encoder_2}
    return _read(diffusers.StableDiffusionXLImg2ImgPipeline, refiner, options, dtype, **shared)


def _build_scheduler(pipeline: Any, options: PainterOptions) -> Any:
    current = type(pipeline.scheduler)
    wanted = options.scheduler or current.__name__
    known = [name for name in dir(diffusers) if name.endswith("Scheduler")]
    name = wanted if wanted in known else f"{wanted}Scheduler"
    if name not in known:
        raise ConfigError(f"diffusers has no scheduler {wanted!r}. {suggest_name(name, known)}")
    if name in _OWN_NOISE:
        raise ConfigError(f"scheduler {wanted!r} draws noise of its own, so that no picture could be painted again")
    scheduler = getattr(diffusers, name)
    fits = _is_for_flow(current) == (_is_for_flow(scheduler) or "use_flow_sigmas" in options.scheduler_options)
    if not fits:
        kind = "flow matching" if _is_for_flow(current) else "diffusion"
        raise ConfigError(f"scheduler {wanted!r} is not for {kind} models such as {type(pipeline).__name__}; "
                          f"it comes with {current.__name__}")  # fmt: skip
    return scheduler.from_config(pipeline.scheduler.config, **options.scheduler_options)


def _is_for_flow(scheduler: Any) -> bool:
    return "beta_schedule" not in signature(scheduler.__init__).parameters


def _merge_loras(pipeline: Any, loras: tuple[LoraFile, ...]) -> None:
    if not hasattr(pipeline, "load_lora_weights"):
        raise ConfigError(f"loras: {type(pipeline).__name__} takes none")
    names = [f"lora_{index}" for index in range(len(loras))]
    try:
        for name, lora in zip(names, loras, strict=True):
            pipeline.load_lora_weights(
                str(lora.path.parent), weight_name=lora.path.name, adapter_name=name, use_safetensors=True
            )
    except ImportError as exc:
        raise BackendMissing("loras need the package 'peft': pip install 'stablellava[diffusers]' peft") from exc
    except (OSError, ValueError, KeyError) as exc:
        raise BackendFailed(f"a lora does not fit {type(pipeline).__name__}: {exc}") from exc
    pipeline.set_adapters(names, [lora.scale for lora in loras])
    pipeline.fuse_lora(adapter_names=names)
    pipeline.unload_lora_weights()
