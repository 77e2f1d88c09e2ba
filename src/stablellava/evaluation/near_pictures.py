"""Pictures that look the same: a perceptual hash proposes, a thumbnail decides.

Hashes alone would raise false alarms: pictures that share a backdrop share most of their bits.
"""

import functools
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from stablellava.store.images import image_path, read_picture

_MAX_HASH_DISTANCE = 12
"""Of 64 bits."""
_MAX_DIFFERENCE = 6.0
"""Mean difference of thumbnails, of 255: below it, pictures are re-encoded or resized forms of one."""
_THUMBNAIL_PX = 16
_PAIRS_AT_ONCE = 1 << 22


def find_near_pictures(asked: Mapping[str, Path], trained: Mapping[str, str], data_dir: Path) -> dict[str, str]:
    """Return the most similar training picture of each asked one that has a look-alike.

    ``asked`` are files by name, ``trained`` perceptual hashes by sha256 of the pictures in ``data_dir``.

    Raises: RecordError for a picture that cannot be read.
    """
    if not asked or not trained:
        return {}
    own_hashes = [read_picture(path, where=name)[1].perceptual_hash for name, path in asked.items()]
    digests = sorted(trained)
    names = list(asked)
    thumbnail = functools.cache(_thumbnail)
    best: dict[str, tuple[float, str]] = {}
    for own, other in _close_pairs(own_hashes, [trained[digest] for digest in digests]):
        name, digest = names[own], digests[other]
        difference = float(np.abs(thumbnail(asked[name]) - thumbnail(image_path(data_dir, digest))).mean())
        if difference <= _MAX_DIFFERENCE:
            best[name] = min(best.get(name, (difference, digest)), (difference, digest))
    return {name: digest for name, (_, digest) in best.items()}


def _close_pairs(first: Sequence[str], second: Sequence[str]) -> Iterator[tuple[int, int]]:
    """Yield the places of hashes that differ in few bits."""
    own, others = (np.array([int(digits, 16) for digits in hashes], dtype=np.uint64) for hashes in (first, second))
    chunk = max(1, _PAIRS_AT_ONCE // len(others))
    for start in range(0, len(own), chunk):
        distances = np.bitwise_count(own[start : start + chunk, None] ^ others[None, :])
        for row, column in zip(*np.nonzero(distances <= _MAX_HASH_DISTANCE), strict=True):
            yield start + int(row), int(column)


def _thumbnail(path: Path) -> NDArray[np.int16]:
    with Image.open(path) as image:
        small = image.convert("RGB").resize((_THUMBNAIL_PX, _THUMBNAIL_PX), Image.Resampling.BOX)
    return np.asarray(small, dtype=np.int16)
