"""Pictures by content, and reading pictures that may be hostile.

A picture's name is the sha256 of its bytes, so the same picture is stored once and a changed one is noticed.
"""

import errno
import hashlib
import io
import struct
import warnings
import zlib
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from PIL import Image, UnidentifiedImageError

from stablellava.core.errors import RecordError
from stablellava.store.files import explain_disk_errors, write_atomic

MAX_PIXELS = 64_000_000
"""Larger pictures are refused from their header, before any pixel is decoded."""
_SUFFIX_OF_FORMAT = {"PNG": ".png", "JPEG": ".jpg", "WEBP": ".webp"}
_HASH_SIDE = 8
_MAX_NAME = 200
"""Characters of a name that a message shows."""


@dataclass(frozen=True)
class Picture:
    """What is known of a picture after all of it was decoded."""

    sha256: str
    width_px: int
    height_px: int
    suffix: str
    perceptual_hash: str


class PictureRefused(RecordError):
    """A picture that cannot be taken; ``reason`` is a stable identifier."""

    def __init__(self, reason: str, message: str) -> None:
        super().__init__(message)
        self.reason = reason

    def __reduce__(self) -> tuple[type["PictureRefused"], tuple[str, str]]:
        return PictureRefused, (self.reason, str(self))


def decode_picture(data: bytes, where: str, max_pixels: int = MAX_PIXELS) -> Picture:
    """Decode the whole picture and describe it.

    Raises: PictureRefused ("image_too_large", "image_truncated", "image_unreadable") naming ``where``.
    """
    try:
        with warnings.catch_warnings():
            # Our own limit is stricter than Pillow's and gives one clear message.
            warnings.simplefilter("ignore", Image.DecompressionBombWarning)
            return _decode(data, where, max_pixels)
    except (Image.DecompressionBombError, MemoryError) as exc:
        raise PictureRefused("image_too_large", f"{where}: the picture is too large to decode: {exc}") from exc
    except (OSError, SyntaxError, ValueError, EOFError, struct.error, zlib.error) as exc:
        reason, words = explain_undecodable(exc)
        raise PictureRefused(reason, f"{where}: not a whole PNG, JPEG or WebP picture: {words}") from exc


def explain_undecodable(error: Exception) -> tuple[str, str]:
    """Return the reason, and the decoder's words where they are the same in every run."""
    if isinstance(error, UnidentifiedImageError):  # names an address in memory
        return "image_unreadable", "it begins like none"
    return "image_truncated" if "trunc" in str(error).lower() else "image_unreadable", str(error)


def _decode(data: bytes, where: str, max_pixels: int) -> Picture:
    with Image.open(io.BytesIO(data), formats=tuple(_SUFFIX_OF_FORMAT)) as image:
        width, height = image.size
        if width * height > max_pixels:
            size = f"{width:,} x {height:,} pixels"
            raise PictureRefused("image_too_large", f"{where}: {size} is more than {max_pixels:,}; scale it down first")
        image.load()
        return Picture(
            sha256=hashlib.sha256(data).hexdigest(),
            width_px=width,
            height_px=height,
            suffix=_SUFFIX_OF_FORMAT[str(image.format)],
            perceptual_hash=_difference_hash(image),
        )


def _difference_hash(image: Image.Image) -> str:
    """Return 16 hex digits: is each of 8 x 8 cells darker than its right neighbour?"""
    small = image.convert("L").resize((_HASH_SIDE + 1, _HASH_SIDE), Image.Resampling.BOX)
    gray = np.asarray(small)
    return np.packbits(gray[:, 1:] > gray[:, :-1]).tobytes().hex()


def hash_distance(first: str, second: str) -> int:
    """Return in how many of 64 bits two perceptual hashes differ."""
    return (int(first, 16) ^ int(second, 16)).bit_count()


def image_path(data_dir: Path, sha256: str) -> Path:
    """Return where the picture lies below a data folder.

    Raises: RecordError if it is not there.
    """
    for suffix in _SUFFIX_OF_FORMAT.values():
        path = _path_of(data_dir, sha256, suffix)
        if path.is_file():
            return path
    raise RecordError(f"{data_dir}: picture {sha256} is missing; make the data again or copy images/ along")


def store_image(data_dir: Path, data: bytes, picture: Picture) -> None:
    """Store the bytes once, under their content's name."""
    path = _path_of(data_dir, picture.sha256, picture.suffix)
    if not path.exists():
        write_atomic(path, data)


def link_image(source_dir: Path, target_dir: Path, sha256: str) -> None:
    """Give another data folder the picture: a hard link, or a copy where the file system has none.

    Raises: RecordError if the picture is missing or the disk is full.
    """
    source = image_path(source_dir, sha256)
    target = _path_of(target_dir, sha256, source.suffix)
    if target.exists():
        return
    with explain_disk_errors(target):
        target.parent.mkdir(parents=True, exist_ok=True)
        try:
            target.hardlink_to(source)
        except OSError as exc:
            if exc.errno not in (errno.EXDEV, errno.EPERM, errno.ENOTSUP, errno.EMLINK):
                raise
            write_atomic(target, source.read_bytes())


def verify_image(data_dir: Path, sha256: str) -> None:
    """Raise RecordError unless the stored bytes are those that the name promises."""
    path = image_path(data_dir, sha256)
    found = hashlib.sha256(path.read_bytes()).hexdigest()
    if found != sha256:
        raise RecordError(f"{path}: the file was changed (its sha256 is {found}); make the data again")


def resolve_inside(folder: Path, name: str, where: str) -> Path:
    """Return the path of a file that a row names, never one outside the folder.

    Raises: PictureRefused ("image_outside_folder", "image_missing") naming ``where``.
    """
    root, shown = folder.resolve(), repr(name) if len(name) <= _MAX_NAME else f"{name[:_MAX_NAME]!r}..."
    try:
        # A NUL byte cannot be part of any path and makes the operating system's calls raise.
        path = (root / name.replace("\0", "")).resolve()
        is_file = path.is_file()
    except OSError as exc:  # too long for a name, as a picture that stands in the row itself
        raise PictureRefused("image_missing", f"{where}: image {shown} is no path ({exc.strerror})") from exc
    if not path.is_relative_to(root):
        raise PictureRefused("image_outside_folder", f"{where}: image {shown} leaves {folder}; use a path inside it")
    if not is_file:
        raise PictureRefused("image_missing", f"{where}: image {shown} is not in {folder}")
    return path


def read_picture(path: Path, where: str, max_bytes: int = 256_000_000) -> tuple[bytes, Picture]:
    """Read and decode a file. Raises: PictureRefused as ``decode_picture``."""
    try:
        if path.stat().st_size > max_bytes:
            raise PictureRefused("image_too_large", f"{where}: {path.name} is larger than {max_bytes:,} bytes")
        data = path.read_bytes()
    except OSError as exc:
        raise PictureRefused("image_unreadable", f"{where}: {path.name} cannot be read: {exc.strerror}") from exc
    return data, decode_picture(data, where)


def _path_of(data_dir: Path, sha256: str, suffix: str) -> Path:
    return data_dir / "images" / sha256[:2] / (sha256 + suffix)
