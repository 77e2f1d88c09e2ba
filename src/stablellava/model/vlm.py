"""The whole forward pass of training: cached patches in, loss of the answers out.

Shape legend: N images, P tokens per image, D tower width, B batch, L text length, E width of the
language model, S supervised tokens, V vocabulary.
"""

import torch
from torch import nn
from transformers import LlavaForConditionalGeneration

IGNORE = -100


class AnswerLoss(nn.Module):
    """The library's loss of a LLaVA, without the work whose result nobody reads.

    The tower does not run (its patches are cached), and only positions that predict a supervised
    token are projected to the vocabulary. Rows are padded on the right, where causal attention keeps
    the padding from reaching anything, so no mask is needed. Loss and gradients equal the library's.
    """

    def __init__(self, llava: LlavaForConditionalGeneration):
        super().__init__()
        self.llava = llava

    def forward(
        self, token_ids: torch.Tensor, labels: torch.Tensor, patches: torch.Tensor, num_supervised: torch.Tensor
    ) -> torch.Tensor:
        """Return the summed cross-entropy over ``num_supervised``, the count of the whole step.

        Shapes: token_ids and labels [B, L], patches [N, P, D] -> scalar.
        """
        embeddings_BLE = embed(self.llava, token_ids, patches)
        hidden_BLE = self.llava.model.language_model(inputs_embeds=embeddings_BLE, use_cache=False).last_hidden_state
        next_BL = labels[:, 1:]
        is_learned_BL = next_BL != IGNORE
        logits_SV = self.llava.lm_head(hidden_BLE[:, :-1][is_learned_BL])
        loss_sum = nn.functional.cross_entropy(logits_SV.float(), next_BL[is_learned_BL], reduction="sum")
        return loss_sum / num_supervised


def embed(llava: LlavaForConditionalGeneration, token_ids: torch.Tensor, patches: torch.Tensor) -> torch.Tensor:
    """Return the embeddings of text and pictures, each picture's patches where its placeholders stand.

    Shapes: token_ids [B, L], patches [N, P, D] -> [B, L, E].
    """
    text_BLE: torch.Tensor = llava.get_input_embeddings()(token_ids)
    if not len(patches):
        return text_BLE
    patches_NPE = llava.model.multi_modal_projector(patches)
    is_image_BL1 = (token_ids == llava.config.image_token_id).unsqueeze(-1)
    return text_BLE.masked_scatter(is_image_BL1, patches_NPE.to(text_BLE.dtype))


def select_patches(llava: LlavaForConditionalGeneration, pixel_values: torch.Tensor) -> torch.Tensor:
    """Return what the tower says of each picture, as the projector will read it.

    Shapes: pixel_values [N, C, H, W] -> [N, P, D].
    """
    layer = llava.config.vision_feature_layer
    outputs = llava.model.vision_tower(pixel_values, output_hidden_states=True, return_dict=True)
    selected_NPD: torch.Tensor = outputs.hidden_states[layer]
    return selected_NPD[:, 1:] if llava.config.vision_feature_select_strategy == "default" else selected_NPD
