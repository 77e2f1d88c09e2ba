"""The library's Trainer with our loss, our batch order and checkpoints that survive a kill."""

import statistics
import sys
import time
from collections import deque
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from accelerate.utils import gather_object
from safetensors.torch import load_file, save_file
from torch import nn
from torch.utils.data import DataLoader, Sampler
from transformers import PrinterCallback, Trainer

from stablellava.config.training import StageConfig, TrainingSettings
from stablellava.core.errors import ConfigError
from stablellava.model.vlm import AnswerLoss
from stablellava.training.arguments import build_arguments, group_parameters
from stablellava.training.batching import StepPlan
from stablellava.training.checkpoint_folders import MARKER_NAME, find_checkpoint, step_of
from stablellava.training.collating import EncodedDataset, PackingCollator, PaddingCollator
from stablellava.training.loggers import keep_events
from stablellava.training.processes import agree
from stablellava.training.step_log import MeasureRow, RowLog, StepRow

_WEIGHTS_NAME = "trainable.safetensors"
_LOSSES_REMEMBERED = 20
_LOSSES_NEEDED = 5
"""Losses before a spike can be told from a start."""

Measure = Callable[[], Mapping[str, float]]
"""Called in the main process with the weights as they are; higher is better."""


class FixedBatches(Sampler[list[int]]):
    """Yields planned batches; the attributes are what accelerate reads to skip over them."""

    drop_last = False

    def __init__(self, batches: Sequence[list[int]], batch_size: int):
        self.batches = batches
        self.batch_size = batch_size

    def __len__(self) -> int:
        return len(self.batches)

    def __iter__(self) -> Iterator[list[int]]:
        return iter(self.batches)


@dataclass(frozen=True)
class StageLogs:
    """Where a stage writes down its steps and measurements."""

    steps: RowLog[StepRow]
    measures: RowLog[MeasureRow]


class StageTrainer(Trainer):
    """Trains what requires gradients in ``loss_model`` over the planned batches.

    ``held_out`` are samples, one "step" of them, whose loss is measured as the settings say.
    """

    model: AnswerLoss

    def __init__(
        self,
        loss_model: AnswerLoss,
        training: TrainingSettings,
        stage: StageConfig,
        plan: StepPlan,
        dataset: EncodedDataset,
        collator: PaddingCollator | PackingCollator,
        logs: StageLogs,
        checkpoint_dir: Path,
        seed: int,
        held_out: StepPlan | None = None,
        measure: Measure | None = None,
    ):
        self.training = training
        self.stage = stage
        self.plan = plan
        self.dataset = dataset
        self.collator = collator
        self.logs = logs
        self.checkpoint_dir = checkpoint_dir
        self.held_out = held_out
        self.measure = measure
        self._step_started = time.perf_counter()
        self._losses: deque[float] = deque(maxlen=_LOSSES_REMEMBERED)
        args = build_arguments(training, stage, plan.num_steps, checkpoint_dir, seed)
        # The Trainer wants to see a data set where it is to measure; what is measured is planned.
        watched = dataset if training.watch.every_steps else None
        super().__init__(
            model=loss_model, args=args, train_dataset=dataset, data_collator=collator, eval_dataset=watched
        )
        self.remove_callback(PrinterCallback)
        keep_events(self.callback_handler.callbacks, checkpoint_dir.with_name("tensorboard"))
        if measure is not None and self._is_sharded:
            raise ConfigError("a measurement needs the whole model, and processes hold shards of it; measure the loss")
        # AnswerLoss divides by the supervised tokens of the whole step, which the Trainer counts for it.
        self.model_accepts_loss_kwargs = True
        self._loss_shifts_labels = True

    def get_train_dataloader(self) -> DataLoader[Any]:
        """Return this process's planned batches, skipped over by the Trainer on a resume."""
        return self._load(self.plan)

    def create_optimizer(self, model: nn.Module | None = None) -> torch.optim.Optimizer:
        """Build AdamW with one learning rate for the language model and one for the projector."""
        del model
        if self.optimizer is None:
            self.optimizer = torch.optim.AdamW(group_parameters(self.model, self.stage), fused=True)
        return self.optimizer

    def compute_loss(
        self,
        model: nn.Module,
        inputs: dict[str, Any],
        return_outputs: bool = False,
        num_items_in_batch: torch.Tensor | int | None = None,
    ) -> Any:
        """Return the loss over the answers' tokens of the whole step, such that processes may average it."""
        loss = model(**inputs, num_supervised=num_items_in_batch) * self.accelerator.num_processes
        return (loss, {}) if return_outputs else loss

    def training_step(
        self, model: nn.Module, inputs: dict[str, Any], num_items_in_batch: torch.Tensor | int | None = None
    ) -> torch.Tensor:
        """Run one batch forward and backward.

        Raises: ConfigError if the loss is not a number, before the weights are touched.
        """
        loss = super().training_step(model, inputs, num_items_in_batch)
        if not torch.isfinite(loss):
            step = self.state.global_step
            raise ConfigError(
                f"the loss of step {step + 1} is {loss.item()}; samples {', '.join(self._find_culprits(step))}. "
                f"Lower learning_rate ({self.stage.learning_rate:g}) or look at these samples"
            )
        return loss

    def evaluate(self, *args: Any, **options: Any) -> dict[str, float]:
        """Measure the loss on the held-out samples and what the caller wants measured."""
        values: dict[str, float] = {}
        if self.held_out is not None:
            values["loss"] = self._held_out_loss(self.held_out)
        if self.measure is not None:
            measured = dict(self.measure()) if self.is_world_process_zero() else {}
            values |= agree(measured)
        if self.training.watch.metric not in values:
            raise ConfigError(
                f"training.watch.metric={self.training.watch.metric!r} was not measured; there is {', '.join(values)}"
            )
        metrics = {f"eval_{name}": value for name, value in values.items()}
        self.log(metrics)
        if self.is_world_process_zero():
            self.logs.measures.append(MeasureRow(step=self.state.global_step, values=values))
        self.control = self.callback_handler.on_evaluate(self.args, self.state, self.control, metrics)
        self._step_started = time.perf_counter()
        return metrics

    def log(self, logs: dict[str, float], start_time: float | None = None) -> None:
        """Write one row per step; measurements and the Trainer's closing summary are none."""
        super().log(logs, start_time)
        if "loss" not in logs or not self.is_world_process_zero():
            return
        now = time.perf_counter()
        examples = [self.dataset[index] for index in self.plan.steps[self.state.global_step - 1]]
        suspects = [example.example_id for example in examples] if self._stands_out(logs["loss"]) else []
        row = StepRow(
            step=self.state.global_step,
            loss=logs["loss"],
            learning_rate=logs["learning_rate"],
            seconds=now - self._step_started,
            supervised_tokens=sum(example.num_supervised for example in examples),
            samples=len(examples),
            tokens=sum(len(example.token_ids) for example in examples),
            grad_norm=logs.get("grad_norm"),
            suspects=tuple(suspects),
        )
        self._step_started = now
        self._losses.append(row.loss)
        self.logs.steps.append(row)

    def train_or_resume(self) -> None:
        """Train to the end, from the newest complete checkpoint if there is one."""
        checkpoint = agree(find_checkpoint(self.checkpoint_dir) if self.args.should_save else None)
        step = step_of(checkpoint) if checkpoint else 0
        if self.args.should_save:
            self._losses.extend(row.loss for row in self.logs.steps.start_after(step)[-_LOSSES_REMEMBERED:])
            self.logs.measures.start_after(step)
        self._step_started = time.perf_counter()
        self.train(resume_from_checkpoint=str(checkpoint) if checkpoint else None)
        if self.training.watch.keep == "best" and self.state.best_model_checkpoint is not None:
            self._load_from_checkpoint(self.state.best_model_checkpoint, self.model_wrapped)

    def gather_sharded_weights(self) -> dict[str, torch.Tensor] | None:
        """Return all weights on the main process if processes hold shards of them; None if each holds all."""
        if not self._is_sharded:
            return None
        weights = self.accelerator.get_state_dict(self.model_wrapped)
        return {name.removeprefix("llava."): tensor for name, tensor in weights.items()}

    @property
    def _is_sharded(self) -> bool:
        return bool(self.is_fsdp_enabled or self.is_deepspeed_enabled)

    def _load(self, plan: StepPlan) -> DataLoader[Any]:
        packed = isinstance(self.collator, PackingCollator)
        batches = plan.batches(self.args.process_index, balanced=packed)
        num_workers = self.training.speed.num_workers
        # Only forks share the encoded samples; Python 3.14 has to be asked for them, and macOS cannot be.
        context = "fork" if num_workers and sys.platform == "linux" else None
        return DataLoader(
            self.dataset,
            batch_sampler=FixedBatches(batches, self.stage.batch_size),
            collate_fn=self.collator,
            num_workers=num_workers,
            multiprocessing_context=context,
            pin_memory=self.args.dataloader_pin_memory,
        )

    @torch.no_grad()
    def _held_out_loss(self, plan: StepPlan) -> float:
        self.model_wrapped.eval()
        loss_sum, count = 0.0, 0
        for batch in self._load(plan):
            inputs = self._prepare_inputs(batch)
            with self.compute_loss_context_manager():
                loss_sum += float(self.model_wrapped(**inputs, num_supervised=1))
            count += int((inputs["labels"][:, 1:] >= 0).sum())
        # Added up here: not every accelerator has numbers of this precision.
        loss_sums, counts = zip(*gather_object([(loss_sum, count)]), strict=True)
        return float(sum(loss_sums) / sum(counts))

    def _stands_out(self, loss: float) -> bool:
        if len(self._losses) < _LOSSES_NEEDED:
            return False
        return loss > self.training.watch.spike_factor * statistics.median(self._losses)

    @torch.no_grad()
    def _find_culprits(self, step: int) -> list[str]:
        """Return the ids of the samples whose own loss is not a number; all of the step's if none is alone."""
        examples = [self.dataset[index] for index in self.plan.steps[step]]
        names = [example.example_id for example in examples]
        if self._is_sharded:
            return names
        alone = [
            name
            for name, example in zip(names, examples, strict=True)
            if not torch.isfinite(self.model(**self._prepare_inputs(self.collator([example])), num_supervised=1))
        ]
        return alone or names

    def _determine_best_metric(self, metrics: dict[str, float], trial: Any) -> bool:
        is_best = bool(super()._determine_best_metric(metrics, trial))
        watch = self.training.watch
        if is_best and watch.keep == "best":
            self.control.should_save = True
        if watch.stop_after and not is_best:
            waited = (self.state.global_step - (self.state.best_global_step or 0)) // watch.every_steps
            self.control.should_training_stop |= waited >= watch.stop_after
        return is_best

    def _save_checkpoint(self, model: nn.Module, trial: Any) -> None:
        super()._save_checkpoint(model, trial)
        self.accelerator.wait_for_everyone()
        if self.args.should_save:
            # The Trainer wrote file after file; only a folder with the marker is taken up again.
            (self.checkpoint_dir / f"checkpoint-{self.state.global_step}" / MARKER_NAME).touch()
        self._step_started = time.perf_counter()

    def _save(self, output_dir: str | None = None, state_dict: dict[str, torch.Tensor] | None = None) -> None:
        """Write the weights being trained; the others are in the model the stage starts from."""
        if not self.args.should_save:
            return
        folder = Path(output_dir or self.checkpoint_dir)
        folder.mkdir(parents=True, exist_ok=True)
        source = state_dict if state_dict is not None else dict(self.model.named_parameters())
        wanted = {name for name, parameter in self.model.named_parameters() if parameter.requires_grad}
        save_file({name: source[name].detach().contiguous() for name in sorted(wanted)}, folder / _WEIGHTS_NAME)

    def _load_from_checkpoint(self, resume_from_checkpoint: str, model: nn.Module | None = None) -> None:
        if self.is_fsdp_enabled:
            super()._load_from_checkpoint(resume_from_checkpoint, model)
            return
        weights = load_file(Path(resume_from_checkpoint) / _WEIGHTS_NAME)
        unexpected = self.model.load_state_dict(weights, strict=False).unexpected_keys
        if unexpected:
            raise ConfigError(f"{resume_from_checkpoint} belongs to another model: it has {unexpected[0]}; delete it")
