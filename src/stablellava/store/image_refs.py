"""Pictures by reference: a file, or bytes inside an archive; opened only when they are needed."""

import io
import struct
import zlib
from typing import Protocol

from PIL import Image

from stablellava.store.images import MAX_PIXELS, PictureRefused, explain_undecodable

READ_FORMATS = ("PNG", "JPEG", "WEBP", "GIF", "BMP", "TIFF")
"""What is told by the file's content; published datasets hold GIF and PNG files named .jpg."""


class ImageRef(Protocol):
    """A picture that can be read; a ``Path`` is one. Equal references are the same picture."""

    @property
    def name(self) -> str:
        """A short name for messages."""
        ...

    def read_bytes(self) -> bytes: ...
    def __hash__(self) -> int: ...


def load_rgb(image: ImageRef) -> Image.Image:
    """Return the picture as RGB: the first frame of an animation, transparency left out, as LLaVA reads it.

    Raises: PictureRefused (a RecordError) if it is missing, broken or has more than MAX_PIXELS pixels.
    """
    return decode_rgb(read_encoded(image), f"image {image}")


def decode_rgb(data: bytes, where: str) -> Image.Image:
    """Decode the whole picture.

    Raises: PictureRefused ("image_too_large", "image_truncated", "image_unreadable") naming ``where``.
    """
    try:
        with Image.open(io.BytesIO(data), formats=READ_FORMATS) as opened:
            width, height = opened.size
            if width * height > MAX_PIXELS:
                message = f"{where}: {width:,} x {height:,} pixels is more than {MAX_PIXELS:,}; scale it down first"
                raise PictureRefused("image_too_large", message)
            return _to_rgb(opened)
    except (Image.DecompressionBombError, Image.DecompressionBombWarning, MemoryError) as exc:
        raise PictureRefused("image_too_large", f"{where}: too large to decode: {exc}") from exc
    except (OSError, SyntaxError, ValueError, EOFError, struct.error, zlib.error) as exc:
        reason, words = explain_undecodable(exc)
        raise PictureRefused(reason, f"{where} cannot be read as {', '.join(READ_FORMATS)}: {words}") from exc


def _to_rgb(opened: Image.Image) -> Image.Image:
    if opened.mode.startswith("I"):
        # Sixteen bits: conversion would clip all but the darkest 256 of 65,536 levels.
        opened.load()
        return opened.point(lambda value: value / 256).convert("L").convert("RGB")
    if opened.mode == "P" and "transparency" in opened.info:
        # In one step, Pillow warns; filters for warnings are not safe to change where threads decode.
        return opened.convert("RGBA").convert("RGB")
    return opened.convert("RGB")


def read_encoded(image: ImageRef) -> bytes:
    """Return the picture's bytes as they are stored.

    Raises: PictureRefused ("image_missing", "image_unreadable").
    """
    try:
        return image.read_bytes()
    except FileNotFoundError as exc:
        raise PictureRefused("image_missing", f"image {image} cannot be read: it is not there any more") from exc
    except OSError as exc:
        raise PictureRefused("image_unreadable", f"image {image} cannot be read: {exc.strerror}") from exc
