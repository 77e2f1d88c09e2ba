"""Painting pictures again: from the stamps inside them, or, in a run, from their drafts and seeds."""

import io
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from stablellava.backends.catalog import build_backend
from stablellava.backends.picture_stamps import PictureStamp, has_stamp, read_stamp
from stablellava.backends.protocols import Painter, Repainter
from stablellava.config.synthesis import SynthesisSettings
from stablellava.core.errors import BackendFailed, ConfigError, RecordError
from stablellava.core.record import Record
from stablellava.core.sample import PaintJob, PaintRefusal, Sample
from stablellava.store.files import write_atomic
from stablellava.store.images import decode_picture, image_path
from stablellava.store.shards import read_samples
from stablellava.synthesis.painting import build_painter

_REPAINTER = "diffusers"
_PLACES = ("model", "revision", "variant", "loras", "refiner", "refiner_revision", "device", "devices")
"""Options of a run's painter that say where its weights lie."""


@dataclass(frozen=True)
class Original:
    """A picture to paint again; ``job`` is what a run painted it from, for painters that write no stamp."""

    name: str
    path: Path
    image: bytes
    job: PaintJob | None = None


class Repainted(Record):
    """What became of one picture."""

    name: str
    source: str
    painted_from: str
    """"stamp" or "draft"."""
    model: str
    model_revision: str
    settings: dict[str, Any]
    differences: tuple[str, ...]
    """What is not as it was when the picture was painted."""
    is_same: bool
    """To the byte."""
    largest_difference: int
    """Of a color value, 0 to 255; 255 where the sizes differ."""
    differing_share: float
    """Of all color values."""
    out: str
    """Empty: nothing was written."""


def read_originals(paths: Sequence[Path]) -> list[Original]:
    """Return pictures that carry a stamp. Raises: RecordError naming the first file without one."""
    originals = []
    for path in paths:
        if not path.is_file():
            raise RecordError(f"{path}: no such file; name a PNG or WebP that painter 'diffusers' painted")
        original = Original(path.name, path, path.read_bytes())
        read_stamp(original.image, str(path))
        decode_picture(original.image, str(path))
        originals.append(original)
    return originals


def find_originals(data_dir: Path, sample_id: str) -> list[Original]:
    """Return the pictures of a run's sample; the start of its id is enough.

    Raises: RecordError if there is no such sample, or more than one.
    """
    found = [sample for sample in read_samples(data_dir) if sample.sample_id.startswith(sample_id)]
    if len(found) != 1:
        what = f"{len(found)} samples begin with {sample_id!r}" if found else f"no sample {sample_id!r} in {data_dir}"
        raise RecordError(f"{what}; 'stablellava inspect samples' shows whole ids")
    (sample,) = found
    return [_original_of(sample, index, data_dir) for index in range(len(sample.paintings))]


def places_of(settings: SynthesisSettings) -> dict[str, Any]:
    """Return where the weights of a run's `diffusers` painter lie; nothing for other painters."""
    if settings.painter is None or settings.painter.backend != _REPAINTER:
        return {}
    return {name: value for name, value in settings.painter.options.items() if name in _PLACES}


class Repainting:
    """Paints again with backends that are built when the first picture needs them.

    Args:
        options: of the repainter: where weights lie here.
        settings: of the run that pictures without a stamp come from.
        out_dir: where the new pictures go; None writes nothing.
        must_match: refuse, before painting, what cannot give the same bytes.

    Raises: ConfigError, BackendMissing, BackendFailed, RecordError.
    """

    def __init__(
        self,
        options: Mapping[str, Any],
        settings: SynthesisSettings | None = None,
        out_dir: Path | None = None,
        must_match: bool = False,
    ) -> None:
        self._options = options
        self._settings = settings
        self._out_dir = out_dir
        self._must_match = must_match

    def paint(self, originals: Sequence[Original]) -> Iterator[Repainted]:
        """Yield one report per picture, in their order, as soon as it is painted."""
        targets = [self._target_of(original) for original in originals]
        twice = {str(path) for path in targets if path is not None and targets.count(path) > 1}
        if twice:
            raise ConfigError(
                f"several pictures would be written to {min(twice)}; paint them into folders of their own"
            )
        for original, target in zip(originals, targets, strict=True):
            yield self._paint_one(original, target)

    def _paint_one(self, original: Original, target: Path | None) -> Repainted:
        if has_stamp(original.image):
            stamp = read_stamp(original.image, str(original.path))
            differences = self._repainter.find_differences(stamp)
            if differences and self._must_match:
                raise ConfigError(f"{original.path} cannot be painted again to the byte: {'; '.join(differences)}")
            image = self._repainter.repaint(stamp)
            origin: dict[str, Any] = {
                "painted_from": "stamp", "model": stamp.model, "model_revision": stamp.model_revision,
                "settings": _settings_of(stamp), "differences": tuple(differences),
            }  # fmt: skip
        else:
            image, origin = self._paint_from_draft(original)
        if target:
            write_atomic(target, image)
        largest, share = _compare(original.image, image)
        return Repainted(
            name=original.name, source=str(original.path), is_same=image == original.image,
            largest_difference=largest, differing_share=share, out=str(target or ""), **origin,
        )  # fmt: skip

    def _paint_from_draft(self, original: Original) -> tuple[bytes, dict[str, Any]]:
        job = original.job
        if job is None:
            raise RecordError(
                f"{original.path} holds no stamp, and no run that was named says what it was painted from"
            )
        painter = self._painter
        (result,) = painter.paint([job])
        if isinstance(result, PaintRefusal):
            raise BackendFailed(
                f"painter {painter.name!r} refused {job.text!r}: {result.reason} {result.phrase}".rstrip()
            )
        settings = {"seed": job.seed, "size": f"{job.width_px} x {job.height_px}", "prompt": job.text}
        stamp = result.stamp
        return result.image, {
            "painted_from": "draft", "model": stamp.model or painter.name, "model_revision": painter.revision,
            "settings": settings, "differences": (),
        }  # fmt: skip

    def _target_of(self, original: Original) -> Path | None:
        target = self._out_dir / original.path.name if self._out_dir else None
        if target and target.resolve() == original.path.resolve():
            raise ConfigError(f"--out {self._out_dir} is where {original.name} lies; name another folder")
        return target

    @cached_property
    def _repainter(self) -> Repainter:
        built: Repainter = build_backend("repainter", _REPAINTER, self._options)
        return built

    @cached_property
    def _painter(self) -> Painter:
        painter = build_painter(self._settings) if self._settings else None
        if painter is None:
            raise ConfigError("the run has no painter; its pictures cannot be painted again")
        return painter


def _original_of(sample: Sample, index: int, data_dir: Path) -> Original:
    painting, prompts = sample.paintings[index], sample.draft.prompts
    path = image_path(data_dir, painting.sha256)
    name = f"{sample.sample_id}/{index}"
    if not prompts:  # imported with its picture
        return Original(name, path, path.read_bytes())
    prompt = prompts[index]
    job = PaintJob(
        painting_id=painting.painting_id,
        text=prompt.text,
        emphasis=prompt.emphasis,
        negative=prompt.negative,
        seed=painting.seed,
        width_px=painting.width_px,
        height_px=painting.height_px,
    )
    return Original(name, path, path.read_bytes(), job)


def _settings_of(stamp: PictureStamp) -> dict[str, Any]:
    return {
        "pipeline": stamp.pipeline,
        "scheduler": stamp.scheduler,
        "steps": stamp.steps,
        "guidance": stamp.guidance,
        "size": f"{stamp.width_px} x {stamp.height_px}",
        "seed": stamp.seed,
        "batch": stamp.batch_rows,
        "device": f"{stamp.device} ({stamp.threads} threads)" if stamp.threads else stamp.device,
        "dtype": stamp.dtype,
        "prompt": stamp.text,
    }


def _compare(first: bytes, second: bytes) -> tuple[int, float]:
    """Return the largest difference of a color value and the share of values that differ."""
    own, other = _decode(first), _decode(second)
    if own.shape != other.shape:
        return 255, 1.0
    differences = np.abs(own - other)
    return int(differences.max()), float((differences > 0).mean())


def _decode(image: bytes) -> NDArray[np.int16]:
    with Image.open(io.BytesIO(image)) as picture:
        return np.asarray(picture.convert("RGB"), dtype=np.int16)
