"""The library's Trainer with our loss, our batch order and checkpoints that survive a kill."""

import shutil
import time
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import torch
from safetensors.torch import load_file, save_file
from torch import nn
from torch.utils.data import DataLoader, Sampler
from transformers import PrinterCallback, Trainer, TrainingArguments

from stablellava.config.tree import StageConfig
from stablellava.core.errors import ConfigError
from stablellava.model.vlm import AnswerLoss
from stablellava.training.batching import StepPlan
from stablellava.training.collating import Collator, EncodedDataset
from stablellava.training.step_log import StepLog, StepRow

CHECKPOINTS_KEPT = 2
_WEIGHTS_NAME = "trainable.safetensors"
_MARKER_NAME = "complete"


class FixedBatches(Sampler[list[int]]):
    """Yields planned batches; the attributes are what accelerate reads to split them over devices."""

    drop_last = False

    def __init__(self, batches: Sequence[list[int]], batch_size: int):
        self.batches = batches
        self.batch_size = batch_size

    def __len__(self) -> int:
        return len(self.batches)

    def __iter__(self) -> Iterator[list[int]]:
        return iter(self.batches)


class StageTrainer(Trainer):
    """Trains what requires gradients in ``loss_model`` over the planned batches."""

    model: AnswerLoss

    def __init__(
        self,
        loss_model: AnswerLoss,
        stage: StageConfig,
        plan: StepPlan,
        dataset: EncodedDataset,
        collator: Collator,
        log: StepLog,
        checkpoint_dir: Path,
        seed: int,
    ):
        self.stage = stage
        self.plan = plan
        self.dataset = dataset
        self.step_log = log
        self.checkpoint_dir = checkpoint_dir
        self._step_started = time.perf_counter()
        args = _training_arguments(stage, plan, checkpoint_dir, seed)
        super().__init__(model=loss_model, args=args, train_dataset=dataset, data_collator=collator)
        self.remove_callback(PrinterCallback)
        # AnswerLoss divides by the supervised tokens of the whole step, which the Trainer counts for it.
        self.model_accepts_loss_kwargs = True
        self._loss_shifts_labels = True

    def get_train_dataloader(self) -> DataLoader[Any]:
        """Return the planned batches, skipped over by the Trainer on a resume."""
        sampler = FixedBatches(self.plan.batches, self.stage.batch_size)
        loader = DataLoader(self.dataset, batch_sampler=sampler, collate_fn=self.data_collator)
        prepared: DataLoader[Any] = self.accelerator.prepare(loader)
        return prepared

    def create_optimizer(self, model: nn.Module | None = None) -> torch.optim.Optimizer:
        """Build AdamW with one learning rate for the language model and one for the projector."""
        del model
        if self.optimizer is None:
            self.optimizer = torch.optim.AdamW(_parameter_groups(self.model, self.stage), fused=True)
        return self.optimizer

    def compute_loss(
        self,
        model: nn.Module,
        inputs: dict[str, torch.Tensor],
        return_outputs: bool = False,
        num_items_in_batch: torch.Tensor | int | None = None,
    ) -> Any:
        """Return the loss over the answers' tokens of the whole step."""
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
            examples = [self.dataset[index].example_id for index in self.plan.examples_of(self.state.global_step)]
            raise ConfigError(
                f"the loss of step {self.state.global_step + 1} is {loss.item()}; samples {', '.join(examples)}. "
                f"Lower learning_rate ({self.stage.learning_rate:g}) or look at these samples"
            )
        return loss

    def log(self, logs: dict[str, float], start_time: float | None = None) -> None:
        """Write one row per step; the Trainer's closing summary is not one."""
        super().log(logs, start_time)
        if "loss" not in logs:
            return
        now = time.perf_counter()
        examples = [self.dataset[index] for index in self.plan.examples_of(self.state.global_step - 1)]
        row = StepRow(
            step=self.state.global_step,
            loss=logs["loss"],
            learning_rate=logs["learning_rate"],
            seconds=now - self._step_started,
            supervised_tokens=sum(example.num_supervised for example in examples),
            samples=len(examples),
        )
        self._step_started = now
        self.step_log.append(row)

    def train_or_resume(self) -> None:
        """Train to the end, from the newest complete checkpoint if there is one."""
        checkpoint = find_checkpoint(self.checkpoint_dir)
        self.step_log.start_after(_step_of(checkpoint) if checkpoint else 0)
        self._step_started = time.perf_counter()
        self.train(resume_from_checkpoint=str(checkpoint) if checkpoint else None)

    def _save_checkpoint(self, model: nn.Module, trial: Any) -> None:
        super()._save_checkpoint(model, trial)
        # The Trainer wrote file after file; only a folder with the marker is taken up again.
        (self.checkpoint_dir / f"checkpoint-{self.state.global_step}" / _MARKER_NAME).touch()
        self._step_started = time.perf_counter()

    def _save(self, output_dir: str | None = None, state_dict: dict[str, torch.Tensor] | None = None) -> None:
        """Write the weights being trained; the others are in the model the stage starts from."""
        folder = Path(output_dir or self.checkpoint_dir)
        folder.mkdir(parents=True, exist_ok=True)
        source = state_dict if state_dict is not None else dict(self.model.named_parameters())
        wanted = {name for name, parameter in self.model.named_parameters() if parameter.requires_grad}
        save_file({name: source[name].detach().contiguous() for name in sorted(wanted)}, folder / _WEIGHTS_NAME)

    def _load_from_checkpoint(self, resume_from_checkpoint: str, model: nn.Module | None = None) -> None:
        weights = load_file(Path(resume_from_checkpoint) / _WEIGHTS_NAME)
        target = self.model if model is None else model
        unexpected = target.load_state_dict(weights, strict=False).unexpected_keys
        if unexpected:
            raise ConfigError(f"{resume_from_checkpoint} belongs to another model: it has {unexpected[0]}; delete it")


def find_checkpoint(folder: Path) -> Path | None:
    """Return the newest complete checkpoint below a folder; torn ones are deleted."""
    complete: list[Path] = []
    for path in folder.glob("checkpoint-*"):
        if (path / _MARKER_NAME).is_file():
            complete.append(path)
        else:
            shutil.rmtree(path)
    return max(complete, key=_step_of, default=None)


def _step_of(checkpoint: Path) -> int:
    return int(checkpoint.name.rpartition("-")[2])


def _parameter_groups(model: AnswerLoss, stage: StageConfig) -> list[dict[str, Any]]:
    """Return groups by learning rate and decay, the language model's first: the log shows the first one's rate."""
    groups: dict[tuple[bool, bool], list[nn.Parameter]] = {}
    for name, parameter in model.named_parameters():
        if parameter.requires_grad:
            groups.setdefault(("multi_modal_projector" in name, parameter.dim() > 1), []).append(parameter)
    projector_rate = stage.projector_learning_rate or stage.learning_rate
    return [
        {
            "params": groups[is_projector, is_matrix],
            "lr": projector_rate if is_projector else stage.learning_rate,
            "weight_decay": stage.weight_decay if is_matrix else 0.0,
        }
        for is_projector, is_matrix in sorted(groups)
    ]


def _training_arguments(stage: StageConfig, plan: StepPlan, checkpoint_dir: Path, seed: int) -> TrainingArguments:
    return TrainingArguments(
        output_dir=str(checkpoint_dir),
        per_device_train_batch_size=stage.batch_size,
        gradient_accumulation_steps=stage.gradient_accumulation,
        num_train_epochs=1,
        learning_rate=stage.learning_rate,
        weight_decay=stage.weight_decay,
        max_grad_norm=stage.max_grad_norm,
        lr_scheduler_type=stage.schedule,
        warmup_steps=round(stage.warmup_share * plan.num_steps),
        save_strategy="steps" if stage.save_every_steps else "no",
        save_steps=max(stage.save_every_steps, 1),
        save_total_limit=CHECKPOINTS_KEPT,
        logging_strategy="steps",
        logging_steps=1,
        # A step whose loss is not a number must end the run, not be averaged away.
        logging_nan_inf_filter=False,
        seed=seed % 2**32,
        dataloader_pin_memory=torch.cuda.is_available(),
        remove_unused_columns=False,
        report_to="none",
        disable_tqdm=True,
    )
