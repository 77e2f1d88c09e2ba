"""The demo: the whole loop as one function, from nothing to a before-and-after table.

Paper: 2308.10253v1, figure 6 (per capability, with and without training on synthesized dialogues).
Departs: before is the model after the align stage, so both have seen the same pictures' descriptions.
"""

from pathlib import Path

from stablellava.config.training import StageName
from stablellava.config.tree import RunConfig
from stablellava.core.record import Record
from stablellava.core.score import EvalLog
from stablellava.evaluation.capability_benchmark import evaluate_suite
from stablellava.evaluation.comparing import Comparison, compare_logs
from stablellava.evaluation.contamination import check_contamination, ensure_clean
from stablellava.evaluation.gap import Gap, compare_suites
from stablellava.evaluation.suites import load_suite
from stablellava.model.answering import LocalAnswerer
from stablellava.model.language_model import ASSET_OF_MODEL
from stablellava.store.assets import pull_asset
from stablellava.store.layout import RunLayout
from stablellava.store.shards import read_samples
from stablellava.studies.timing import PhaseClock, PhaseDisplay, PhaseTime, ShowPhase
from stablellava.studies.watching import build_measure
from stablellava.synthesis.suites import make_suite
from stablellava.synthesis.synthesizing import synthesize
from stablellava.training.stages import train_stage

GENERATED, PHOTOS = "generated", "photos"
STAGES: tuple[StageName, ...] = ("align", "instruct")


class DemoResult(Record):
    """What the demo found."""

    run_dir: str
    num_samples: int
    generated: Comparison
    photos: Comparison | None = None
    gap: Gap | None = None
    """The model after instruct, on generated items and on photos."""
    phases: tuple[PhaseTime, ...]


def run_demo(config: RunConfig, layout: RunLayout, show: ShowPhase, photos_dir: Path | None = None) -> DemoResult:
    """Synthesize, train and measure; every phase goes on from what an earlier call left.

    Raises: what the phases raise; nothing is caught here.
    """
    clock = PhaseClock(layout.timing_path, show)
    with clock.phase("fetch weights"):
        _pull_language_model(config)
    with clock.phase("synthesize") as display:
        data = synthesize(config, layout, display.show_synthesis)
    with clock.phase("make suite") as display:
        make_suite(config, layout, display.show_synthesis)
    _ensure_held_out(layout)
    suites = {GENERATED: layout.suite_dir(GENERATED)}
    if photos_dir:
        suites[PHOTOS] = photos_dir
    logs: dict[tuple[str, StageName], EvalLog] = {}
    for stage in STAGES:
        with clock.phase(f"train {stage}") as display:
            train_stage(config, layout, stage, display.show_training, build_measure(config, layout))
        for suite, folder in suites.items():
            with clock.phase(f"evaluate {stage} on {suite}") as display:
                logs[suite, stage] = _evaluate(config, layout, stage, suite, folder, display)
    comparisons = {suite: compare_logs(logs[suite, "align"], logs[suite, "instruct"]) for suite in suites}
    gap = compare_suites(logs[GENERATED, "instruct"], logs[PHOTOS, "instruct"]) if photos_dir else None
    return DemoResult(
        run_dir=str(layout.root),
        num_samples=data.num_accepted,
        generated=comparisons[GENERATED],
        photos=comparisons.get(PHOTOS),
        gap=gap,
        phases=clock.phases,
    )


def _evaluate(
    config: RunConfig, layout: RunLayout, stage: StageName, suite: str, folder: Path, display: PhaseDisplay
) -> EvalLog:
    settings = config.evaluation
    answerer = LocalAnswerer(
        layout.model_dir(stage),
        settings.max_new_tokens,
        settings.batch_size,
        # Both stages look through the same frozen tower.
        feature_dir=layout.features_dir,
        num_threads=config.training.num_threads,
    )
    return evaluate_suite(
        folder,
        answerer,
        suite,
        log_path=layout.eval_log_path(suite, stage),
        batch_size=settings.batch_size,
        progress=display.show_answers,
    )


def _pull_language_model(config: RunConfig) -> None:
    asset_name = ASSET_OF_MODEL.get(config.training.model.language_model)
    if asset_name:
        pull_asset(asset_name)


def _ensure_held_out(layout: RunLayout) -> None:
    """Raise RecordError if training would see a combination or a picture that is asked about."""
    items = load_suite(layout.suite_dir(GENERATED)).items
    ensure_clean(check_contamination(items, read_samples(layout.data_dir)))
