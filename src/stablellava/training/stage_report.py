"""What a stage was started with, and what it did when it was done."""

from collections.abc import Sequence
from pathlib import Path

from stablellava.config.fingerprint import NOT_IN_STAGE, changed_settings, stage_fingerprint
from stablellava.config.training import StageName
from stablellava.config.tree import RunConfig
from stablellava.core.errors import ConfigError, RecordError
from stablellava.core.ids import hash_id
from stablellava.core.record import Record
from stablellava.model.weight_files import hash_weights, list_weight_files
from stablellava.store.files import write_atomic
from stablellava.store.layout import RunLayout
from stablellava.training.data import TrainingExample
from stablellava.training.labels import DroppedExample
from stablellava.training.modules import ModulePlan


class StageReport(Record):
    """A finished stage."""

    stage: StageName
    method: str
    identity: str
    """Hash of settings, data and starting weights: equal for runs that give equal weights."""
    num_examples: int
    dropped: tuple[DroppedExample, ...]
    modules: tuple[ModulePlan, ...]
    num_steps: int
    num_samples: int
    """Drawn for the steps, repeats counted."""
    num_tokens: int
    """Of the drawn samples, image tokens included, padding not."""
    padding_share: float
    """Share of the computed positions that was padding."""
    first_loss: float | None
    last_loss: float | None
    explained: float | None = None
    """Closed form only: share of the words' variance that the projector explains."""
    step_seconds: float
    """Sum over the log's steps, those before an interrupt included."""
    seconds: float
    """Of the last run of the stage, loading and saving included."""
    num_spikes: int = 0
    """Steps whose loss stood out; the log names their samples."""


class _StageStart(Record):
    identity: str
    config: RunConfig


def identify_stage(
    config: RunConfig, layout: RunLayout, stage: StageName, examples: Sequence[TrainingExample], num_processes: int = 1
) -> str:
    """Return a hash of all that the stage's weights depend on; a step grows with the processes.

    Raises: RecordError if instruct has no model to start from.
    """
    data = [_identify_example(example) for example in examples]
    together = [num_processes] if num_processes > 1 else []
    return hash_id(stage_fingerprint(config, stage), hash_id(data), _hash_start(config, layout, stage), *together)


def _identify_example(example: TrainingExample) -> str:
    names, turns = [image.name for image in example.images], [turn.model_dump() for turn in example.turns]
    return hash_id(example.example_id, names, turns, example.system, example.source)


def find_report(layout: RunLayout, stage: StageName, identity: str) -> StageReport | None:
    """Return the report of the finished stage if its weights are there and are the ones asked for."""
    path = report_path(layout, stage)
    if not path.is_file() or not (layout.model_dir(stage) / "config.json").is_file():
        return None
    report = StageReport.from_json(path.read_bytes(), str(path))
    return report if report.identity == identity else None


def claim_stage(config: RunConfig, layout: RunLayout, stage: StageName, identity: str) -> None:
    """Note what the stage is started with.

    Raises: ConfigError if the run directory holds this stage started with something else.
    """
    path = layout.training_dir(stage) / "settings.json"
    start = _StageStart(identity=identity, config=config)
    if path.is_file():
        earlier = _StageStart.from_json(path.read_bytes(), str(path))
        if earlier.identity != identity:
            changed = changed_settings(earlier.config, config, NOT_IN_STAGE)
            what = "; ".join(changed) or "the data, the model it starts from or the number of processes"
            raise ConfigError(
                f"{layout.root} already holds the stage {stage}, started otherwise ({what}). "
                f"Use another run directory, or delete {path.parent} and {layout.model_dir(stage)}"
            )
    write_atomic(path, start.to_json())


def read_start(layout: RunLayout, stage: StageName) -> RunConfig:
    """Return the settings that a stage was started with.

    Raises: RecordError if it was not.
    """
    path = layout.training_dir(stage) / "settings.json"
    if not path.is_file():
        raise RecordError(f"{layout.root}: the stage {stage} was not started; {path} is missing")
    return _StageStart.from_json(path.read_bytes(), str(path)).config


def report_path(layout: RunLayout, stage: StageName) -> Path:
    """Return where the report of a stage lies."""
    return layout.training_dir(stage) / "report.json"


def _hash_start(config: RunConfig, layout: RunLayout, stage: StageName) -> str:
    start = Path(config.training.model.start).expanduser() if config.training.model.start else None
    aligned = layout.model_dir("align")
    if stage == "instruct" and list_weight_files(aligned):
        return hash_weights(aligned)
    if start is not None:
        if not list_weight_files(start):
            raise ConfigError(f"training.model.start={str(start)!r} holds no weights of a model")
        return hash_weights(start)
    if stage == "instruct":
        raise RecordError(f"{aligned} holds no model: run `stablellava train --stage align` first")
    return ""
