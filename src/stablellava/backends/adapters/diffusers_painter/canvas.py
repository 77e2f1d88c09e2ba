"""Painting jobs of one shape together: as many at once as memory holds, each from a generator of its own."""

import gc
import logging
import math
from collections.abc import Sequence
from dataclasses import dataclass
from inspect import signature
from typing import Any

import torch
from PIL import Image

from stablellava.backends.adapters.diffusers_painter.devices import is_out_of_memory, pick_rows
from stablellava.backends.adapters.diffusers_painter.loading import Loaded, quiet_library
from stablellava.backends.adapters.diffusers_painter.options import PainterOptions
from stablellava.backends.adapters.diffusers_painter.prompting import PlannedText, choose_reading
from stablellava.backends.adapters.diffusers_painter.safety import SafetyGuard, SafetyVerdict
from stablellava.core.errors import BackendFailed, ConfigError
from stablellava.core.sample import PaintJob

_LOG = logging.getLogger(__name__)
_LEAST_MULTIPLE_PX = 8


@dataclass(frozen=True)
class RawPicture:
    """A picture as the pipeline gave it, with how many were painted at once."""

    picture: Image.Image
    safety: SafetyVerdict
    batch_rows: int


class Canvas:
    """A loaded pipeline that remembers how many pictures fit at once.

    Attributes:
        rows: pictures painted at once; 0 until the first size is known, halved when memory runs out.
        steps: denoising steps; None if the pipeline takes no such number.
        guidance: guidance scale; None likewise.
    """

    def __init__(self, loaded: Loaded, options: PainterOptions, name: str) -> None:
        self.pipeline = loaded.pipeline
        self.rows = 0 if options.batch_size == "auto" else options.batch_size
        self.steps = _resolve(loaded.pipeline, "num_inference_steps", "steps", options.steps)
        self.guidance = _resolve(loaded.pipeline, "guidance_scale", "guidance", options.guidance)
        self._refiner = loaded.refiner
        self._device = loaded.device
        self._options = options
        self._name = name
        self._guard = SafetyGuard(loaded.pipeline)
        self._guard.place(loaded.device)
        is_guided = self._is_guided()
        self.reading = choose_reading(loaded.pipeline, options, is_guided)
        self._second_reading = choose_reading(loaded.refiner, options, is_guided) if loaded.refiner else None
        wide = 2 if getattr(loaded.pipeline, "transformer", None) is not None else 1
        self._multiple_px = max(_LEAST_MULTIPLE_PX, getattr(loaded.pipeline, "vae_scale_factor", 8) * wide)

    def painted_size(self, job: PaintJob) -> tuple[int, int]:
        """Return the width and height to paint for a job: multiples of what the model can paint."""
        side = self._options.paint_size_px
        scale = side / math.sqrt(job.width_px * job.height_px) if side else 1.0
        width, height = (
            math.ceil(round(length * scale, 3) / self._multiple_px) * self._multiple_px
            for length in (job.width_px, job.height_px)
        )
        return width, height

    def paint(self, plans: Sequence[PlannedText]) -> list[RawPicture]:
        """Return one picture per plan, in their order; all plans have one shape.

        Raises: BackendFailed if not even one fits, or the pipeline fails otherwise.
        """
        self.rows = self.rows or self._rows_that_fit(plans[0].job)
        done: list[RawPicture] = []
        while len(done) < len(plans):
            part = plans[len(done) : len(done) + self.rows]
            num_wanted = len(part)
            if self._options.pad_batches:
                part = [*part, *[part[-1]] * (self.rows - num_wanted)]
            painted = self._try_together(part)
            if painted is None:
                self._halve(len(part))
            else:
                done += painted[:num_wanted]
        return done

    def _try_together(self, plans: Sequence[PlannedText]) -> list[RawPicture] | None:
        """Return the pictures, or None if memory ran out."""
        try:
            with torch.no_grad(), quiet_library():
                return self._paint_together(plans)
        except RuntimeError as exc:
            if is_out_of_memory(exc):
                return None
            raise BackendFailed(f"{self._name}: painting failed: {exc}") from exc
        except (ValueError, TypeError) as exc:
            raise BackendFailed(f"{self._name}: {type(self.pipeline).__name__} refused the call: {exc}") from exc

    def _paint_together(self, plans: Sequence[PlannedText]) -> list[RawPicture]:
        # CPU generators: the noise is the same on every kind of device.
        generators = [torch.Generator("cpu").manual_seed(plan.job.seed) for plan in plans]
        width, height = self.painted_size(plans[0].job)
        arguments = {"generator": generators, "output_type": "pil", **self._numbers(), **self._options.call_options}
        first: dict[str, Any] = {"width": width, "height": height, **self.reading.arguments(plans)}
        if self._second_reading is None:
            output = self.pipeline(**arguments, **first)
        else:
            start = self._options.refiner_start
            halfway = self.pipeline(**{**arguments, "output_type": "latent"}, **first, denoising_end=start).images
            second = self._second_reading.arguments(plans)
            output = self._refiner(**arguments, **second, image=halfway, denoising_start=start)
        pictures = [picture.convert("RGB") for picture in output.images]
        verdicts = self._guard.judge(pictures, getattr(output, "nsfw_content_detected", None))
        return [RawPicture(picture, safety, len(plans)) for picture, safety in zip(pictures, verdicts, strict=True)]

    def _rows_that_fit(self, job: PaintJob) -> int:
        width, height = self.painted_size(job)
        parts = [part for part in self.pipeline.components.values() if isinstance(part, torch.nn.Module)]
        weight_bytes = sum(tensor.nbytes for part in parts for tensor in part.parameters())
        rows = pick_rows(self._device, 0 if self._options.cpu_offload else weight_bytes, width * height)
        _LOG.warning("%s: %d pictures of %d x %d at once", self._name, rows, width, height)
        return rows

    def _halve(self, num_tried: int) -> None:
        # What the failed call held is only let go after its exception is gone.
        gc.collect()
        if torch.cuda.is_available():
            torch.cuda.empty_cache()
        if num_tried == 1:
            raise BackendFailed(
                f"{self._name}: memory ran out over a single picture. Paint smaller (paint_size_px, size_px), "
                "or save memory with cpu_offload, vae_tiling, vae_slicing or attention_slicing"
            )
        self.rows = num_tried // 2
        _LOG.warning(
            "%s: memory ran out over %d pictures at once; from here on %d. batch_size=%d has it so from the start",
            self._name, num_tried, self.rows, self.rows,
        )  # fmt: skip

    def _numbers(self) -> dict[str, Any]:
        numbers = {"num_inference_steps": self.steps, "guidance_scale": self.guidance}
        return {name: value for name, value in numbers.items() if value is not None}

    def _is_guided(self) -> bool:
        unet = getattr(self.pipeline, "unet", None)
        has_guidance_input = unet is not None and getattr(unet.config, "time_cond_proj_dim", None) is not None
        return self.guidance is not None and self.guidance > 1 and not has_guidance_input


def _resolve(pipeline: Any, parameter: str, option: str, given: Any) -> Any:
    """Return the option, or what the pipeline takes by itself; None if it takes no such argument."""
    accepted = signature(type(pipeline).__call__).parameters
    if parameter in accepted:
        return accepted[parameter].default if given is None else given
    if given is not None:
        raise ConfigError(f"{option}={given!r}: {type(pipeline).__name__} takes no {parameter}; leave it out")
    return None
