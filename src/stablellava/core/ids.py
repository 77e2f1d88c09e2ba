"""Ids are hashes of inputs and seeds come from ids.

So any order, any machine and any resumed run give the same data.
"""

import json
from typing import Any

import xxhash

_SEED_BITS = 63


def _canonical(parts: tuple[Any, ...]) -> bytes:
    return json.dumps(parts, sort_keys=True, ensure_ascii=True, separators=(",", ":")).encode()


def hash_id(*parts: Any) -> str:
    """Return 32 hex digits that depend on every part (JSON values) and on nothing else."""
    return xxhash.xxh3_128_hexdigest(_canonical(parts))


def seed_from(*parts: Any) -> int:
    """Return a seed in [0, 2**63) that depends on every part (JSON values)."""
    return xxhash.xxh3_64_intdigest(_canonical(parts)) >> (64 - _SEED_BITS)


def share_of(*parts: Any) -> float:
    """Return a number in [0, 1) from the parts; compare it with a share to split without state."""
    return float(seed_from(*parts) >> 10) / float(2 ** (_SEED_BITS - 10))
