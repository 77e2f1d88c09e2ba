"""Pictures small enough to stand inside a page."""

import base64
import io
from pathlib import Path

from PIL import Image

from stablellava.core.errors import RecordError
from stablellava.store.images import decode_picture

MAX_SIDE_PX = 224
_QUALITY = 72


def to_data_uri(data: bytes, where: str, max_side_px: int = MAX_SIDE_PX) -> str:
    """Return the picture as a WebP data URI.

    Raises: RecordError if the picture cannot be decoded.
    """
    decode_picture(data, where)
    with Image.open(io.BytesIO(data)) as image:
        small = image.convert("RGB")
    small.thumbnail((max_side_px, max_side_px), Image.Resampling.LANCZOS)
    buffer = io.BytesIO()
    small.save(buffer, "WEBP", quality=_QUALITY, method=4)
    return "data:image/webp;base64," + base64.b64encode(buffer.getvalue()).decode("ascii")


def read_data_uri(path: Path) -> str:
    """Return the picture of a file, or an empty string if it is gone or damaged; the page then says so."""
    try:
        return to_data_uri(path.read_bytes(), path.name)
    except (OSError, RecordError):
        return ""
