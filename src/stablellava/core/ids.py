"""Ids are hashes of inputs and seeds come from ids.

So any order, any machine and any resumed run give the same data.
"""

import json
from json.encoder import encode_basestring_ascii
from typing import Any

import xxhash

_SEED_BITS = 63
_ENCODER = json.JSONEncoder(sort_keys=True, ensure_ascii=True, separators=(",", ":"))


def _canonical(parts: tuple[Any, ...]) -> bytes:
    # Most parts are texts and whole numbers; setting an encoder up for them takes longer than writing them.
    written = [
        encode_basestring_ascii(part)
        if type(part) is str
        else repr(part)
        if type(part) is int
        else _ENCODER.encode(part)
        for part in parts
    ]
    return f"[{','.join(written)}]".encode()


def hash_id(*parts: Any) -> str:
    """Return 32 hex digits that depend on every part (JSON values) and on nothing else."""
    return xxhash.xxh3_128_hexdigest(_canonical(parts))


def seed_from(*parts: Any) -> int:
    """Return a seed in [0, 2**63) that depends on every part (JSON values)."""
    return xxhash.xxh3_64_intdigest(_canonical(parts)) >> (64 - _SEED_BITS)


def share_of(*parts: Any) -> float:
    """Return a number in [0, 1) from the parts; compare it with a share to split without state."""
    return float(seed_from(*parts) >> 10) / float(2 ** (_SEED_BITS - 10))
