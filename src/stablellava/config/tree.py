"""The typed tree of settings behind every verb."""

from pydantic import Field

from stablellava.config.base import Settings
from stablellava.config.synthesis import SynthesisSettings
from stablellava.config.training import TrainingSettings


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
