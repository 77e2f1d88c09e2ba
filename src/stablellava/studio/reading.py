"""Collecting what a run directory holds. Every part may be missing; then its section says so."""

from collections import Counter
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import TypeVar

import orjson

from stablellava.capabilities import load_known
from stablellava.config.loading import load_config
from stablellava.config.tree import RunConfig
from stablellava.core.errors import UserError
from stablellava.core.ids import seed_from
from stablellava.core.sample import Rejected, Sample
from stablellava.core.score import EvalLog, TaskLog
from stablellava.evaluation.capability_benchmark import read_log
from stablellava.evaluation.contamination import ContaminationReport, check_contamination
from stablellava.evaluation.log import is_task_log, read_task_log
from stablellava.store.layout import RunLayout
from stablellava.store.manifest import DataManifest, read_manifest
from stablellava.store.shards import list_shards, read_rejected, read_samples
from stablellava.studio.quality import QualityDigest
from stablellava.synthesis.coverage import Coverage, measure_coverage
from stablellava.synthesis.evolution import RoundRecord, read_rounds

STAGES = ("align", "instruct")
"""In the order they are trained; other stages follow by name."""
_REJECTS_PER_REASON = 4
_T = TypeVar("_T")


@dataclass
class SampleDigest:
    """What the report needs of the samples, gathered in one pass over them."""

    one_per_keyword: dict[str, dict[str, Sample]] = field(default_factory=dict)
    """Capability -> keyword -> a sample of it, chosen by its id."""
    num_samples: int = 0
    num_pictures: int = 0

    def watch(self, samples: Iterable[Sample]) -> Iterator[Sample]:
        """Pass the samples on and remember what is needed of them."""
        for sample in samples:
            self.num_samples += 1
            self.num_pictures += len(sample.paintings)
            chosen = self.one_per_keyword.setdefault(sample.draft.capability, {})
            held = chosen.get(sample.draft.keyword)
            if held is None or seed_from(sample.sample_id) < seed_from(held.sample_id):
                chosen[sample.draft.keyword] = sample
            yield sample


@dataclass
class RejectDigest:
    """Rejects counted, with a few examples of each reason."""

    by_reason: Counter[str] = field(default_factory=Counter)
    by_capability: dict[str, Counter[str]] = field(default_factory=dict)
    examples: dict[str, list[Rejected]] = field(default_factory=dict)

    def add(self, rejected: Rejected) -> None:
        """Count a reject and keep it if its id is among the lowest of its reason."""
        self.by_reason[rejected.reason] += 1
        self.by_capability.setdefault(rejected.capability, Counter())[rejected.reason] += 1
        kept = self.examples.setdefault(rejected.reason, [])
        kept.append(rejected)
        kept.sort(key=lambda one: seed_from(one.draft_id))
        del kept[_REJECTS_PER_REASON:]

    @property
    def num_rejected(self) -> int:
        return self.by_reason.total()


@dataclass(frozen=True)
class SolvedStage:
    """A stage whose projector was solved for, not found by steps."""

    num_examples: int
    seconds: float
    explained: float
    """Share of the words' variance that the projector explains."""


@dataclass
class RunContents:
    """A run as far as it got."""

    layout: RunLayout
    config: RunConfig | None = None
    manifest: DataManifest | None = None
    samples: SampleDigest = field(default_factory=SampleDigest)
    coverage: tuple[Coverage, ...] = ()
    rejects: RejectDigest = field(default_factory=RejectDigest)
    quality: QualityDigest = field(default_factory=QualityDigest)
    rounds: dict[str, list[RoundRecord]] = field(default_factory=dict)
    """Capability -> how its rounds went; empty for a run without a pool."""
    logs: dict[str, dict[str, EvalLog]] = field(default_factory=dict)
    """Suite -> stage -> log, stages in training order."""
    task_logs: tuple[TaskLog, ...] = ()
    """Logs of benchmarks, models in training order."""
    steps: dict[str, list[dict[str, float]]] = field(default_factory=dict)
    """Stage -> rows of its training log."""
    solved: dict[str, SolvedStage] = field(default_factory=dict)
    """Stages that were solved for and so have no steps."""
    seconds: dict[str, float] = field(default_factory=dict)
    """Phase -> seconds."""
    contamination: ContaminationReport | None = None
    """Set when there are both samples and evaluation items to compare."""
    missing: dict[str, str] = field(default_factory=dict)
    """Part -> what is missing, and why."""


def read_run(layout: RunLayout, extra_logs: Iterable[Path] = ()) -> RunContents:
    """Read everything that is there; a damaged part is reported as missing, with its error.

    Raises: RecordError for one of ``extra_logs``, logs of benchmarks that lie elsewhere, that cannot be read.
    """
    run = RunContents(layout)
    if layout.config_path.is_file():
        run.config = _attempt(run, "config", lambda: load_config(layout.config_path))
    _attempt(run, "data", lambda: _read_data(run))
    run.rounds = _attempt(run, "rounds of the pool", lambda: read_rounds(layout.data_dir)) or {}
    for stage in _stages_in(layout):
        _attempt(run, f"training of {stage}", partial(_read_steps, run, stage))
    _read_logs(run)
    _read_task_logs(run, extra_logs)
    if run.logs and run.samples.num_samples:
        _attempt(run, "contamination check", lambda: _check_contamination(run))
    if layout.timing_path.is_file():
        _attempt(run, "timing", lambda: _read_timing(run))
    return run


def _attempt(run: RunContents, part: str, read: Callable[[], _T]) -> _T | None:
    try:
        return read()
    except (UserError, orjson.JSONDecodeError, OSError) as exc:
        run.missing[part] = str(exc)
        return None


def _read_data(run: RunContents) -> None:
    data_dir = run.layout.data_dir
    names = dict.fromkeys(shard_id.split("/")[0] for shard_id in list_shards(data_dir))
    chosen = run.config.synthesis.capabilities if run.config else ()
    # The folder of one's own capability may be gone; what it made is still shown.
    known = _attempt(run, "capabilities", lambda: load_known(chosen)) or load_known()
    made = [known[name] for name in names if name in known]
    run.coverage = measure_coverage(run.quality.watch(run.samples.watch(read_samples(data_dir))), made)
    for rejected in read_rejected(data_dir):
        run.rejects.add(rejected)
        run.quality.add_rejected(rejected)
    run.manifest = read_manifest(data_dir)


def _stages_in(layout: RunLayout) -> list[str]:
    folder = layout.root / "training"
    found = {path.parent.name for name in ("log.jsonl", "report.json") for path in folder.glob(f"*/{name}")}
    return sorted(found, key=stage_order)


def stage_order(stage: str) -> tuple[int, str]:
    """Return a sort key: the stages of training in their order, others after them by name."""
    return (STAGES.index(stage) if stage in STAGES else len(STAGES), stage)


def _read_steps(run: RunContents, stage: str) -> None:
    report_path = run.layout.training_dir(stage) / "report.json"
    # As plain JSON: the report's own record comes with torch, which a page does without.
    report = orjson.loads(report_path.read_bytes()) if report_path.is_file() else {}
    if report.get("explained") is not None:
        run.solved[stage] = SolvedStage(report["num_examples"], report["seconds"], report["explained"])
        return
    rows = []
    for line in run.layout.training_log_path(stage).read_bytes().splitlines():
        row = orjson.loads(line)
        rows.append({name: float(value) for name, value in row.items() if isinstance(value, int | float)})
    run.steps[stage] = rows


def _read_logs(run: RunContents) -> None:
    found: dict[str, dict[str, EvalLog]] = {}
    for path in sorted((run.layout.root / "evaluation").glob("*.*.json")):
        suite, _, stage = path.stem.partition(".")
        log = _attempt(run, f"evaluation of {path.stem}", partial(read_log, path))
        if log is not None:
            found.setdefault(suite, {})[stage] = log
    for suite in sorted(found):
        run.logs[suite] = {stage: found[suite][stage] for stage in sorted(found[suite], key=stage_order)}


def _read_task_logs(run: RunContents, extra_logs: Iterable[Path]) -> None:
    """Read logs of benchmarks beside the suites' logs and below the models, and those named."""
    root = run.layout.root
    lying_here = [*root.glob("evaluation/*.jsonl"), *root.glob("model/*/*.jsonl"), *root.glob("model/*/*/*.jsonl")]
    paths = [path for path in sorted(lying_here) if is_task_log(path)]
    logs = [_attempt(run, f"evaluation of {path.stem}", partial(read_task_log, path)) for path in paths]
    found = [log for log in logs if log is not None]
    known = {path.resolve() for path in paths}
    # Whoever names a log wants it; one that cannot be read stops.
    found += [read_task_log(path) for path in extra_logs if path.resolve() not in known]
    run.task_logs = tuple(sorted(found, key=lambda log: stage_order(log.header.model)))


def _check_contamination(run: RunContents) -> None:
    items = [entry.item for logs in run.logs.values() for entry in next(iter(logs.values())).entries]
    run.contamination = check_contamination(items, read_samples(run.layout.data_dir))


def _read_timing(run: RunContents) -> None:
    run.seconds = dict(_flatten(orjson.loads(run.layout.timing_path.read_bytes())))


def _flatten(value: object, name: str = "") -> Iterator[tuple[str, float]]:
    if isinstance(value, dict):
        for key, inner in value.items():
            yield from _flatten(inner, f"{name} / {key}" if name else str(key))
    elif isinstance(value, int | float) and not isinstance(value, bool):
        yield name or "total", float(value)
