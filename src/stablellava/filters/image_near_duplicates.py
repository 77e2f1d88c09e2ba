"""Pictures that look the same, by their 64-bit perceptual hashes.

Two hashes that differ in at most d bits agree on at least one of d + 1 pieces, so only pictures that share a
piece are compared: exact, and far from comparing each with each.
"""

from collections.abc import Iterator
from itertools import pairwise

from stablellava.store.images import hash_distance

_HASH_BITS = 64


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
