"""Which samples a stage measures its loss on, and which it may then learn from."""

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from stablellava.core.errors import ConfigError
from stablellava.core.ids import share_of
from stablellava.training.encoded_samples import EncodedSamples


def split_held_out(encoded: EncodedSamples, num_held_out: int) -> tuple[list[int], NDArray[np.int64]]:
    """Return the samples to measure on, chosen by their ids alone, and those to learn from.

    A sample that stands in the data more than once, as by two sources, is not learned from if one of it is measured
    on; nor is another dialogue of one id about the same pictures, as LLaVA's mixtures have them.

    Raises: ConfigError if nothing is left to learn from.
    """
    if not num_held_out:
        return [], np.arange(len(encoded))
    order = sorted(range(len(encoded)), key=lambda index: share_of(encoded.example_ids[index], "held out of training"))
    held_out = order[:num_held_out]
    is_taught = np.ones(len(encoded), dtype=np.bool_)
    is_taught[held_out + _find_others_of(encoded, held_out)] = False
    if not is_taught.any():
        raise ConfigError(
            f"training.watch.held_out_samples={num_held_out}: there are {len(encoded)} samples, and some have to be "
            "left to learn from"
        )
    return held_out, np.flatnonzero(is_taught)


def _find_others_of(encoded: EncodedSamples, held_out: Sequence[int]) -> list[int]:
    """Return what shares its id with a sample that is held out, and its pictures or its words."""
    ids = {encoded.example_ids[index] for index in held_out}
    shown = {(encoded.example_ids[index], encoded.images[index]) for index in held_out if encoded.images[index]}
    said = {(encoded.example_ids[index], encoded[index].token_ids.tobytes()) for index in held_out}
    return [
        index
        for index, name in enumerate(encoded.example_ids)
        if name in ids
        and ((name, encoded.images[index]) in shown or (name, encoded[index].token_ids.tobytes()) in said)
    ]
