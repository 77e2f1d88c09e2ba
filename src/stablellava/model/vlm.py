"""The whole forward pass of training: token ids and pictures in, loss of the answers out.

Shape legend: N images, C channels, H height, W width, P tokens per image, D tower width, B batch,
L text length, E width of the language model, S supervised tokens, V vocabulary.
"""

import copy
from collections.abc import Sequence
from typing import Any

import torch
from torch import nn
from transformers import LlavaForConditionalGeneration

from stablellava.model.answer_entropy import sum_entropy

IGNORE = -100


class AnswerLoss(nn.Module):
    """The library's loss of a LLaVA, without the work whose result nobody reads.

    Patches of a frozen tower may be given instead of pictures, and only positions that predict a
    supervised token are projected to the vocabulary. Padding stands on the right, where causal
    attention keeps it from reaching anything, so no mask is needed. Loss and gradients equal the
    library's.

    Every process runs projector and tower in every batch, also where a batch has no picture: a
    process that left them out would leave the others waiting for its share of the weights.
    """

    def __init__(self, llava: LlavaForConditionalGeneration, *, answers_only: bool = True):
        super().__init__()
        self.llava = llava
        self.answers_only = answers_only
        # What sharding wraps: the library asks the model that it is given.
        self._no_split_modules = llava.model.language_model._no_split_modules

    def forward(
        self,
        token_ids: torch.Tensor,
        labels: torch.Tensor,
        num_supervised: torch.Tensor,
        patches: torch.Tensor | None = None,
        pixel_values: torch.Tensor | None = None,
        position_ids: torch.Tensor | None = None,
        segment_lengths: Sequence[int] | None = None,
        answer_places: Sequence[torch.Tensor] | None = None,
    ) -> torch.Tensor:
        """Return the summed cross-entropy over ``num_supervised``, the count of the whole step.

        Packed rows say where each sample starts: ``position_ids`` count from 0 again, and
        ``segment_lengths`` are the samples' lengths where all of them stand in one row. With
        ``answer_places``, which the last layer must have been prepared for, it computes no others.

        Shapes: token_ids, labels and position_ids [B, L], patches [N, P, D] or pixel_values
        [N, C, H, W] -> scalar.
        """
        if pixel_values is not None:
            patches = self._look_at(pixel_values)
        assert patches is not None
        embeddings_BLE = embed(self.llava, token_ids, patches)
        hidden_BLE = self.llava.model.language_model(
            inputs_embeds=embeddings_BLE, use_cache=False, **_packing(position_ids, segment_lengths, answer_places)
        ).last_hidden_state
        next_BL = labels[:, 1:]
        is_learned_BL = next_BL != IGNORE
        if answer_places is not None:
            logits_SV = self.llava.lm_head(hidden_BLE[0])
        elif self.answers_only:
            logits_SV = self.llava.lm_head(hidden_BLE[:, :-1][is_learned_BL])
        else:
            logits_SV = self.llava.lm_head(hidden_BLE)[:, :-1][is_learned_BL]
        return sum_entropy(logits_SV.float(), next_BL[is_learned_BL]) / num_supervised

    def _look_at(self, pixel_values: torch.Tensor) -> torch.Tensor:
        """Run the tower; without a picture, on a blank one whose patches are then left out."""
        if len(pixel_values):
            return select_patches(self.llava, pixel_values)
        blank_1CHW = pixel_values.new_zeros(1, *pixel_values.shape[1:])
        return select_patches(self.llava, blank_1CHW)[:0]


def embed(llava: LlavaForConditionalGeneration, token_ids: torch.Tensor, patches: torch.Tensor) -> torch.Tensor:
    """Return the embeddings of text and pictures, each picture's patches where its placeholders stand.

    Shapes: token_ids [B, L], patches [N, P, D] -> [B, L, E].
    """
    text_BLE: torch.Tensor = llava.get_input_embeddings()(token_ids)
    if not len(patches):
        # Adds exactly 0, and tells the optimizer so: with others' pictures in the step or none, the same.
        blank_1PE: torch.Tensor = llava.model.multi_modal_projector(patches.new_zeros(1, *patches.shape[1:]))
        return text_BLE + 0 * blank_1PE.sum()
    patches_NPE = llava.model.multi_modal_projector(patches)
    is_image_BL1 = (token_ids == llava.config.image_token_id).unsqueeze(-1)
    return text_BLE.masked_scatter(is_image_BL1, patches_NPE.to(text_BLE.dtype))


def select_patches(llava: LlavaForConditionalGeneration, pixel_values: torch.Tensor) -> torch.Tensor:
    """Return what the frozen tower says of each picture, as the projector will read it. Threads may ask at once.

    Shapes: pixel_values [N, C, H, W] -> [N, P, D].
    """
    tower, read = llava.model.vision_tower, llava.config.vision_feature_layer
    assert isinstance(read, int)
    with torch.no_grad():
        selected_NPD = _run_up_to(tower, read, pixel_values)
    return selected_NPD[:, 1:] if llava.config.vision_feature_select_strategy == "default" else selected_NPD


def _run_up_to(tower: nn.Module, layer: int, pixel_values: torch.Tensor) -> torch.Tensor:
    """Return what comes out of a layer, without running those above it where they can be told."""
    encoder: Any = getattr(tower, "encoder", None)
    layers = getattr(encoder, "layers", None)
    if not isinstance(layers, nn.ModuleList):
        hidden_NPD: torch.Tensor = tower(pixel_values, output_hidden_states=True, return_dict=True).hidden_states[layer]
        return hidden_NPD
    # The library's own way of keeping hidden states puts hooks on the layers that are there, once and for all; the
    # tower itself stays as it is, so that nobody else who asks it, now or after an error, meets half of it.
    # Place 0 is what goes into the first layer.
    lower = layers[: layer if layer >= 0 else len(layers) + 1 + layer]
    ending = _RememberedEncoder(_with_part(encoder, "layers", lower))
    _with_part(tower, "encoder", ending)(pixel_values, return_dict=True)
    return ending.hidden_NPD


class _RememberedEncoder(nn.Module):
    """An encoder whose output is kept: what a tower does with it afterwards differs from tower to tower."""

    def __init__(self, encoder: nn.Module):
        super().__init__()
        self.encoder = encoder
        self.hidden_NPD: torch.Tensor

    def forward(self, *given: Any, **named: Any) -> Any:
        output = self.encoder(*given, **named)
        self.hidden_NPD = output[0]
        return output


def _with_part(module: nn.Module, name: str, part: nn.Module) -> nn.Module:
    """Return a module like this one, of the same weights, but with another part of that name."""
    changed = copy.copy(module)
    changed._modules = {**module._modules, name: part}
    return changed


def _packing(
    position_ids: torch.Tensor | None,
    segment_lengths: Sequence[int] | None,
    answer_places: Sequence[torch.Tensor] | None,
) -> dict[str, Any]:
    """Return what packed rows hand down to the layers; nothing for padded ones."""
    packed = {"position_ids": position_ids, "segment_lengths": segment_lengths, "answer_places": answer_places}
    return {name: value for name, value in packed.items() if value is not None}
