"""Attention over several samples in one row, each seeing only itself.

A mask over the whole row would compute, and throw away, what samples say to each other; a causal
pass per sample computes nothing else and equals the pass that the sample would have had alone.
Shape legend: B batch (1 here), H heads, L row length, D head width.
"""

from collections.abc import Sequence
from typing import Any

import torch
from torch import nn
from transformers import AttentionInterface
from transformers.integrations.sdpa_attention import sdpa_attention_forward

SEGMENTS = "stablellava_segments"
"""The name under which transformers' models find this attention."""
_UNSUPPORTED = ("softcap", "s_aux", "position_bias")


def attend_within_segments(
    module: nn.Module,
    query: torch.Tensor,
    key: torch.Tensor,
    value: torch.Tensor,
    attention_mask: torch.Tensor | None,
    segment_lengths: Sequence[int] | None = None,
    sliding_window: int | None = None,
    **options: Any,
) -> tuple[torch.Tensor, None]:
    """Run the library's attention on each segment of a row; without segments, on every row as one.

    Shapes: query, key and value [B, H, L, D] -> [B, L, H, D].
    Raises: ValueError if the model's attention needs what a causal pass does not have.
    """
    for name in _UNSUPPORTED:
        if options.get(name) is not None:
            raise ValueError(f"{type(module).__name__} attends with {name}: set training.speed.attention=block_mask")
    lengths = list(segment_lengths) if segment_lengths is not None else [query.shape[2]]
    segments = zip(*(torch.split(part, lengths, dim=2) for part in (query, key, value)), strict=True)
    attended = [
        sdpa_attention_forward(module, queries, keys, values, _window_mask(queries, sliding_window), **options)[0]
        for queries, keys, values in segments
    ]
    return (attended[0] if len(attended) == 1 else torch.cat(attended, dim=1)), None


def _window_mask(query: torch.Tensor, window: int | None) -> torch.Tensor | None:
    """Return who sees whom where a model looks back only so far; None where that is everyone before."""
    length = query.shape[2]
    if window is None or length <= window:
        return None
    place = torch.arange(length, device=query.device)
    back = place[:, None] - place[None, :]
    return (back >= 0) & (back < window)


AttentionInterface.register(SEGMENTS, attend_within_segments)
