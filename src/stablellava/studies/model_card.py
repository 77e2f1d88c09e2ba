"""The model card: what a model was trained on, how, and what it scores, as far as its run says."""

import json
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from stablellava.config.fingerprint import data_fingerprint, flatten
from stablellava.config.training import StageConfig, StageName
from stablellava.config.tree import RunConfig
from stablellava.core.errors import RecordError
from stablellava.core.score import EvalLog
from stablellava.model.adapters import is_adapter
from stablellava.store.files import write_atomic
from stablellava.store.layout import RunLayout
from stablellava.store.manifest import manifest_path, read_manifest
from stablellava.training.stage_data import SOURCES_FILE, SourceReports
from stablellava.training.stage_report import StageReport, read_start, report_path

CARD_NAME = "README.md"
_STAGES: tuple[StageName, ...] = ("align", "instruct")
_OF_CLOSED_FORM = "closed_form."
_OF_EVERY_METHOD = ("method", "data", "train_projector", "max_length")


@dataclass(frozen=True)
class _Trained:
    """A finished stage."""

    config: RunConfig
    report: StageReport

    @property
    def settings(self) -> StageConfig:
        return self.config.training.align if self.report.stage == "align" else self.config.training.instruct


def write_model_card(model: Path, folder: Path) -> Path:
    """Write the card of a model into a folder; ``model`` is where it was trained, if that was in a run here."""
    layout, stages = _find_stages(model.resolve())
    sections = [_front(model)]
    for trained in stages:
        sections.append(_data(layout, trained))
        sections.append(_hyper_parameters(trained))
    if stages:
        sections.append(_scores(layout, stages[-1].report.stage))
    else:
        sections.append("Trained elsewhere: this folder was written from a model that no run here describes.")
    path = folder / CARD_NAME
    write_atomic(path, ("\n\n".join(sections) + "\n").encode())
    return path


def _find_stages(model: Path) -> tuple[RunLayout, list[_Trained]]:
    """Return the run that a model lies in, and its stages up to that model; none if it lies in no run."""
    layout = RunLayout(model.parent.parent)
    known = [stage for stage in _STAGES if layout.model_dir(stage) == model]
    if not known:
        return layout, []
    upto = _STAGES[: _STAGES.index(known[0]) + 1]
    done = [stage for stage in upto if report_path(layout, stage).is_file()]
    return layout, [
        _Trained(
            read_start(layout, stage),
            StageReport.from_json(report_path(layout, stage).read_bytes(), str(report_path(layout, stage))),
        )
        for stage in done
    ]


def _front(model: Path) -> str:
    config = json.loads((model / "config.json").read_text(encoding="utf-8"))
    tower = config.get("vision_config", {}).get("model_type") or config.get("mm_vision_tower", "")
    language_model = config.get("text_config", {}).get("model_type") or config.get("model_type", "")
    kind = "adapters and projector of a LLaVA" if is_adapter(model) else "LLaVA"
    return (
        "---\npipeline_tag: image-text-to-text\ntags:\n- llava\n- stablellava\n---\n\n"
        f"# {model.resolve().parent.parent.name} {model.resolve().name}\n\n"
        f"A {kind}: tower {tower}, language model {language_model}. Two stages after arXiv 2308.10253 (StableLLaVA): "
        "align the projector, then instruct."
    )


def _data(layout: RunLayout, trained: _Trained) -> str:
    report, settings = trained.report, trained.settings
    lines = [
        f"## {report.stage.capitalize()}: data",
        "",
        f"{report.num_examples:,} samples usable, {_drawn(report)}, "
        f"{len(report.dropped):,} dropped because nothing of them could be learned.",
        "",
        "| source | rows | usable | drawn by |",
        "|---|---|---|---|",
        *_source_rows(layout, trained.config, settings, report.stage),
    ]
    return "\n".join(lines)


def _source_rows(layout: RunLayout, config: RunConfig, settings: StageConfig, stage: str) -> Iterator[str]:
    if not settings.sources:
        yield from _own_samples(layout, config, settings)
        return
    path = layout.training_dir(stage) / SOURCES_FILE
    reports = SourceReports.from_json(path.read_bytes(), str(path)).sources if path.is_file() else ()
    total = sum(source.share or 0 for source in settings.sources)
    for source, found in zip(settings.sources, reports, strict=False):
        amount = f"{settings.num_epochs:g} epochs"
        if source.share is not None:
            amount = f"share {source.share / total:.1%}"
        elif source.samples is not None:
            amount = f"{source.samples:,} samples"
        elif source.epochs is not None:
            amount = f"{source.epochs:g} epochs"
        yield f"| {found.source} | {found.num_rows:,} | {found.num_good:,} | {amount} |"


def _own_samples(layout: RunLayout, config: RunConfig, settings: StageConfig) -> Iterator[str]:
    rows, owed = "unknown", ""
    if manifest_path(layout.data_dir).is_file():
        manifest = read_manifest(layout.data_dir)
        rows, owed = f"{sum(count.accepted for count in manifest.counts.values()):,}", manifest.attribution
    amount = f"{settings.num_samples:,} samples" if settings.num_samples else f"{settings.num_epochs:g} epochs"
    yield f"| synthesized in this run, fingerprint `{data_fingerprint(config)}` | {rows} | {rows} | {amount} |"
    if owed:
        yield f"\nOwed to the painter's material: {owed}"


def _drawn(report: StageReport) -> str:
    if report.method == "closed_form":
        return "their pictures solved for at once"
    return f"{report.num_samples:,} drawn ({report.num_tokens:,} tokens)"


def _hyper_parameters(trained: _Trained) -> str:
    report = trained.report
    values: dict[str, Any] = flatten(trained.settings.model_dump(mode="json", exclude={"sources"}))
    is_solved = report.method == "closed_form"
    rows = [
        f"| {name} | {value} |"
        for name, value in values.items()
        if name in _OF_EVERY_METHOD or name.startswith(_OF_CLOSED_FORM) == is_solved
    ]
    modules = "; ".join(module.summary for module in report.modules)
    return "\n".join(
        [
            f"## {report.stage.capitalize()}: training",
            "",
            f"{_course(report)}; {modules}.",
            f"Seed {trained.config.seed}, precision {trained.config.training.precision}.",
            f"Fingerprint of settings, data and starting weights: `{report.identity}`",
            "",
            "| setting | value |",
            "|---|---|",
            *rows,
        ]
    )


def _scores(layout: RunLayout, stage: str) -> str:
    logs = []
    for path in sorted(layout.eval_log_path("*", stage).parent.glob(f"*.{stage}.json")):
        try:
            logs.append(EvalLog.from_json(path.read_bytes(), str(path)))
        except RecordError:  # of another kind: a benchmark's log, which has a report of its own
            continue
    if not logs:
        return "## Scores\n\nNot evaluated in this run."
    rows = [
        f"| {log.suite} | {report.name} | {_percent(report.value)} | {_percent(report.ci_low)} to "
        f"{_percent(report.ci_high)} | {report.num_items} |"
        for log in logs
        for report in log.reports
    ]
    head = ["## Scores", "", "| suite | task | right | 95 % interval | items |", "|---|---|---|---|---|"]
    return "\n".join([*head, *rows])


def _course(report: StageReport) -> str:
    if report.first_loss is None or report.last_loss is None:
        return f"Solved in closed form, {_percent(report.explained)} of the words' variance explained"
    return f"{report.num_steps:,} steps, loss {report.first_loss:.4f} to {report.last_loss:.4f}"


def _percent(value: float | None) -> str:
    return "-" if value is None else f"{100 * value:.1f} %"
