"""What the painter can be told, checked before any weight is read."""

from typing import Any, Literal, Self

from pydantic import BaseModel, ConfigDict, Field, ValidationError, model_validator

from stablellava.core.errors import ConfigError
from stablellava.core.record import first_problem
from stablellava.core.suggesting import suggest_name

SDXL = "stabilityai/stable-diffusion-xl-base-1.0"
DTypeName = Literal["float32", "float16", "bfloat16"]


class LoraOptions(BaseModel):
    """Weights merged into the model when it is loaded, so that they cost nothing per step."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    path: str
    """A .safetensors file, or a hub id together with weight_name."""
    weight_name: str | None = None
    revision: str | None = None
    scale: float = 1.0


class PainterOptions(BaseModel):
    """Options of ``painter.diffusers``."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    model: str = SDXL
    """A hub id or a folder in the layout of diffusers, with safetensors weights."""
    revision: str | None = None
    """Branch, tag or commit of a hub model; what it resolves to is stamped."""
    variant: str | None = None
    """Which of several weight files, as "fp16"."""
    dtype: Literal["auto"] | DTypeName = "auto"
    """auto: float32 on a CPU; on a GPU bfloat16 for transformers where it is known, else float16."""
    device: str = Field(default="auto", pattern=r"^(auto|cpu|mps|cuda(:\d+)?)$")
    devices: tuple[int, ...] | None = None
    """GPU of each worker process, in their order; one named twice is shared. None: one worker per GPU."""
    batch_size: Literal["auto"] | int = "auto"
    """Pictures painted at once; auto: what memory holds. Halved for the rest of the run when memory runs out."""
    pad_batches: bool = False
    """Fill up every batch, so that a picture's last bits never depend on how many are painted with it."""
    steps: int | None = Field(default=None, ge=1)
    """None: what the pipeline takes by itself; so for guidance and scheduler."""
    guidance: float | None = Field(default=None, ge=0)
    scheduler: str | None = None
    """Class name, with or without "Scheduler" at its end."""
    scheduler_options: dict[str, Any] = {}
    negative: str = ""
    """Put after the negative prompt of every job."""
    paint_size_px: int | None = Field(default=None, ge=16, le=4096)
    """Side of a square of the area to paint, scaled to the job's size after; None: paint the job's size."""
    call_options: dict[str, Any] = {}
    """Further arguments of the pipeline: guidance_rescale, true_cfg_scale, max_sequence_length, ..."""
    emphasis: Literal["auto", "weighted", "words"] = "auto"
    """auto: weighted embeddings where CLIP alone reads the prompt, plain words elsewhere."""
    long_prompts: Literal["chunk", "refuse"] = "chunk"
    """chunk: several windows where CLIP alone reads the prompt; elsewhere refused with the lost words."""
    unsafe: Literal["refuse", "record"] = "refuse"
    """What becomes of a picture that the model's own safety checker flags."""
    loras: tuple[LoraOptions, ...] = ()
    refiner: str | None = None
    """A second SDXL model that takes the last part of the steps."""
    refiner_revision: str | None = None
    refiner_start: float = Field(default=0.8, gt=0, lt=1)
    image_format: Literal["png", "webp"] = "png"
    webp_quality: int = Field(default=95, ge=1, le=100)
    compile: bool = False
    """Compile the denoiser; pays after some hundred pictures, and wants pad_batches."""
    attention_slicing: bool = False
    vae_slicing: bool = False
    vae_tiling: bool = False
    cpu_offload: bool = False
    attribution: str | None = None
    """Line of the data card; None names the model."""

    @model_validator(mode="after")
    def _check_product(self) -> Self:
        if self.batch_size != "auto" and self.batch_size < 1:
            raise ValueError("batch_size is 'auto' or at least 1")
        if self.devices is not None and (not self.devices or self.device not in ("auto", "cuda")):
            raise ValueError("devices lists GPUs, as [0, 1]; leave device at 'auto' or 'cuda'")
        for lora in self.loras:
            if not lora.path.endswith(".safetensors") and lora.weight_name is None:
                raise ValueError(f"lora {lora.path!r} is no .safetensors file; name the file of a hub id: weight_name")
        return self


def read_options(given: dict[str, Any]) -> PainterOptions:
    """Return the checked options.

    Raises: ConfigError for an unknown name, with a suggestion, or a value that cannot be.
    """
    known = PainterOptions.model_fields
    for name in given:
        if name not in known:
            raise ConfigError(f"painter 'diffusers' has no option {name!r}. {suggest_name(name, known)}")
    try:
        return PainterOptions.model_validate(given)
    except ValidationError as exc:
        raise ConfigError(f"painter 'diffusers', option {first_problem(exc)}") from exc
