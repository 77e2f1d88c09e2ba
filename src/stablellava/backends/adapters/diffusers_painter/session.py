"""What one painter works with: its weights, found first and read when the first picture is due."""

import logging
from dataclasses import dataclass, replace
from functools import cached_property
from typing import Any

import torch

from stablellava.backends.adapters.diffusers_painter.canvas import Canvas, RawPicture
from stablellava.backends.adapters.diffusers_painter.devices import (
    describe_device,
    pick_device,
    pick_device_type,
    pick_dtype,
)
from stablellava.backends.adapters.diffusers_painter.loading import Loaded, load_pipeline, place, set_up
from stablellava.backends.adapters.diffusers_painter.options import PainterOptions
from stablellava.backends.adapters.diffusers_painter.stamping import library_versions
from stablellava.backends.adapters.diffusers_painter.weights import LoraFile, Weights, find_lora, find_weights
from stablellava.backends.picture_stamps import PictureStamp
from stablellava.backends.revision import hash_package
from stablellava.core.ids import hash_id
from stablellava.core.rank import worker_rank
from stablellava.core.sample import PaintJob

_LOG = logging.getLogger(__name__)
_PACKAGE = "stablellava.backends.adapters.diffusers_painter"
_PLACES = {"model", "revision", "device", "devices", "dtype", "loras", "refiner", "refiner_revision", "attribution"}
"""Options that say where things lie, or are resolved and hashed apart."""
_AFTERWARDS = {"batch_size", "pad_batches", "unsafe"}
"""Options that decide about last bits, which the stamp says in another way, or about a painted picture."""


@dataclass(frozen=True)
class Files:
    """All weights that a painter reads."""

    model: Weights
    refiner: Weights | None = None
    loras: tuple[LoraFile, ...] = ()


def find_files(options: PainterOptions) -> Files:
    """Return where all weights lie, fetched if need be. Raises: ConfigError, BackendFailed."""
    return Files(
        find_weights(options.model, options.revision, options.variant),
        find_weights(options.refiner, options.refiner_revision, options.variant) if options.refiner else None,
        tuple(map(find_lora, options.loras)),
    )


class Session:
    """Weights, device and canvas of one painter.

    Args:
        options: checked.
        pipeline: one that is built already; None reads the weights.
        files: given together with the pipeline, as the stamps name them.
    """

    def __init__(self, options: PainterOptions, pipeline: Any = None, files: Files | None = None) -> None:
        self._options = options
        self._pipeline = pipeline
        if files is not None:
            self.files = files

    @cached_property
    def files(self) -> Files:
        """Where the weights lie. Raises: ConfigError, BackendFailed if they are not to be found."""
        return find_files(self._options)

    @cached_property
    def options_hash(self) -> str:
        """Over everything that shapes a picture, apart from how many are painted at once."""
        files = self.files
        return hash_id(
            hash_package(_PACKAGE),
            library_versions(),
            (files.model.name, files.model.revision),
            files.refiner.revision if files.refiner else None,
            [(lora.revision, lora.scale) for lora in files.loras],
            self._options.model_dump(mode="json", exclude=_PLACES | _AFTERWARDS),
            pick_device_type(self._options),
            str(self._dtype),
        )

    @cached_property
    def canvas(self) -> Canvas:
        """The loaded pipeline. Raises: ConfigError, BackendFailed, BackendMissing."""
        options, loaded = self._options, self._loaded
        canvas = Canvas(loaded, options, f"painter 'diffusers' ({self.files.model.name})")
        for note in canvas.reading.notes:
            _LOG.warning("painter 'diffusers': %s", note)
        return canvas

    @cached_property
    def device_name(self) -> str:
        """The kind of device that paints: "cpu", or a GPU's name. Raises: ConfigError if there is none."""
        return describe_device(pick_device(self._options, worker_rank()))

    def stamp(self, job: PaintJob, raw: RawPicture, pixels_sha256: str) -> PictureStamp:
        """Return what to write into a picture."""
        model, canvas = self.files.model, self.canvas
        return PictureStamp(
            text=job.text,
            emphasis=job.emphasis,
            negative=job.negative,
            seed=job.seed,
            width_px=job.width_px,
            height_px=job.height_px,
            painted_width_px=raw.picture.width,
            painted_height_px=raw.picture.height,
            model=model.name,
            model_revision=model.revision,
            is_local_model=model.is_local,
            pipeline=type(canvas.pipeline).__name__,
            scheduler=type(canvas.pipeline.scheduler).__name__,
            steps=canvas.steps,
            guidance=canvas.guidance,
            text_mode=canvas.reading.mode,
            options=self._options.model_dump(mode="json", exclude_unset=True, exclude=_PLACES | _AFTERWARDS),
            options_hash=self.options_hash,
            batch_rows=raw.batch_rows,
            device=self.device_name,
            threads=torch.get_num_threads() if self.device_name == "cpu" else None,
            dtype=str(self._dtype).removeprefix("torch."),
            libraries=library_versions(),
            safety=raw.safety,
            pixels_sha256=pixels_sha256,
        )

    def rename_model(self, name: str) -> None:
        """Stamp another name for the same weights: a folder may have moved since a picture was painted."""
        self.files = replace(self.files, model=replace(self.files.model, name=name))

    @cached_property
    def _dtype(self) -> torch.dtype:
        if self._pipeline is not None:
            given: torch.dtype = self._pipeline.dtype
            return given
        return pick_dtype(self._options, pick_device_type(self._options), self.files.model.has_transformer)

    @cached_property
    def _loaded(self) -> Loaded:
        options = self._options
        device = pick_device(options, worker_rank())
        # Said as a warning, so that it reaches the terminal from worker processes too.
        _LOG.warning("painter 'diffusers': %s on %s in %s", self.files.model.name, device, self._dtype)
        if self._pipeline is None:
            files = self.files
            return load_pipeline(files.model, files.refiner, files.loras, options, device, self._dtype)
        set_up(self._pipeline, (), options)
        place(self._pipeline, options, device)
        return Loaded(self._pipeline, None, device)
