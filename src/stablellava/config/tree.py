"""The typed tree of settings behind every verb."""

from typing import Any, Literal

from pydantic import BaseModel, ConfigDict, Field, model_validator


class Settings(BaseModel):
    """Base of all settings: unknown names are refused, values are fixed once read."""

    model_config = ConfigDict(extra="forbid", frozen=True)


SINGLE_IMAGE_CAPABILITIES = (
    "color", "animal", "plant", "vehicle", "food", "clothes", "furniture",
    "hair", "profession", "scene", "action", "style", "abnormal",
)  # fmt: skip
"""The paper's list (2308.10253v1, section 3), called 12 and counting 13."""
MULTI_IMAGE_CAPABILITIES = ("difference", "similarity", "logical_relation", "story")


class BackendSettings(Settings):
    """A backend by name, with the options its class takes."""

    backend: str
    options: dict[str, Any] = {}


class SynthesisSettings(Settings):
    """How many samples, of what, by whom, under which checks."""

    capabilities: tuple[str, ...] = SINGLE_IMAGE_CAPABILITIES
    samples_per_capability: int = Field(default=240, ge=1)
    """Accepted samples per capability; the run goes on until exactly this many stand."""
    writer: BackendSettings = BackendSettings(backend="grammar")
    painter: BackendSettings = BackendSettings(backend="openmoji")
    size_px: int = Field(default=224, ge=32, le=4096)
    """Width and height of the pictures."""
    held_out_share: float = Field(default=0.2, gt=0, lt=1)
    """Share of keyword-setting combinations kept for evaluation; training never sees them."""
    max_repaints: int = Field(default=2, ge=0)
    """New seeds tried for a picture that a check refused."""
    max_rounds: int = Field(default=8, ge=1)
    """Rounds of replacement drafts before a capability is reported as not filled."""
    shard_size: int = Field(default=60, ge=1)
    """Drafts per shard: the unit of work, of commit and of what an interrupt can cost."""
    num_workers: int = Field(default=0, ge=0)
    """Processes; 0 takes one per core. Never changes the data."""


StageName = Literal["align", "instruct"]


class ClosedFormSettings(Settings):
    """How a projector is solved for: ridge regression from patches to the words for what they show."""

    ridge: float = Field(default=1e-3, gt=0)
    """Added to the patches' covariance, as a share of their mean variance."""
    own_pictures: bool = True
    """Regress on the stage's pictures, each patch to the decisive phrase of its picture's prompt."""
    pseudo_photos_per_class: int = Field(default=3, ge=0)
    """Also regress on patches drawn from the tower's own statistics, for each ImageNet class; 0: none."""
    evidence: float = Field(default=20.0, gt=0)
    """Deviations by which a pseudo-photo's patches lean towards their class."""
    evidence_share: float = Field(default=0.6, gt=0, le=1)
    """Share of a pseudo-photo's patches that show its class."""


class StageConfig(Settings):
    """One training stage. Align and instruct are two values of this one type.

    Paper: 2308.10253v1, section 4.2 (two stages, as LLaVA).
    """

    method: Literal["gradient", "closed_form"] = "gradient"
    """How the projector is found; closed_form (align only) solves a ridge regression instead of stepping."""
    closed_form: ClosedFormSettings = ClosedFormSettings()
    data: Literal["descriptions", "dialogues"]
    """Descriptions: first question and answer of a sample. Dialogues: all its turns."""
    delayed_description_share: float = Field(default=0.0, ge=0, le=1)
    """Share of dialogues whose opening description is moved to the end, so that short questions also come first."""
    train_projector: bool = True
    train_language_model: bool = False
    freeze_embeddings: bool = False
    """Leave the language model's word embeddings (and a head tied to them) as they are."""
    train_last_layers: int | None = Field(default=None, ge=1)
    """Only so many of the language model's layers learn, from the last; the embeddings and the other layers stay."""
    num_samples: int | None = Field(default=None, ge=1)
    """Samples drawn (without repeats until all were seen once); None: every sample once per epoch."""
    num_epochs: float = Field(default=1.0, gt=0)
    """Used when num_samples is None."""
    learning_rate: float = Field(gt=0)
    projector_learning_rate: float | None = Field(default=None, gt=0)
    """None: the same as learning_rate."""
    weight_decay: float = Field(default=0.0, ge=0)
    warmup_share: float = Field(default=0.03, ge=0, lt=1)
    schedule: Literal["cosine", "linear", "constant_with_warmup"] = "cosine"
    batch_size: int = Field(default=16, ge=1)
    """Samples per step and device."""
    gradient_accumulation: int = Field(default=1, ge=1)
    max_grad_norm: float = Field(default=1.0, gt=0)
    max_length: int = Field(default=2048, ge=32)
    """Tokens, image tokens included; longer samples are dropped and reported, never cut."""
    save_every_steps: int = Field(default=0, ge=0)
    """Checkpoints to resume from; 0 saves at the end only."""


class ModelSettings(Settings):
    """What the model is assembled from."""

    tower: str = "efficientnet-lite0"
    tower_posterior: bool = False
    """efficientnet-lite0 only: patches also carry the ImageNet classifier's answer."""
    image_size_px: int = Field(default=128, ge=32)
    patch_size_px: int = Field(default=32, ge=32)
    """efficientnet-lite0 only: a multiple of 32 averages cells of its feature map, so pictures cost fewer tokens."""
    language_model: str = "smollm2-135m-instruct"
    """An asset's name or the path of a causal language model that transformers can load."""
    projector: Literal["linear", "mlp2x_gelu"] = "linear"
    """Paper: one linear layer (v1), two-layer MLP (v2)."""
    chat_template: str = "compact"


class TrainingSettings(Settings):
    """Model and stages."""

    model: ModelSettings = ModelSettings()
    align: StageConfig = StageConfig(data="descriptions", learning_rate=2e-3)
    instruct: StageConfig = StageConfig(data="dialogues", learning_rate=2e-5, train_language_model=True)
    num_threads: int = Field(default=0, ge=0)
    """CPU threads; 0 leaves torch's default."""

    @model_validator(mode="after")
    def _check_stages(self) -> "TrainingSettings":
        if self.instruct.method == "closed_form":
            raise ValueError("training.instruct.method: closed_form solves for a projector; only align can use it")
        if self.align.train_language_model:
            raise ValueError("training.align.train_language_model: align trains the projector alone")
        return self


class EvaluationSettings(Settings):
    """The capability benchmark in the paper's protocol."""

    items_per_capability: int = Field(default=50, ge=1)
    """Paper: 50 per ability."""
    max_new_tokens: int = Field(default=16, ge=1)
    batch_size: int = Field(default=32, ge=1)


class RunConfig(Settings):
    """Everything a run needs; ``stablellava plan`` prints it resolved."""

    name: str = Field(default="run", pattern=r"^[A-Za-z0-9][A-Za-z0-9._-]*$")
    """Names the directory under runs/."""
    seed: int = 0
    synthesis: SynthesisSettings = SynthesisSettings()
    training: TrainingSettings = TrainingSettings()
    evaluation: EvaluationSettings = EvaluationSettings()
