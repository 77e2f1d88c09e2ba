"""The typed tree of settings behind every verb."""

from typing import Any, Literal

from pydantic import Field, SerializerFunctionWrapHandler, model_serializer, model_validator

from stablellava.config.base import BackendSettings, Settings
from stablellava.config.lora import LoraSettings
from stablellava.config.verifying import VerifySettings

SINGLE_IMAGE_CAPABILITIES = (
    "color", "animal", "plant", "vehicle", "food", "clothes", "furniture",
    "hair", "profession", "scene", "action", "style", "abnormal",
)  # fmt: skip
"""The paper's list (2308.10253v1, section 3), called 12 and counting 13."""
MULTI_IMAGE_CAPABILITIES = ("difference", "similarity", "logical_relation", "story")


class DraftingSettings(Settings):
    """How a chat model is asked for drafts. Has no say where the writer is not a chat model."""

    instructions: str = "full"
    """Which instruction files to send: full, short (for small models), or the path of a folder of one's own."""
    drafts_per_call: int = Field(default=1, ge=1, le=32)
    """Drafts of one capability asked for in one call."""
    max_exemplars: int = Field(default=5, ge=0)
    """Worked examples shown to a call, the first ones of those that its request has."""
    max_follow_ups: int = Field(default=2, ge=0, le=8)
    """Questions and answers that may follow the description."""
    temperature: float = Field(default=1.0, ge=0, le=2)
    top_p: float = Field(default=1.0, gt=0, le=1)
    max_tokens: int = Field(default=512, ge=16)
    """Tokens an answer may have, per draft in the call; what is cut off is asked for again, never completed."""
    max_attempts: int = Field(default=6, ge=1, le=10)
    """How often an identical request is sent while the server breaks the schema it was given."""


class SpendingSettings(Settings):
    """What calls to a chat model cost, and where one start of the command stops. Never changes the data."""

    max_calls: int | None = Field(default=None, ge=0)
    """Calls sent to a chat model; answers from the cache are free."""
    max_cost: float | None = Field(default=None, ge=0)
    """In the currency of the prices, which it needs."""
    prices: str = ""
    """A YAML table of prices by model (see backends/prices.py), instead of the two figures below."""
    price_in: float | None = Field(default=None, ge=0)
    """Price of a million tokens sent; null: not known, and no cost is stated."""
    price_out: float | None = Field(default=None, ge=0)
    """Price of a million tokens answered."""
    price_note: str = ""
    """Currency, source and date of the prices; stated wherever a cost is."""


class CollapseSettings(Settings):
    """When a round's drafts have lost so much of their variety that none of them is kept.

    Variety is compared at equal numbers of drafts, keywords and settings blanked out; see synthesis/collapse.py.
    """

    min_drafts: int = Field(default=25, ge=2)
    """A round with fewer readable drafts is not judged, and the pool does not evolve on it."""
    min_kept: float = Field(default=0.6, ge=0, lt=1)
    """Share of the first round's variety that every later round has to keep."""
    min_kept_of_previous: float = Field(default=0.6, ge=0, lt=1)
    """Share of the variety of the last good round that the next one has to keep."""
    min_different: float = Field(default=0.3, ge=0, lt=1)
    """Share of a round's prompts that have to differ from one another; holds for the first round too."""


class PoolSettings(Settings):
    """An evolving pool of in-context examples: outputs of a round are shown to the writer in the next ones.

    Paper: 2308.10253v1, section 3 (5 examples to begin with, then 20 chosen outputs join them, for prompts and for
    dialogues). Departs: a request is shown a draw of them, part of it always seeds, and rounds are guarded.
    """

    round_size: int = Field(default=60, ge=1)
    """Drafts per capability and round; the pool evolves between rounds."""
    num_shown: int = Field(default=5, ge=1)
    """Exemplars shown to one request, of prompts and of dialogues each."""
    seed_share: float = Field(default=0.4, ge=0, le=1)
    """At least this share of the exemplars shown is written by people."""
    max_grown: int = Field(default=20, ge=0)
    """Outputs that the pool may hold beside the seeds, of prompts and of dialogues each. Paper: 20."""
    max_joining: int = Field(default=10, ge=1)
    """Outputs that may join (or take the place of a less novel one) after one round."""
    max_depth: int = Field(default=4, ge=1)
    """Outputs further away from the seeds than so many generations do not join."""
    min_novelty: float = Field(default=0.5, ge=0, le=1)
    """Distance (1 - Jaccard overlap of words and word pairs) from every exemplar that an output needs to join."""
    min_data_novelty: float = Field(default=0.2, ge=0, le=1)
    """Distance from earlier accepted samples that an output needs to join."""
    min_judge_score: float = Field(default=0.5, ge=0, le=1)
    """Outputs that a judge scored lower do not join; without a judge, verified is enough."""
    collapse: CollapseSettings = CollapseSettings()


class TargetSettings(Settings):
    """How many accepted samples the values of one attribute are to have; values not named share the rest."""

    attribute: str = "keyword"
    """keyword, setting, group, subject; a capability's own name (color) for its short answers; or anything that
    drafts state about themselves (style, count, person)."""
    capability: str = ""
    """Empty: every capability of the run, as far as it knows the values."""
    counts: dict[str, int] = {}
    """Value -> exact number of accepted samples."""
    shares: dict[str, float] = {}
    """Value -> share of samples_per_capability."""


class CoverageSettings(Settings):
    """Targets that are measured after verification; cells that fall short are drafted again."""

    targets: tuple[TargetSettings, ...] = ()
    max_drafts_per_sample: float = Field(default=5.0, ge=1)
    """Budget: drafts per sample asked for, of every cell and of the capability; then the cell is reported as short."""


class SynthesisSettings(Settings):
    """How many samples, of what, by whom, under which checks."""

    capabilities: tuple[str, ...] = SINGLE_IMAGE_CAPABILITIES
    samples_per_capability: int = Field(default=240, ge=1)
    """Accepted samples per capability; the run goes on until exactly this many stand."""
    writer: BackendSettings = BackendSettings(backend="grammar")
    """A writer (grammar) or a chat model (openai, llamacpp, fake-chat)."""
    drafting: DraftingSettings = DraftingSettings()
    spending: SpendingSettings = SpendingSettings()
    painter: BackendSettings | None = BackendSettings(backend="openmoji")
    """Null makes drafts without pictures, to be painted by a later run."""
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
    pool: PoolSettings | None = None
    """Examples that evolve with the data; None shows every writer the seed exemplars throughout."""
    coverage: CoverageSettings | None = None
    """Exact numbers for some keywords or attributes; None spreads samples evenly over keywords."""

    verify: VerifySettings | None = None
    """Checks beside the built-in ones; None asks no more than those."""

    @model_serializer(mode="wrap")
    def _leave_out_what_is_off(self, handler: SerializerFunctionWrapHandler) -> dict[str, Any]:
        """Drop what is off: data made before there were such settings keep their fingerprint."""
        optional = ("pool", "coverage", "verify")
        return {name: value for name, value in handler(self).items() if name not in optional or value is not None}


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
    metric: str = "loss"
    """What decides which checkpoint is best: "loss", or a name that the caller's measurement returns."""
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
