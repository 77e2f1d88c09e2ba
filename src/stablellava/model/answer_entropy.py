"""Cross-entropy over a large vocabulary that turns the logits into their own gradient.

The library's keeps logits, their logarithm and a gradient: three times positions x vocabulary, most of a step's memory
where the vocabulary is large. Here one buffer is each of them in turn, a piece at a time while it is in the cache.
Shape legend: S positions, V vocabulary.
"""

from typing import Any

import torch

_PIECE_BYTES = 1 << 20
"""Pieces of this size stay in a core's cache from the first pass over them to the last; a GPU takes all at once."""


class SummedEntropy(torch.autograd.Function):
    """Summed cross-entropy; the float32 logits that it is given are used up and must not be read again."""

    @staticmethod
    def forward(ctx: Any, logits_SV: torch.Tensor, targets_S: torch.Tensor) -> torch.Tensor:
        """Return the sum over all positions."""
        scratch_SV = logits_SV.detach()
        losses_S = torch.empty_like(scratch_SV[:, 0])
        row_bytes = scratch_SV.shape[1] * scratch_SV.element_size()
        num_rows = max(_PIECE_BYTES // row_bytes, 1) if scratch_SV.device.type == "cpu" else max(len(scratch_SV), 1)
        for start in range(0, len(scratch_SV), num_rows):
            piece = slice(start, start + num_rows)
            losses_S[piece] = _to_gradient(scratch_SV[piece], targets_S[piece])
        ctx.gradient_SV = scratch_SV
        return losses_S.sum()

    @staticmethod
    def backward(ctx: Any, *upstream: torch.Tensor) -> tuple[torch.Tensor, None]:
        """Return the gradient of the logits, in the buffer that they stood in."""
        gradient_SV: torch.Tensor = ctx.gradient_SV.mul_(upstream[0])
        del ctx.gradient_SV
        return gradient_SV, None


def _to_gradient(logits_SV: torch.Tensor, targets_S: torch.Tensor) -> torch.Tensor:
    """Return each position's loss and leave the gradient of their sum in place of the logits."""
    chosen_S1 = targets_S.unsqueeze(1)
    logits_SV -= logits_SV.amax(1, keepdim=True)
    said_S1 = logits_SV.gather(1, chosen_S1)
    total_S1 = logits_SV.exp_().sum(1, keepdim=True)
    logits_SV /= total_S1
    logits_SV.scatter_add_(1, chosen_S1, torch.full_like(said_S1, -1.0))
    return (total_S1.log() - said_S1).squeeze(1)


def sum_entropy(logits_SV: torch.Tensor, targets_S: torch.Tensor) -> torch.Tensor:
    """Return the summed cross-entropy of logits that nobody else reads: for a gradient, they are used up.

    Shapes: [S, V], [S] -> scalar.
    """
    if not (torch.is_grad_enabled() and logits_SV.requires_grad):
        return torch.nn.functional.cross_entropy(logits_SV, targets_S, reduction="sum")
    entropy: torch.Tensor = SummedEntropy.apply(logits_SV, targets_S)  # type: ignore[no-untyped-call]
    return entropy
