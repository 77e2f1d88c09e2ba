"""How likely given texts are as answers: the likelihood form of multiple choice.

Every item is computed by itself, its prompt once for all its options, so a loss never depends on other items.

Shape legend: K options, L tokens of the longest option, E width, V vocabulary.
"""

from collections.abc import Sequence

import torch
from torch import nn

from stablellava.core.errors import RecordError
from stablellava.model.generating import GreedyDecoder, Prompt


@torch.inference_mode()
def option_losses(decoder: GreedyDecoder, prompt: Prompt, completed: Sequence[Sequence[int]]) -> tuple[float, ...]:
    """Return the mean loss per token of each option; ``completed`` are the ids of prompt and option.

    Raises: RecordError if an option adds no token to the prompt.
    """
    starts = [_count_shared(prompt.token_ids, ids) for ids in completed]
    if any(start == len(ids) for start, ids in zip(starts, completed, strict=True)):
        raise RecordError("an option without a letter or digit has no likelihood; leave it out")
    # The last shared token is fed with the options: what follows it is the first thing that is scored.
    shared = min(starts) - 1
    rows = decoder.start([Prompt(prompt.token_ids[:shared], prompt.images)])
    rows.select([0] * len(completed))
    tails = [ids[shared:-1] for ids in completed]
    hidden_KLE = decoder.extend(rows, tails).hidden
    losses = []
    for place, (start, ids) in enumerate(zip(starts, completed, strict=True)):
        answer = torch.tensor(ids[start:], device=hidden_KLE.device)
        logits_LV = decoder.logits(hidden_KLE[place, -len(answer) :])
        losses.append(float(nn.functional.cross_entropy(logits_LV, answer)))
    return tuple(losses)


def _count_shared(first: Sequence[int], second: Sequence[int]) -> int:
    for place, (one, other) in enumerate(zip(first, second, strict=False)):
        if one != other:
            return place
    return min(len(first), len(second))
