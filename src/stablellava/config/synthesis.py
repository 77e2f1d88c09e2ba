"""Settings of synthesis: how many samples, of what, by whom, under which checks."""

from typing import Any

from pydantic import Field, SerializerFunctionWrapHandler, model_serializer

from stablellava.config.base import BackendSettings, Settings
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
    """What calls to the chat model that writes cost, and where one start of the command stops. Never changes the data.

    Calls of a judge among the checks are not counted: each worker process makes its own.
    """

    max_calls: int | None = Field(default=None, ge=0)
    """Calls sent; answers from the cache are free."""
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
