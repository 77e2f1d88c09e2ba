"""Painting a picture again from what is written inside it."""

import logging
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import torch

from stablellava.backends.adapters.diffusers_painter.options import read_options
from stablellava.backends.adapters.diffusers_painter.painter import DiffusersPainter
from stablellava.backends.adapters.diffusers_painter.stamping import library_versions
from stablellava.backends.picture_stamps import PictureStamp, read_stamp
from stablellava.core.errors import BackendFailed, ConfigError
from stablellava.core.ids import hash_id
from stablellava.core.sample import Painted, PaintJob

_LOG = logging.getLogger(__name__)


class DiffusersRepainter:
    """Paints again what `diffusers` painted; weights are read once for all pictures of the same settings.

    Args:
        options: where things lie here, in the painter's own words: ``model`` is needed for a local model, ``loras``
            and ``refiner`` if they were used.

    Raises: ConfigError for an option that cannot be.
    """

    name = "diffusers"

    def __init__(self, **options: Any) -> None:
        read_options(options)
        self._options = options
        self._painters: dict[str, DiffusersPainter] = {}

    def find_differences(self, stamp: PictureStamp) -> list[str]:
        """Return, in words, what would make the bytes differ from those of the stamped picture.

        Raises: ConfigError if a local model's place was not named, BackendFailed if weights cannot be found.
        """
        session = self._painter_for(stamp).session
        here = library_versions()
        found = [
            f"{name} was {stamp.libraries.get(name, 'absent')}, here it is {here.get(name, 'absent')}"
            for name in sorted(stamp.libraries.keys() | here.keys())
            if stamp.libraries.get(name) != here.get(name)
        ]
        weights = session.files.model.revision
        if weights != stamp.model_revision:
            found.append(f"model {stamp.model!r} had revision {stamp.model_revision}, here it has {weights}")
        if not found and session.options_hash != stamp.options_hash:
            found.append("loras, refiner, painter version, number format or kind of device are others")
        if session.device_name != stamp.device:
            found.append(f"it was painted on {stamp.device}, here on {session.device_name}")
        return found

    def repaint(self, stamp: PictureStamp) -> bytes:
        """Return the encoded picture. Raises: as ``find_differences``; BackendFailed if nothing could be painted."""
        painter = self._painter_for(stamp)
        # All rows are filled with the one job, so that kernels add up in the same order as they did.
        painter.session.canvas.rows = stamp.batch_rows
        job = PaintJob(
            painting_id=stamp.pixels_sha256,
            text=stamp.text,
            emphasis=stamp.emphasis,
            negative=stamp.negative,
            seed=stamp.seed,
            width_px=stamp.width_px,
            height_px=stamp.height_px,
        )
        with _threads(stamp.threads):
            [result] = painter.paint([job])
        if not isinstance(result, Painted):
            raise BackendFailed(f"the picture was refused: {result.reason} {result.phrase}".rstrip())
        return result.image

    def _painter_for(self, stamp: PictureStamp) -> DiffusersPainter:
        key = hash_id(stamp.model, stamp.model_revision, stamp.options, stamp.options_hash, stamp.dtype)
        if key not in self._painters:
            # Another model takes the place of the last one: two may not fit into memory.
            self._painters = {key: self._build(stamp)}
        return self._painters[key]

    def _build(self, stamp: PictureStamp) -> DiffusersPainter:
        if stamp.is_local_model and "model" not in self._options:
            raise ConfigError(
                f"the picture was painted by the local model {stamp.model!r} (files {stamp.model_revision}); "
                "say where it lies: --model FOLDER, or repaint_from(..., model='FOLDER')"
            )
        where = {"model": stamp.model, "revision": None if stamp.is_local_model else stamp.model_revision}
        how = {"dtype": stamp.dtype, "batch_size": stamp.batch_rows, "pad_batches": True, "unsafe": "record"}
        painter = DiffusersPainter(**{**where, **stamp.options, **how, **self._options})
        painter.session.rename_model(stamp.model)
        return painter


@contextmanager
def _threads(wanted: int | None) -> Iterator[None]:
    here = torch.get_num_threads()
    torch.set_num_threads(wanted or here)
    try:
        yield
    finally:
        torch.set_num_threads(here)


def repaint_from(source: bytes | PictureStamp, must_match: bool = True, **options: Any) -> bytes:
    """Paint a picture again: the same bytes on the same weights, library versions and kind of device.

    Args:
        source: a PNG or WebP of this painter, or its stamp.
        must_match: False paints also when something differs, and says what.
        options: of ``DiffusersRepainter``.

    Raises: RecordError if the picture has no stamp, ConfigError if the weights, options or versions are others,
        BackendFailed if nothing could be painted.
    """
    stamp = read_stamp(source) if isinstance(source, bytes) else source
    repainter = DiffusersRepainter(**options)
    differences = repainter.find_differences(stamp)
    if differences and must_match:
        raise ConfigError(
            f"the picture cannot be painted again to the byte: {'; '.join(differences)}. "
            "Install what it names, or ask for a likeness with must_match=False"
        )
    for difference in differences:
        _LOG.warning("painting a likeness: %s", difference)
    return repainter.repaint(stamp)
