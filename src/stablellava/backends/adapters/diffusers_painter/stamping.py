"""Writing into a picture what it was painted from."""

import hashlib
import io
import json
from functools import cache
from importlib.metadata import PackageNotFoundError, version

from PIL import Image
from PIL.PngImagePlugin import PngInfo

from stablellava.backends.picture_stamps import EXIF_DESCRIPTION, STAMP_KEY, PictureStamp

_LIBRARIES = ("diffusers", "transformers", "tokenizers", "torch", "numpy", "pillow", "peft", "accelerate")
_COMPRESS_LEVEL = 3


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
        exif[EXIF_DESCRIPTION] = text
        picture.save(stream, "WEBP", quality=webp_quality, exif=exif)
    else:
        chunks = PngInfo()
        chunks.add_text(STAMP_KEY, text)
        picture.save(stream, "PNG", compress_level=_COMPRESS_LEVEL, pnginfo=chunks)
    return stream.getvalue()
