"""Our settings in the words of the library's Trainer."""

from pathlib import Path
from typing import Any

import torch
from torch import nn
from transformers import TrainingArguments

from stablellava.config.training import StageConfig, TrainingSettings
from stablellava.model.vlm import AnswerLoss
from stablellava.training.processes import has_accelerator

CHECKPOINTS_KEPT = 2
_NEVER = 10**9


def build_arguments(
    training: TrainingSettings, stage: StageConfig, num_steps: int, checkpoint_dir: Path, seed: int
) -> TrainingArguments:
    """Return what the Trainer is told."""
    watch = training.watch
    return TrainingArguments(
        output_dir=str(checkpoint_dir),
        per_device_train_batch_size=stage.batch_size,
        gradient_accumulation_steps=stage.gradient_accumulation,
        num_train_epochs=1,
        learning_rate=stage.learning_rate,
        weight_decay=stage.weight_decay,
        max_grad_norm=stage.max_grad_norm,
        lr_scheduler_type=stage.schedule,
        warmup_steps=round(stage.warmup_share * num_steps),
        save_strategy="steps" if stage.save_every_steps or watch.keep == "best" else "no",
        save_steps=stage.save_every_steps or _NEVER,
        save_total_limit=CHECKPOINTS_KEPT,
        eval_strategy="steps" if watch.every_steps else "no",
        eval_steps=watch.every_steps or None,
        metric_for_best_model=watch.metric,
        greater_is_better=watch.metric != "loss",
        logging_strategy="steps",
        logging_steps=1,
        # A step whose loss is not a number must end the run, not be averaged away.
        logging_nan_inf_filter=False,
        seed=seed % 2**32,
        use_cpu=not has_accelerator(),
        # Every trained parameter takes part in every batch; frozen ones are left out before.
        ddp_find_unused_parameters=False,
        bf16=training.precision == "bfloat16",
        tf32=torch.cuda.is_available() or None,
        dataloader_pin_memory=torch.cuda.is_available(),
        remove_unused_columns=False,
        report_to=list(watch.report_to) or "none",
        project="stablellava",
        run_name=f"{checkpoint_dir.parents[2].name}-{checkpoint_dir.parent.name}",
        disable_tqdm=True,
    )


def group_parameters(model: AnswerLoss, stage: StageConfig) -> list[dict[str, Any]]:
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
