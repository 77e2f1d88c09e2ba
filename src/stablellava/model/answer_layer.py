"""The last layer, computed only where an answer's token is predicted.

Nothing reads what the last layer makes of a picture's or a question's tokens; the answers' positions
still attend to all of them, so keys and values are computed everywhere. Loss and gradients stay the same.
Shape legend: L row length, S positions that predict a supervised token, E width, H heads, D head width.
"""

import functools
from collections.abc import Callable, Sequence
from typing import Any

import torch
from torch import nn
from transformers.integrations.sdpa_attention import sdpa_attention_forward
from transformers.models.llama.modeling_llama import LlamaDecoderLayer, rotate_half

LayerForward = Callable[..., torch.Tensor]


def can_skip_positions(language_model: nn.Module) -> bool:
    """Tell whether the last layer is of the kind that is known here: Llama's, without dropout."""
    layers = getattr(language_model, "layers", None)
    if not layers:
        return False
    last = layers[-1]
    return type(last) is LlamaDecoderLayer and not last.self_attn.attention_dropout


def skip_positions(language_model: nn.Module) -> Callable[[], None]:
    """Let the last layer take ``answer_places`` (each segment's, from its start); return what undoes it.

    Without that argument the layer computes every position, as before.
    """
    last: Any = language_model.get_submodule("layers")[-1]  # type: ignore[index]
    last.forward = functools.partial(_run_layer, last, last.forward)
    return functools.partial(delattr, last, "forward")


def _run_layer(
    layer: Any,
    whole: LayerForward,
    hidden_states: torch.Tensor,
    answer_places: Sequence[torch.Tensor] | None = None,
    **options: Any,
) -> torch.Tensor:
    """Return [1, S, E] for hidden states [1, L, E] of one packed row."""
    if answer_places is None:
        return whole(hidden_states, **options)
    lengths: Sequence[int] = options["segment_lengths"]
    starts = [sum(lengths[:number]) for number in range(len(lengths))]
    places_S = torch.cat([places + start for places, start in zip(answer_places, starts, strict=True)])
    if not len(places_S):
        return whole(hidden_states, **options)[:, :0]
    normed_1LE = layer.input_layernorm(hidden_states)
    attended_1SE = _attend(layer.self_attn, normed_1LE, places_S, answer_places, options)
    kept_1SE = hidden_states[:, places_S] + attended_1SE
    answer: torch.Tensor = kept_1SE + layer.mlp(layer.post_attention_layernorm(kept_1SE))
    return answer


def _attend(
    attention: Any,
    normed_1LE: torch.Tensor,
    places_S: torch.Tensor,
    answer_places: Sequence[torch.Tensor],
    options: dict[str, Any],
) -> torch.Tensor:
    cos_1LD, sin_1LD = options["position_embeddings"]
    lengths: list[int] = list(options["segment_lengths"])
    query = _split_heads(attention.q_proj(normed_1LE[:, places_S]), attention.head_dim)
    key = _split_heads(attention.k_proj(normed_1LE), attention.head_dim)
    value = _split_heads(attention.v_proj(normed_1LE), attention.head_dim)
    query = _rotate(query, cos_1LD[:, places_S], sin_1LD[:, places_S])
    key = _rotate(key, cos_1LD, sin_1LD)
    segments = zip(
        torch.split(query, [len(places) for places in answer_places], dim=2),
        torch.split(key, lengths, dim=2),
        torch.split(value, lengths, dim=2),
        answer_places,
        strict=True,
    )
    attended = [
        sdpa_attention_forward(
            attention, queries, keys, values, _sees(places, keys.shape[2]), scaling=attention.scaling
        )[0]
        for queries, keys, values, places in segments
        if len(places)
    ]
    heads_1SHD = torch.cat(attended, dim=1)
    output: torch.Tensor = attention.o_proj(heads_1SHD.flatten(2))
    return output


def _split_heads(states_1SE: torch.Tensor, head_dim: int) -> torch.Tensor:
    return states_1SE.view(*states_1SE.shape[:2], -1, head_dim).transpose(1, 2)


def _rotate(states_1HSD: torch.Tensor, cos_1SD: torch.Tensor, sin_1SD: torch.Tensor) -> torch.Tensor:
    rotated: torch.Tensor = states_1HSD * cos_1SD.unsqueeze(1) + rotate_half(states_1HSD) * sin_1SD.unsqueeze(1)
    return rotated


def _sees(places_S: torch.Tensor, length: int) -> torch.Tensor:
    """Return the causal mask [1, 1, S, L] of the queries at these places of a segment."""
    return (places_S[:, None] >= torch.arange(length, device=places_S.device))[None, None]
