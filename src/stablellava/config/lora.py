"""Low-rank adapters in place of the language model's own weights."""

from typing import Literal

from pydantic import Field

from stablellava.config.base import Settings


class LoraSettings(Settings):
    """LoRA on every linear layer inside the language model, never in the tower or the projector.

    The defaults are those that LLaVA-1.5 was published with.
    """

    rank: int = Field(default=128, ge=1)
    alpha: float = Field(default=256, gt=0)
    dropout: float = Field(default=0.05, ge=0, lt=1)
    base_precision: Literal["float32", "bfloat16", "nf4"] = "bfloat16"
    """How the frozen weights are kept. nf4 is QLoRA: four bits a weight, needs bitsandbytes and a GPU."""
