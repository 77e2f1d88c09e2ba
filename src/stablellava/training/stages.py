"""Align and instruct: two values of one configuration, one function.

<run>/training/<stage>/
  settings.json   what the stage was started with
  log.jsonl       one row per step
  checkpoints/    to resume from; removed when the stage is done
  report.json     written last: the stage is done

Paper: 2308.10253v1, section 4.2 (align the projector, then tune projector and language model).
"""

import shutil
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

import torch

from stablellava.config.tree import RunConfig, StageConfig, StageName
from stablellava.core.errors import RecordError
from stablellava.core.ids import seed_from
from stablellava.model.assembling import Vlm, assemble, load_vlm
from stablellava.model.closed_form import solve_projector
from stablellava.model.feature_cache import FeatureCache
from stablellava.model.vlm import AnswerLoss
from stablellava.store.files import TEMPORARY_PREFIX, explain_disk_errors, write_atomic
from stablellava.store.layout import RunLayout
from stablellava.training.batching import StepPlan, draw_examples, padding_share, plan_steps
from stablellava.training.collating import Collator, EncodedDataset
from stablellava.training.data import TrainingExample, delay_description, load_examples
from stablellava.training.labels import DroppedExample, EncodedExample, encode_all
from stablellava.training.modules import choose_trainable, describe_modules
from stablellava.training.stage_report import StageReport, claim_stage, find_report, identify_stage, report_path
from stablellava.training.step_log import StepLog, StepRow, read_step_log
from stablellava.training.trainer import StageTrainer

Progress = Callable[[str, int, int, str], None]
"""Called with a phase ("model", "features", "solving", "steps"), done, total and a note ("loss 2.31")."""


@dataclass(frozen=True)
class _Prepared:
    """All that is fixed before the weights move."""

    settings: StageConfig
    vlm: Vlm
    examples: list[TrainingExample]
    encoded: list[EncodedExample]
    dropped: list[DroppedExample]
    plan: StepPlan
    cache: FeatureCache


def train_stage(
    config: RunConfig, layout: RunLayout, stage: StageName, progress: Progress | None = None
) -> StageReport:
    """Run a stage, or take it up where it was interrupted; a finished one is only reported.

    Align starts from the assembled model, instruct from the model that align left.

    Raises: RecordError without data or without the stage before, ConfigError if the run directory
    holds the stage under other settings or nothing can be learned, BackendMissing without weights.
    """
    tell = progress or _tell_nobody
    started = time.perf_counter()
    settings = config.training.align if stage == "align" else config.training.instruct
    _use_processor_well(config.training.num_threads)
    examples = [
        delay_description(example, settings.delayed_description_share)
        for example in load_examples(layout.data_dir, settings.data)
    ]
    identity = identify_stage(config, layout, stage, examples)
    finished = find_report(layout, stage, identity)
    if finished is not None:
        return finished
    claim_stage(config, layout, stage, identity)
    ready = _prepare(config, layout, stage, examples, tell)
    rows: list[StepRow] = []
    explained = None
    if settings.method == "closed_form":
        explained = _solve(ready, seed_from(config.seed, stage, "pseudo-photos"), tell)
    else:
        rows = _take_steps(ready, layout, stage, seed_from(config.seed, stage, "trainer"), tell)
    _save_model(ready.vlm, layout.model_dir(stage))
    report = _describe(ready, stage, identity, rows, explained, time.perf_counter() - started)
    write_atomic(report_path(layout, stage), report.to_json())
    shutil.rmtree(_checkpoint_dir(layout, stage), ignore_errors=True)
    return report


def _prepare(
    config: RunConfig, layout: RunLayout, stage: StageName, examples: list[TrainingExample], tell: Progress
) -> _Prepared:
    settings = config.training.align if stage == "align" else config.training.instruct
    vlm = _starting_model(config, layout, stage)
    choose_trainable(vlm.model, settings, stage)
    tell("model", 1, 1, ", ".join(module.summary for module in describe_modules(vlm.model)))
    encoded, dropped = encode_all(examples, vlm.chat, settings.max_length)
    if not encoded:
        raise RecordError(f"{layout.data_dir}: none of {len(examples)} samples can be learned from: {dropped[0]}")
    plan = _plan(settings, encoded, seed_from(config.seed, stage, "order"))
    cache = FeatureCache(layout.features_dir, vlm.model, vlm.processor.image_processor)
    cache.compute(_images_of(encoded, plan), lambda done, total: tell("features", done, total, ""))
    return _Prepared(settings, vlm, examples, encoded, dropped, plan, cache)


def _take_steps(ready: _Prepared, layout: RunLayout, stage: StageName, seed: int, tell: Progress) -> list[StepRow]:
    num_steps = ready.plan.num_steps
    log = StepLog(layout.training_log_path(stage), lambda row: tell("steps", row.step, num_steps, _note(row)))
    StageTrainer(
        AnswerLoss(ready.vlm.model),
        ready.settings,
        ready.plan,
        EncodedDataset(ready.encoded),
        Collator(ready.cache, int(ready.vlm.processor.tokenizer.pad_token_id)),
        log,
        _checkpoint_dir(layout, stage),
        seed,
    ).train_or_resume()
    return read_step_log(log.path)


def _solve(ready: _Prepared, seed: int, tell: Progress) -> float:
    drawn = set(_images_of(ready.encoded, ready.plan))
    shown = dict(pair for example in ready.examples for pair in zip(example.images, example.phrases, strict=False))
    pictures = [(path, phrase) for path, phrase in shown.items() if path in drawn]
    tell("solving", 0, 1, f"{len(pictures)} pictures")
    result = solve_projector(ready.vlm, ready.cache, pictures, ready.settings.closed_form, seed)
    note = f"{result.num_pictures} pictures, {result.num_pseudo_photos} pseudo-photos"
    tell("solving", 1, 1, f"{note}: {result.explained:.0%} of the words' variance explained")
    return result.explained


def _describe(
    ready: _Prepared, stage: StageName, identity: str, rows: list[StepRow], explained: float | None, seconds: float
) -> StageReport:
    lengths = [len(example.token_ids) for example in ready.encoded]
    batches = ready.plan.batches if rows else []
    return StageReport(
        stage=stage,
        method=ready.settings.method,
        identity=identity,
        num_examples=len(ready.examples),
        dropped=tuple(ready.dropped),
        modules=describe_modules(ready.vlm.model),
        num_steps=len(rows),
        num_samples=sum(len(batch) for batch in batches),
        num_tokens=sum(lengths[index] for batch in batches for index in batch),
        padding_share=padding_share(lengths, batches),
        first_loss=rows[0].loss if rows else None,
        last_loss=rows[-1].loss if rows else None,
        explained=explained,
        step_seconds=sum(row.seconds for row in rows),
        seconds=seconds,
    )


def _starting_model(config: RunConfig, layout: RunLayout, stage: StageName) -> Vlm:
    if stage == "align":
        return assemble(config.training.model, seed_from(config.seed, "projector"))
    return load_vlm(layout.model_dir("align"))


def _plan(settings: StageConfig, encoded: Sequence[EncodedExample], seed: int) -> StepPlan:
    drawn = draw_examples(len(encoded), settings.num_samples, settings.num_epochs, seed)
    lengths = [len(example.token_ids) for example in encoded]
    return plan_steps(lengths, drawn, settings.batch_size, settings.gradient_accumulation, seed)


def _images_of(encoded: Sequence[EncodedExample], plan: StepPlan) -> list[Path]:
    drawn = sorted({index for batch in plan.batches for index in batch})
    return list(dict.fromkeys(path for index in drawn for path in encoded[index].images))


def _checkpoint_dir(layout: RunLayout, stage: StageName) -> Path:
    return layout.training_dir(stage) / "checkpoints"


def _save_model(vlm: Vlm, folder: Path) -> None:
    scratch = folder.with_name(f"{TEMPORARY_PREFIX}{folder.name}")
    with explain_disk_errors(folder):
        shutil.rmtree(scratch, ignore_errors=True)
        vlm.save(scratch)
        shutil.rmtree(folder, ignore_errors=True)
        scratch.rename(folder)


def _use_processor_well(num_threads: int) -> None:
    if num_threads:
        torch.set_num_threads(num_threads)
    # Numbers too small for the normal form cost some processors ten times a step's time.
    torch.set_flush_denormal(True)


def _note(row: StepRow) -> str:
    return f"loss {row.loss:.3f}, {row.seconds:.1f} s"


def _tell_nobody(phase: str, done: int, total: int, note: str) -> None:
    del phase, done, total, note
