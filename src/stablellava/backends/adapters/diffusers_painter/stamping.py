"""What a picture was painted from, inside the picture: a PNG text chunk, or the EXIF description of a WebP."""

import hashlib
import io
import json
from functools import cache
from importlib.metadata import PackageNotFoundError, version
from typing import Any, Literal

from PIL import Image
from PIL.PngImagePlugin import PngInfo

from stablellava.core.errors import RecordError
from stablellava.core.record import Record

STAMP_KEY = "stablellava"
_EXIF_DESCRIPTION = 0x010E
_LIBRARIES = ("diffusers", "transformers", "tokenizers", "torch", "numpy", "pillow", "peft", "accelerate")
_COMPRESS_LEVEL = 3


class PictureStamp(Record):
    """All that is needed to paint a picture again, and to see that it is the same. Holds no time and no path."""

    schema_version: Literal[1] = 1
    text: str
    emphasis: tuple[tuple[str, float], ...]
    negative: str
    seed: int
    width_px: int
    height_px: int
    painted_width_px: int
    painted_height_px: int
    """Before scaling to the size asked for."""
    model: str
    model_revision: str
    is_local_model: bool
    pipeline: str
    scheduler: str
    steps: int | None
    guidance: float | None
    text_mode: str
    """"weighted embeddings" or "plain words"."""
    options: dict[str, Any]
    """Options that were given, without those that say where things lie."""
    options_hash: str
    """Over all options that shape a picture, resolved, with the hashes of LoRAs and refiner."""
    batch_rows: int
    """Pictures painted at once. Decides over the last bits, so painting again needs it."""
    device: str
    dtype: str
    libraries: dict[str, str]
    safety: Literal["passed", "flagged", "not_checked"]
    pixels_sha256: str
    """Over the RGB bytes before encoding, row by row."""


@cache
def library_versions() -> dict[str, str]:
    """Return the versions of what turns a prompt into bytes."""
    found = {}
    for name in _LIBRARIES:
        try:
            found[name] = version(name)
        except PackageNotFoundError:
            continue
    return found


def hash_pixels(picture: Image.Image) -> str:
    """Return the sha256 of the picture's RGB bytes."""
    return hashlib.sha256(picture.tobytes()).hexdigest()


def encode_picture(picture: Image.Image, stamp: PictureStamp, image_format: str, webp_quality: int) -> bytes:
    """Return the picture as PNG or WebP with its stamp inside; the same input gives the same bytes."""
    text = json.dumps(stamp.model_dump(mode="json"), sort_keys=True, separators=(",", ":"))
    stream = io.BytesIO()
    if image_format == "webp":
        exif = Image.Exif()
        exif[_EXIF_DESCRIPTION] = text
        picture.save(stream, "WEBP", quality=webp_quality, exif=exif)
    else:
        chunks = PngInfo()
        chunks.add_text(STAMP_KEY, text)
        picture.save(stream, "PNG", compress_level=_COMPRESS_LEVEL, pnginfo=chunks)
    return stream.getvalue()


def read_stamp(image: bytes) -> PictureStamp:
    """Return the stamp inside a PNG or WebP.

    Raises: RecordError if there is none, or it is of another version.
    """
    with Image.open(io.BytesIO(image), formats=("PNG", "WEBP")) as picture:
        text = picture.info.get(STAMP_KEY) or picture.getexif().get(_EXIF_DESCRIPTION)
    if not text:
        raise RecordError("the picture holds no stamp; only pictures of painter 'diffusers' can be painted again")
    return PictureStamp.from_json(text, "stamp of the picture")
