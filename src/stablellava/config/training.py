"""Settings of training: the model, its two stages, what makes them fast and what is watched."""

from typing import Literal

from pydantic import Field, model_validator

from stablellava.config.base import Settings
from stablellava.config.lora import LoraSettings

StageName = Literal["align", "instruct"]


class ClosedFormSettings(Settings):
    """How a projector is solved for: ridge regression from patches to the words for what they show.

    A picture counts as often as the stage draws it (num_epochs, sources), a pseudo-photo once.
    """

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


class SourceSettings(Settings):
    """Training data from one place, and how much of it a stage draws.

    Give every source of a stage a ``share``, or give each ``epochs`` or ``samples`` (default: the stage's num_epochs).
    """

    path: str = ""
    """A .json, .jsonl, .parquet or .tar file, a folder or a pattern (part-*.tar) of them, or a run's directory.
    Empty: the run's own synthesized samples."""
    images: str = ""
    """Folder that image names are relative to; empty: the folder the file is in."""
    name: str = ""
    """Names the source in reports and seeds its order; empty: from the path."""
    data: Literal["descriptions", "dialogues"] | None = None
    """None: as the stage's."""
    share: float | None = Field(default=None, gt=0)
    """Part of all samples drawn, relative to the other sources' shares."""
    epochs: float | None = Field(default=None, gt=0)
    """Times that every row is drawn."""
    samples: int | None = Field(default=None, ge=1)
    """Rows drawn, without repeats until all came once."""
    max_epochs: float | None = Field(default=None, gt=0)
    """With ``share``: how often a row may be drawn; None: the stage's num_epochs. More is refused."""

    @model_validator(mode="after")
    def _check_amount(self) -> "SourceSettings":
        given = [name for name in ("share", "epochs", "samples") if getattr(self, name) is not None]
        if len(given) > 1:
            raise ValueError(
                f"training.sources: {self.name or self.path!r} has {' and '.join(given)}; keep one of them"
            )
        if self.max_epochs is not None and self.share is None:
            raise ValueError(f"training.sources: {self.name or self.path!r} has max_epochs without a share")
        return self


class StageConfig(Settings):
    """One training stage. Align and instruct are two values of this one type.

    Paper: 2308.10253v1, section 4.2 (two stages, as LLaVA).
    """

    method: Literal["gradient", "closed_form"] = "gradient"
    """How the projector is found; closed_form (align only) solves a ridge regression instead of stepping."""
    closed_form: ClosedFormSettings = ClosedFormSettings()
    data: Literal["descriptions", "dialogues"]
    """Descriptions: first question and answer of a sample. Dialogues: all its turns."""
    sources: tuple[SourceSettings, ...] = ()
    """Where the samples come from; none: the run's own synthesized ones."""
    delayed_description_share: float = Field(default=0.0, ge=0, le=1)
    """Share of dialogues whose opening description is moved to the end, so that short questions also come first."""
    train_projector: bool = True
    train_language_model: bool = False
    freeze_embeddings: bool = False
    """Leave the language model's word embeddings (and a head tied to them) as they are."""
    train_last_layers: int | None = Field(default=None, ge=1)
    """Only so many of the language model's layers learn, from the last; the embeddings and the other layers stay."""
    lora: LoraSettings | None = None
    """Adapters instead of the language model's own weights (train_language_model must be on); None: full training."""
    num_samples: int | None = Field(default=None, ge=1)
    """Samples drawn (without repeats until all were seen once); None: every sample once per epoch. Sources without
    shares say it themselves."""
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
    """Batches per step; every supervised token of a step weighs the same, however it is cut into batches."""
    group_by_length: bool = True
    """Samples alike in length stand in the same step; False keeps the drawn order."""
    max_grad_norm: float = Field(default=1.0, gt=0)
    max_length: int = Field(default=2048, ge=32)
    """Tokens, image tokens included; longer samples are dropped and reported, never cut."""
    save_every_steps: int = Field(default=0, ge=0)
    """Checkpoints to resume from; 0 saves at the end only."""


class SpeedSettings(Settings):
    """Ways to train faster at the same loss. Each can be turned off; none changes which samples a step holds."""

    cached_features: bool = True
    """Run the frozen tower once per picture and keep what it says; else in every step, decoded by the workers."""
    max_cache_gb: float | None = Field(default=None, gt=0)
    """What cached features may take on disk, 10^9 bytes; the longest unused go first. None: no limit."""
    answers_only: bool = True
    """Project to the vocabulary only where an answer's token is predicted."""
    short_last_layer: bool = True
    """Compute the last layer, too, only where an answer's token is predicted (Llama's layers, attention=segments)."""
    packing: bool = True
    """Put the samples of a batch into one row without padding, each attending to itself alone."""
    attention: Literal["auto", "segments", "block_mask", "flash"] = "auto"
    """What keeps packed samples apart: a causal pass per sample, a mask, or FlashAttention 2 (auto: if installed)."""
    row_length: int = Field(default=1024, ge=1)
    """block_mask only: tokens per row; the mask grows with its square."""
    num_workers: int = Field(default=0, ge=0)
    """Processes that decode pictures and build batches; 0 does it between steps."""
    gradient_checkpointing: bool = False
    """Keep no activations inside layers but compute them twice: less memory, a third more time."""
    compile: bool = False
    """torch.compile the language model's layers; pays on GPUs and long runs (needs attention=block_mask or flash)."""
    liger: bool = False
    """Liger kernels (GPU); refused unless they give the same first loss."""


class WatchSettings(Settings):
    """What is measured while a stage trains, and what follows from it."""

    held_out_samples: int = Field(default=0, ge=0)
    """Samples kept out of the stage's training to measure its loss on; drawn by their ids."""
    every_steps: int = Field(default=0, ge=0)
    """Steps between measurements; 0: never."""
    suite: str = ""
    """Items that are asked at every measurement: "generated", the run's own held-out ones, or a folder with
    items.jsonl. Measures "accuracy", the mean over capabilities, and "accuracy/<capability>". Empty: none."""
    suite_items: int = Field(default=64, ge=1)
    """At most so many of the suite's, as even over its capabilities as can be."""
    metric: str = "loss"
    """What decides which checkpoint is best: "loss", "accuracy", or a name that the caller's measurement returns."""
    stop_after: int = Field(default=0, ge=0)
    """Measurements without a better one after which the stage ends; 0: never."""
    keep: Literal["last", "best"] = "last"
    """Whose weights the stage leaves."""
    spike_factor: float = Field(default=2.0, gt=1)
    """A loss this many times the median of the 20 before it is reported with the ids of its samples."""
    report_to: tuple[Literal["tensorboard", "wandb", "trackio"], ...] = ()
    """Loggers of the library's Trainer; each is a package of its own."""

    @model_validator(mode="after")
    def _check_measurements(self) -> "WatchSettings":
        if (self.stop_after or self.keep == "best") and not self.every_steps:
            raise ValueError("stop_after and keep=best need measurements: set every_steps (and held_out_samples)")
        if self.suite and not self.every_steps:
            raise ValueError("suite is asked at every measurement: set every_steps")
        if self.metric.startswith("accuracy") and self.every_steps and not self.suite:
            raise ValueError(
                "metric=accuracy needs items to ask: set suite to generated, or to a folder with items.jsonl"
            )
        if self.every_steps and self.metric == "loss" and not self.held_out_samples:
            raise ValueError("every_steps measures the loss on held-out samples: set held_out_samples above 0")
        return self


class ModelSettings(Settings):
    """What the model is assembled from, or the checkpoint it goes on from."""

    start: str = ""
    """Folder of a LLaVA to go on from: of ours, in the Hugging Face form, or the original. Its tower, projector and
    language model are then used, not those named below; instruct needs no align before it. Empty: assemble."""

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
    pad_images: bool = False
    """Folders of towers only: fill pictures up to squares before they are scaled, as LLaVA-1.5; False crops them."""


class TrainingSettings(Settings):
    """Model and stages."""

    model: ModelSettings = ModelSettings()
    align: StageConfig = StageConfig(data="descriptions", learning_rate=2e-3)
    instruct: StageConfig = StageConfig(data="dialogues", learning_rate=2e-5, train_language_model=True)
    speed: SpeedSettings = SpeedSettings()
    watch: WatchSettings = WatchSettings()
    precision: Literal["float32", "bfloat16"] = "float32"
    """bfloat16: activations only, the weights stay float32; slow on CPUs without such instructions."""
    check_images: Literal["decode", "exists"] = "decode"
    """What is known of a source's pictures before the first step: that they decode, or only that they are there."""
    num_threads: int = Field(default=0, ge=0)
    """CPU threads; 0 leaves torch's default."""

    @model_validator(mode="after")
    def _check_stages(self) -> "TrainingSettings":
        if self.instruct.method == "closed_form":
            raise ValueError("training.instruct.method: closed_form solves for a projector; only align can use it")
        for name, stage in (("align", self.align), ("instruct", self.instruct)):
            shared = [source.share is not None for source in stage.sources]
            if stage.lora is not None and not stage.train_language_model:
                raise ValueError(f"training.{name}.lora: adapters train the language model; set train_language_model")
            if stage.lora is not None and (stage.train_last_layers is not None or stage.freeze_embeddings):
                raise ValueError(
                    f"training.{name}.lora: adapters join every layer and leave the embeddings; "
                    "take train_last_layers and freeze_embeddings out"
                )
            if any(shared) and not all(shared):
                raise ValueError(f"training.{name}.sources: give every source a share, or none of them")
        if self.align.train_language_model:
            raise ValueError("training.align.train_language_model: align trains the projector alone")
        return self
