"""Align and instruct: two values of one configuration, one function.

<run>/training/<stage>/
  settings.json   what the stage was started with
  log.jsonl       one row per step
  measures.jsonl  one row per measurement
  checkpoints/    to resume from; removed when the stage is done
  tensorboard/    events, if training.watch.report_to asks for them
  report.json     written last: the stage is done

Several processes (torchrun, accelerate) train one stage together on a run directory that all of them see.

Paper: 2308.10253v1, section 4.2 (align the projector, then tune projector and language model).
"""

import shutil
import time
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

import torch

from stablellava.config.training import StageConfig, StageName, TrainingSettings
from stablellava.config.tree import RunConfig
from stablellava.core.errors import ConfigError
from stablellava.core.ids import seed_from
from stablellava.model.assembling import Vlm
from stablellava.model.closed_form import ShownPicture, solve_projector
from stablellava.model.vlm import AnswerLoss
from stablellava.store.files import TEMPORARY_PREFIX, explain_disk_errors, write_atomic
from stablellava.store.layout import RunLayout
from stablellava.training.batching import padding_share
from stablellava.training.collating import EncodedDataset
from stablellava.training.data import TrainingExample
from stablellava.training.kernels import apply_kernels, check_kernels, choose_attention, use_attention, use_kernels
from stablellava.training.loggers import check_loggers
from stablellava.training.modules import describe_modules
from stablellava.training.preparing import Prepared, build_collator, prepare_stage, starting_model
from stablellava.training.processes import join_processes
from stablellava.training.reporting import Progress, note_of_step, tell_nobody
from stablellava.training.stage_data import load_stage_data
from stablellava.training.stage_report import StageReport, claim_stage, find_report, identify_stage, report_path
from stablellava.training.step_log import MeasureRow, RowLog, StepRow, read_step_log
from stablellava.training.trainer import StageLogs, StageTrainer

MeasureVlm = Callable[[Vlm], Mapping[str, float]]
"""Called with the model being trained, in the main process; returns figures of which more is better."""


def train_stage(
    config: RunConfig,
    layout: RunLayout,
    stage: StageName,
    progress: Progress | None = None,
    measure: MeasureVlm | None = None,
) -> StageReport:
    """Run a stage, or take it up where it was interrupted; a finished one is only reported.

    Align starts from the assembled model, instruct from the model that align left.

    Raises: RecordError without data or without the stage before, ConfigError if the run directory
    holds the stage under other settings or nothing can be learned, BackendMissing without weights.
    """
    started = time.perf_counter()
    processes = join_processes()
    tell = progress if progress is not None and processes.is_main_process else tell_nobody
    settings = config.training.align if stage == "align" else config.training.instruct
    _check(config.training, settings, measure)
    _use_processor_well(config.training.num_threads)
    with processes.main_process_first():
        # The first process checks the sources; the others find its report.
        examples = _load_examples(config, layout, stage, settings, tell)
    identity = identify_stage(config, layout, stage, examples, processes.num_processes)
    finished = find_report(layout, stage, identity)
    if finished is not None:
        return finished
    if processes.is_main_process:
        claim_stage(config, layout, stage, identity)
    ready = prepare_stage(config, layout, stage, examples, processes, tell)
    explained = None
    if settings.method == "closed_form":
        explained = _solve(ready, seed_from(config.seed, stage, "pseudo-photos"), tell)
    else:
        ready = _take_steps(ready, config, layout, stage, tell, measure)
    if processes.is_main_process:
        _save_model(ready.vlm, layout.model_dir(stage))
    processes.wait_for_everyone()
    report = _describe(ready, layout, stage, identity, explained, time.perf_counter() - started)
    if processes.is_main_process:
        write_atomic(report_path(layout, stage), report.to_json())
        shutil.rmtree(_checkpoint_dir(layout, stage), ignore_errors=True)
    return report


def _take_steps(
    ready: Prepared,
    config: RunConfig,
    layout: RunLayout,
    stage: StageName,
    tell: Progress,
    measure: MeasureVlm | None,
) -> Prepared:
    """Train, and return what was trained: another model object where processes held shards of it."""
    training, llava = config.training, ready.vlm.model
    attention = choose_attention(training.speed, training.precision)
    collator = build_collator(ready, training.speed, attention)
    loss_model = AnswerLoss(llava, answers_only=training.speed.answers_only)
    trainer = StageTrainer(
        loss_model,
        training,
        ready.settings,
        ready.plan,
        EncodedDataset(ready.encoded),
        collator,
        _open_logs(layout, stage, ready.plan.num_steps, tell),
        _checkpoint_dir(layout, stage),
        seed_from(config.seed, stage, "trainer"),
        ready.held_out,
        None if measure is None else lambda: _measure_undisturbed(ready.vlm, before, measure),
    )
    before = llava.model.language_model.config._attn_implementation
    with use_kernels(llava, training.speed, attention):
        first = [ready.encoded[index] for index in ready.plan.batches()[0]]
        apply_kernels(loss_model, training.speed, collator(first), training.precision)
        trainer.train_or_resume()
    gathered = trainer.gather_sharded_weights()
    if gathered:
        whole = starting_model(config, layout, stage)
        whole.model.load_state_dict(gathered)
        ready = ready.with_model(whole)
    return ready


def _measure_undisturbed(vlm: Vlm, attention: str, measure: MeasureVlm) -> Mapping[str, float]:
    was_training = vlm.model.training
    vlm.model.eval()
    try:
        with use_attention(vlm.model, attention), torch.no_grad():
            return measure(vlm)
    finally:
        vlm.model.train(was_training)


def _solve(ready: Prepared, seed: int, tell: Progress) -> float:
    times = Counter(image for index in ready.plan.drawn() for image in ready.encoded[index].images)
    shown = dict(pair for example in ready.examples for pair in zip(example.images, example.phrases, strict=False))
    pictures = [ShownPicture(image, phrase, times[image]) for image, phrase in shown.items() if times[image]]
    tell("solving", 0, 1, f"{len(pictures)} pictures")
    result = solve_projector(ready.vlm, ready.cache, pictures, ready.settings.closed_form, seed)
    note = f"{result.num_pictures} pictures, {result.num_pseudo_photos} pseudo-photos"
    tell("solving", 1, 1, f"{note}: {result.explained:.0%} of the words' variance explained")
    return result.explained


def _describe(
    ready: Prepared, layout: RunLayout, stage: StageName, identity: str, explained: float | None, seconds: float
) -> StageReport:
    by_gradient = ready.settings.method == "gradient"
    rows: list[StepRow] = read_step_log(layout.training_log_path(stage)) if by_gradient else []
    steps = ready.plan.steps[: len(rows)]
    lengths = ready.plan.lengths
    return StageReport(
        stage=stage,
        method=ready.settings.method,
        identity=identity,
        num_examples=len(ready.examples),
        dropped=tuple(ready.dropped),
        modules=describe_modules(ready.vlm.model),
        num_steps=len(rows),
        num_samples=sum(len(step) for step in steps),
        num_tokens=sum(lengths[index] for step in steps for index in step),
        padding_share=0.0 if ready.packed else padding_share(lengths, ready.plan.batches() if rows else []),
        first_loss=rows[0].loss if rows else None,
        last_loss=rows[-1].loss if rows else None,
        explained=explained,
        step_seconds=sum(row.seconds for row in rows),
        seconds=seconds,
        num_spikes=sum(bool(row.suspects) for row in rows),
    )


def _open_logs(layout: RunLayout, stage: StageName, num_steps: int, tell: Progress) -> StageLogs:
    def tell_step(row: StepRow) -> None:
        tell("steps", row.step, num_steps, note_of_step(row))

    path = layout.training_log_path(stage)
    return StageLogs(RowLog(path, StepRow, tell_step), RowLog(path.with_name("measures.jsonl"), MeasureRow))


def _checkpoint_dir(layout: RunLayout, stage: StageName) -> Path:
    return layout.training_dir(stage) / "checkpoints"


def _save_model(vlm: Vlm, folder: Path) -> None:
    scratch = folder.with_name(f"{TEMPORARY_PREFIX}{folder.name}")
    with explain_disk_errors(folder):
        shutil.rmtree(scratch, ignore_errors=True)
        vlm.save(scratch)
        shutil.rmtree(folder, ignore_errors=True)
        scratch.rename(folder)


def _check(training: TrainingSettings, settings: StageConfig, measure: MeasureVlm | None) -> None:
    """Refuse what would fail later, before anything is read."""
    watch = training.watch
    check_loggers(watch.report_to)
    if watch.every_steps and watch.metric != "loss" and measure is None:
        raise ConfigError(f'training.watch.metric={watch.metric!r}: nothing measures it here; "loss" always works')
    if settings.method == "gradient":
        check_kernels(training.speed, training.precision)


def _load_examples(
    config: RunConfig, layout: RunLayout, stage: StageName, settings: StageConfig, tell: Progress
) -> Sequence[TrainingExample]:
    return load_stage_data(
        settings,
        layout.data_dir,
        layout.training_dir(stage),
        config.training.check_images == "decode",
        max(config.training.speed.num_workers, 1),
        lambda source, done, total: tell("checking", done, total, source),
    ).examples


def _use_processor_well(num_threads: int) -> None:
    if num_threads:
        torch.set_num_threads(num_threads)
    # Numbers too small for the normal form cost some processors ten times a step's time.
    torch.set_flush_denormal(True)
