"""What a picture was painted from, inside the picture: a PNG text chunk, or the EXIF description of a WebP."""

import io
from typing import Any, Literal

from PIL import Image

from stablellava.core.errors import RecordError
from stablellava.core.record import Record

STAMP_KEY = "stablellava"
EXIF_DESCRIPTION = 0x010E
_NO_STAMP = (
    "only a PNG or WebP that painter 'diffusers' painted, byte for byte as it was, can be painted again by itself; "
    "others by what their run says: --run DIR --sample ID"
)


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
    threads: int | None = None
    """On a CPU: they too decide over the last bits."""
    dtype: str
    libraries: dict[str, str]
    safety: Literal["passed", "flagged", "not_checked"]
    pixels_sha256: str
    """Over the RGB bytes before encoding, row by row."""


def has_stamp(image: bytes) -> bool:
    """Tell whether there is a stamp inside."""
    return bool(_find_text(image))


def read_stamp(image: bytes, where: str = "the picture") -> PictureStamp:
    """Return the stamp inside a PNG or WebP.

    Raises: RecordError naming ``where`` if there is none, or it is of another version.
    """
    text = _find_text(image)
    if not text:
        raise RecordError(f"{where} holds no stamp; {_NO_STAMP}")
    return PictureStamp.from_json(text, f"stamp of {where}")


def _find_text(image: bytes) -> str:
    try:
        with Image.open(io.BytesIO(image), formats=("PNG", "WEBP")) as picture:
            return str(picture.info.get(STAMP_KEY) or picture.getexif().get(EXIF_DESCRIPTION) or "")
    except (OSError, SyntaxError, ValueError):  # what is no whole picture holds no stamp either
        return ""
