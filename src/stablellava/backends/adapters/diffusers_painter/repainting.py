"""Painting a picture again from what is written inside it."""

import logging
from typing import Any

from stablellava.backends.adapters.diffusers_painter.painter import DiffusersPainter
from stablellava.backends.adapters.diffusers_painter.stamping import PictureStamp, library_versions, read_stamp
from stablellava.core.errors import BackendFailed, ConfigError
from stablellava.core.sample import Painted, PaintJob

_LOG = logging.getLogger(__name__)


def repaint_from(source: bytes | PictureStamp, must_match: bool = True, **options: Any) -> bytes:
    """Paint a picture again: the same bytes on the same weights, library versions and kind of device.

    Args:
        source: a PNG or WebP of this painter, or its stamp.
        must_match: False paints also when something differs, and says what.
        options: where things lie here, in the painter's own words: ``model`` is needed for a local model, ``loras``
            and ``refiner`` if they were used.

    Raises: RecordError if the picture has no stamp, ConfigError if the weights, options or versions are others,
        BackendFailed if nothing could be painted.
    """
    stamp = read_stamp(source) if isinstance(source, bytes) else source
    painter = _build(stamp, options)
    differences = find_differences(stamp, painter)
    if differences and must_match:
        raise ConfigError(
            f"the picture cannot be painted again to the byte: {'; '.join(differences)}. "
            "Install what it names, or ask for a likeness with must_match=False"
        )
    for difference in differences:
        _LOG.warning("painting a likeness: %s", difference)
    job = PaintJob(
        painting_id=stamp.pixels_sha256,
        text=stamp.text,
        emphasis=stamp.emphasis,
        negative=stamp.negative,
        seed=stamp.seed,
        width_px=stamp.width_px,
        height_px=stamp.height_px,
    )
    [result] = painter.paint([job])
    if not isinstance(result, Painted):
        raise BackendFailed(f"the picture was refused: {result.reason} {result.phrase}".rstrip())
    return result.image


def find_differences(stamp: PictureStamp, painter: DiffusersPainter) -> list[str]:
    """Return, in words, what would make the painter's bytes differ from those of the stamped picture."""
    here = library_versions()
    names = sorted(stamp.libraries.keys() | here.keys())
    found = [
        f"{name} was {stamp.libraries.get(name, 'absent')}, here it is {here.get(name, 'absent')}"
        for name in names
        if stamp.libraries.get(name) != here.get(name)
    ]
    weights = painter.session.files.model.revision
    if weights != stamp.model_revision:
        found.append(f"model {stamp.model!r} had revision {stamp.model_revision}, here it has {weights}")
    if not found and painter.session.options_hash != stamp.options_hash:
        found.append("loras, refiner, painter version, number format or kind of device are others")
    if painter.session.device_name != stamp.device:
        found.append(f"it was painted on {stamp.device}, here on {painter.session.device_name}")
    return found


def _build(stamp: PictureStamp, options: dict[str, Any]) -> DiffusersPainter:
    if stamp.is_local_model and "model" not in options:
        raise ConfigError(
            f"the picture was painted by the local model {stamp.model!r} (files {stamp.model_revision}); "
            "say where it lies: repaint_from(..., model='FOLDER')"
        )
    where = {"model": stamp.model, "revision": None if stamp.is_local_model else stamp.model_revision}
    # All rows are filled with the one job, so that kernels add up in the same order as they did.
    how = {"dtype": stamp.dtype, "batch_size": stamp.batch_rows, "pad_batches": True, "unsafe": "record"}
    painter = DiffusersPainter(**{**where, **stamp.options, **how, **options})
    painter.session.rename_model(stamp.model)
    return painter
