"""How fast a stage would train here: a few of its own steps, whose weights are thrown away."""

import time
from itertools import cycle, islice

import torch
from torch import nn

from stablellava.config.training import StageName, TrainingSettings
from stablellava.config.tree import RunConfig
from stablellava.model.vlm import AnswerLoss
from stablellava.store.layout import RunLayout
from stablellava.training.kernels import apply_kernels, check_kernels, choose_attention, loss_of, use_kernels
from stablellava.training.preparing import Prepared, build_collator, prepare_stage
from stablellava.training.processes import join_processes, wait_for_accelerator
from stablellava.training.reporting import tell_nobody
from stablellava.training.stage_data import load_stage_data


def probe_rate(config: RunConfig, layout: RunLayout, stage: StageName, num_steps: int) -> float:
    """Return tokens per second of this device over so many steps, the first one not counted; needs the weights.

    Nothing is kept but the pictures' features, which the stage then finds.

    Raises: as ``train_stage``.
    """
    training = config.training
    settings = training.align if stage == "align" else training.instruct
    check_kernels(training.speed, training.precision)
    data = load_stage_data(settings, layout.data_dir, layout.training_dir(stage), training.check_images == "decode")
    processes = join_processes()
    ready = prepare_stage(config, layout, stage, data.examples, processes, tell_nobody)
    nn.Module.to(ready.vlm.model, processes.device)
    return _time_steps(ready, training, num_steps)


def _time_steps(ready: Prepared, training: TrainingSettings, num_steps: int) -> float:
    llava, speed = ready.vlm.model, training.speed
    attention = choose_attention(speed, training.precision)
    collator = build_collator(ready, speed, attention)
    batches = ready.plan.batches(balanced=speed.packing)
    learning = [parameter for parameter in llava.parameters() if parameter.requires_grad]
    optimizer = torch.optim.AdamW(learning, lr=ready.settings.learning_rate)
    loss_model = AnswerLoss(llava, answers_only=speed.answers_only)
    llava.train()
    num_tokens, started = 0, 0.0
    with use_kernels(llava, speed, attention):
        for step, places in enumerate(islice(cycle(batches), num_steps + 1)):
            examples = [ready.encoded[index] for index in places]
            batch = collator(examples)
            if step == 0:
                apply_kernels(loss_model, speed, batch, training.precision)
            if step == 1:
                wait_for_accelerator()
                started = time.perf_counter()
            torch.autograd.backward(loss_of(loss_model, batch, training.precision))
            optimizer.step()
            optimizer.zero_grad()
            num_tokens += sum(len(example.token_ids) for example in examples) if step else 0
    wait_for_accelerator()
    return num_tokens / (time.perf_counter() - started)
