"""What a run will do, counted before anything is done. Builds no backend and loads no model."""

import math

from stablellava.backends.catalog import Kind, list_backends
from stablellava.backends.keys import refuse_keys
from stablellava.capabilities import list_capabilities
from stablellava.config.base import BackendSettings, Settings
from stablellava.config.fingerprint import data_fingerprint, stage_fingerprint
from stablellava.config.training import StageConfig
from stablellava.config.tree import RunConfig
from stablellava.core.errors import ConfigError
from stablellava.core.record import Record
from stablellava.core.suggesting import suggest_name
from stablellava.synthesis.further_checks import refuse_bad_settings
from stablellava.synthesis.synthesizing import load_chosen, training_planners


class StagePlan(Record):
    """One training stage in figures."""

    name: str
    method: str
    num_samples: int
    """Samples seen, repeats counted."""
    num_steps: int
    batch_size: int
    """Samples per optimizer step and device."""
    learning_rate: float
    fingerprint: str


class RunPlan(Record):
    """One run in figures; paintings are at most those of accepted samples, repaints not counted."""

    name: str
    seed: int
    capabilities: tuple[str, ...]
    writer: str
    painter: str
    """Empty: drafts stay without pictures."""
    num_samples: int
    num_paintings: int
    num_keywords: int
    num_combinations: int
    """Keyword-setting pairs to draw from, held-out ones included."""
    num_items: int
    stages: tuple[StagePlan, ...]
    data_fingerprint: str


def make_plan(config: RunConfig) -> RunPlan:
    """Check what the settings name, and count.

    Raises: ConfigError for an unknown capability or backend, and for coverage targets that cannot be met.
    """
    check_names(config)
    capabilities = list(load_chosen(config.synthesis.capabilities).values())
    training_planners(config, capabilities)
    per_capability = config.synthesis.samples_per_capability
    num_samples = per_capability * len(capabilities)
    return RunPlan(
        name=config.name,
        seed=config.seed,
        capabilities=tuple(capability.name for capability in capabilities),
        writer=config.synthesis.writer.backend,
        painter=config.synthesis.painter.backend if config.synthesis.painter is not None else "",
        num_samples=num_samples,
        num_paintings=sum(
            per_capability * capability.max_images
            for capability in capabilities
            if config.synthesis.painter is not None
        ),
        num_keywords=sum(len(capability.keywords) for capability in capabilities),
        num_combinations=sum(
            len(keyword.settings or capability.settings)
            for capability in capabilities
            for keyword in capability.keywords
        ),
        num_items=config.evaluation.items_per_capability * len(capabilities),
        stages=(
            _plan_stage("align", config.training.align, num_samples, stage_fingerprint(config, "align")),
            _plan_stage("instruct", config.training.instruct, num_samples, stage_fingerprint(config, "instruct")),
        ),
        data_fingerprint=data_fingerprint(config),
    )


def check_names(config: RunConfig) -> None:
    """Raise ConfigError for a capability or backend that does not exist, a capability named twice, or a key."""
    refuse_keys_in(config)
    chosen = config.synthesis.capabilities
    repeated = sorted({name for name in chosen if chosen.count(name) > 1})
    if repeated:
        raise ConfigError(f"synthesis.capabilities names {', '.join(repeated)} more than once. Keep one.")
    if not chosen:
        raise ConfigError(f"synthesis.capabilities is empty. Name at least one of: {', '.join(list_capabilities())}.")
    load_chosen(chosen)
    _check_backend("writer", config.synthesis.writer, ("writer", "chat"))
    if config.synthesis.painter is not None:
        _check_backend("painter", config.synthesis.painter, ("painter",))
    refuse_bad_settings(config.synthesis.verify.checks if config.synthesis.verify else ())


def refuse_keys_in(settings: Settings) -> None:
    """Raise ConfigError for a key among any options: settings are printed, and written into runs and manifests."""
    for name, value in settings:
        if name == "options":
            refuse_keys(value)
        for one in value if isinstance(value, tuple) else (value,):
            if isinstance(one, Settings):
                refuse_keys_in(one)


def _check_backend(kind: Kind, settings: BackendSettings, taken: tuple[Kind, ...]) -> None:
    names = [key.partition(".")[2] for key in list_backends() if key.partition(".")[0] in taken]
    if settings.backend not in names:
        raise ConfigError(
            f"synthesis.{kind}.backend: no {kind} named {settings.backend!r}. {suggest_name(settings.backend, names)}"
        )


def _plan_stage(name: str, stage: StageConfig, num_available: int, fingerprint: str) -> StagePlan:
    num_samples = stage.num_samples or math.ceil(num_available * stage.num_epochs)
    batch_size = stage.batch_size * stage.gradient_accumulation
    return StagePlan(
        name=name,
        method=stage.method,
        num_samples=num_samples,
        num_steps=0 if stage.method == "closed_form" else math.ceil(num_samples / batch_size),
        batch_size=batch_size,
        learning_rate=stage.learning_rate,
        fingerprint=fingerprint,
    )
