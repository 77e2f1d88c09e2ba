"""CLIP and SigLIP towers of three narrow layers on disk, and a batch to ask any LLaVA with one of them."""

from pathlib import Path
from typing import Any

import torch
from transformers import (
    CLIPImageProcessorPil,
    CLIPVisionConfig,
    CLIPVisionModel,
    SiglipImageProcessorPil,
    SiglipVisionConfig,
    SiglipVisionModel,
)

IMAGE_SIZE_PX = 28
_SIZES: dict[str, int] = {
    "hidden_size": 16, "intermediate_size": 32, "num_hidden_layers": 3, "num_attention_heads": 2,
    "image_size": IMAGE_SIZE_PX, "patch_size": 14,
}  # fmt: skip


def write_tower(folder: Path, kind: str) -> Path:
    """Write a tower and its image processor; kind is clip or siglip."""
    torch.manual_seed(1)
    side = {"height": IMAGE_SIZE_PX, "width": IMAGE_SIZE_PX}
    if kind == "clip":
        CLIPVisionModel(CLIPVisionConfig(**_SIZES)).save_pretrained(folder)
        CLIPImageProcessorPil(size={"shortest_edge": IMAGE_SIZE_PX}, crop_size=side).save_pretrained(folder)
    else:
        SiglipVisionModel(SiglipVisionConfig(**_SIZES)).save_pretrained(folder)
        SiglipImageProcessorPil(size=side).save_pretrained(folder)
    return folder


def logits_of(model: Any) -> torch.Tensor:
    """Return what the library computes for two images among words, whatever the number of tokens they take."""
    generator = torch.Generator().manual_seed(0)
    size_px = int(model.model.vision_tower.config.image_size)
    pixel_values = torch.randn(2, 3, size_px, size_px, generator=generator)
    placeholders = [int(model.config.image_token_id)] * model.config.image_seq_length
    row = [5, 6, *placeholders, 7, 8, *placeholders, 9]
    with torch.inference_mode():
        logits: torch.Tensor = model.eval()(input_ids=torch.tensor([row]), pixel_values=pixel_values).logits
    return logits
