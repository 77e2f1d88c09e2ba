"""Pictures that look the same: a 64-bit perceptual hash proposes, a thumbnail decides.

Two hashes that differ in at most d bits agree on at least one of d + 1 pieces, so only pictures that share a
piece are compared: exact, and far from comparing each with each. Hashes alone would raise false alarms, since
drawn pictures share their backdrops.
"""

from collections.abc import Iterator
from functools import lru_cache
from itertools import pairwise
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from stablellava.store.images import hash_distance

_HASH_BITS = 64
_MAX_HASH_DISTANCE = 12
_MAX_DIFFERENCE = 6.0
"""Of 255. Re-encoded and resized pictures stay below 4.1, different drawn ones above 9 (design/LOG.md)."""
_THUMBNAIL_PX = 16

Thumbnail = NDArray[np.uint8]


class LookAlikes:
    """Pictures on disk by name, to be found again after re-encoding and resizing; read only when hashes are close."""

    def __init__(self) -> None:
        self._hashes = HashIndex(_MAX_HASH_DISTANCE)
        self._paths: dict[str, Path] = {}

    def __len__(self) -> int:
        return len(self._paths)

    def add(self, name: str, perceptual_hash: str, path: Path) -> None:
        """Remember a picture."""
        self._hashes.add(perceptual_hash, name)
        self._paths[name] = path

    def find(self, perceptual_hash: str, path: Path) -> tuple[str, float] | None:
        """Return the picture that looks the same and is most like this one, and how far they differ (0 to 255)."""
        proposed = [name for name, _ in self._hashes.find(perceptual_hash)]
        if not proposed:
            return None
        own = _shrink(path).astype(np.int16)
        difference, name = min((float(np.abs(own - _shrink(self._paths[name])).mean()), name) for name in proposed)
        return (name, difference) if difference <= _MAX_DIFFERENCE else None


class HashIndex:
    """Perceptual hashes by the names of their pictures.

    Args:
        max_distance: hashes that differ in at most so many of 64 bits are found, below 32.
    """

    def __init__(self, max_distance: int) -> None:
        if not 0 <= max_distance < _HASH_BITS // 2:
            raise ValueError(f"max_distance must be between 0 and 31, got {max_distance}")
        self._max_distance = max_distance
        self._pieces: dict[tuple[int, int], list[tuple[str, str]]] = {}
        self._bounds = _split_bits(max_distance + 1)

    def add(self, perceptual_hash: str, name: str) -> None:
        """Remember a picture."""
        for key in self._keys(perceptual_hash):
            self._pieces.setdefault(key, []).append((perceptual_hash, name))

    def find(self, perceptual_hash: str) -> Iterator[tuple[str, int]]:
        """Yield each remembered picture within the distance once, with its distance, in the order of adding."""
        found: dict[str, int] = {}
        for key in self._keys(perceptual_hash):
            for other, name in self._pieces.get(key, ()):
                if name not in found and (distance := hash_distance(perceptual_hash, other)) <= self._max_distance:
                    found[name] = distance
        yield from found.items()

    def _keys(self, perceptual_hash: str) -> Iterator[tuple[int, int]]:
        bits = int(perceptual_hash, 16)
        for piece, (start, width) in enumerate(self._bounds):
            yield piece, (bits >> start) & ((1 << width) - 1)


def _split_bits(num_pieces: int) -> tuple[tuple[int, int], ...]:
    """Return (start, width) of pieces that cover all bits as evenly as can be."""
    edges = [_HASH_BITS * piece // num_pieces for piece in range(num_pieces + 1)]
    return tuple((start, end - start) for start, end in pairwise(edges))


@lru_cache(maxsize=65_536)
def _shrink(path: Path) -> Thumbnail:
    with Image.open(path) as image:
        return np.asarray(image.convert("RGB").resize((_THUMBNAIL_PX, _THUMBNAIL_PX), Image.Resampling.BOX))
