"""What a stage will cost before anybody pays: parameters, tokens, steps, memory, time. No weights are read."""

import math
from dataclasses import dataclass, replace

from torch import nn
from transformers import LlavaForConditionalGeneration

from stablellava.config.training import StageConfig, StageName
from stablellava.config.tree import RunConfig
from stablellava.core.errors import ConfigError
from stablellava.core.record import Record
from stablellava.model.sketching import count_image_tokens, sketch_llava
from stablellava.training.budget import BYTES_OF_PRECISION, BatchSizes, MemoryPart, ModelSizes, Strategy, count_memory
from stablellava.training.modules import ModulePlan, choose_trainable, describe_modules

BYTES_PER_GB = 1e9


@dataclass(frozen=True)
class Cluster:
    """What there is to train on."""

    num_devices: int
    device_gb: float
    strategy: Strategy
    tokens_per_second: float | None = None
    """Of one device; None: no time is stated."""


@dataclass(frozen=True)
class TokenCounts:
    """What a stage learns from, counted or assumed."""

    num_samples: int
    tokens_per_sample: float
    """Image tokens included."""
    supervised_per_sample: float
    is_counted: bool
    """Counted in the stage's own data, not assumed."""
    padding_share: float | None = None
    """Of all positions that are computed; None: not known without the data."""
    longest_tokens: int | None = None
    """Of the longest sample; samples alike in length share a step, so the largest step is made of such."""
    longest_supervised: int | None = None
    num_drawn: int | None = None
    """Over all epochs and sources; None: as the stage's own settings say, which know nothing of sources."""


class StagePlan(Record):
    """The plan of one stage."""

    stage: str
    modules: tuple[ModulePlan, ...]
    num_adapter_parameters: int
    num_trained: int
    image_tokens: int
    num_samples: int
    """Drawn over all epochs."""
    num_tokens: int
    num_supervised: int
    are_tokens_counted: bool
    padding_share: float | None
    """Of all positions that are computed; 0 where samples are packed, None where it is not known."""
    samples_per_step: int
    num_steps: int
    num_devices: int
    device_gb: float
    strategy: str
    memory: tuple[MemoryPart, ...]
    total_gb: float
    fits: bool
    advice: tuple[str, ...]
    """What would fit, when this does not."""
    tokens_per_second: float | None
    """Of one device, as given or measured."""
    hours: float | None
    longest_tokens: int | None
    """Of the sample that the memory is counted for; None: for samples of mean length."""


def plan_stage(
    config: RunConfig, stage: StageName, cluster: Cluster, counts: TokenCounts, global_batch: int | None = None
) -> StagePlan:
    """Return the plan.

    Args:
        config: the run.
        stage: align or instruct.
        cluster: devices and how the stage is spread over them.
        counts: of the stage's samples.
        global_batch: samples per step that are wanted; None: what batch size, accumulation and devices give.

    Raises: ConfigError for parts of unknown size, or a global batch that cannot be divided.
    """
    settings = config.training.align if stage == "align" else config.training.instruct
    samples_per_step = settings.batch_size * settings.gradient_accumulation * cluster.num_devices
    if global_batch is not None:
        settings = _divide(settings, stage, cluster.num_devices, global_batch)
        samples_per_step = global_batch
    llava = sketch_llava(config.training.model)
    sizes, num_adapters = measure_model(llava, settings, stage)
    memory = _count(config, settings, sizes, cluster, counts)
    total_gb = sum(part.bytes_per_device for part in memory) / BYTES_PER_GB
    fits = total_gb <= cluster.device_gb
    drawn = counts.num_drawn or settings.num_samples or round(counts.num_samples * settings.num_epochs)
    num_tokens = round(drawn * counts.tokens_per_sample)
    rate = cluster.tokens_per_second
    return StagePlan(
        stage=stage,
        modules=describe_modules(llava),
        num_adapter_parameters=num_adapters,
        num_trained=sizes.num_trained,
        image_tokens=count_image_tokens(config.training.model),
        num_samples=drawn,
        num_tokens=num_tokens,
        num_supervised=round(drawn * counts.supervised_per_sample),
        are_tokens_counted=counts.is_counted,
        padding_share=0.0 if config.training.speed.packing else counts.padding_share,
        samples_per_step=samples_per_step,
        num_steps=math.ceil(drawn / samples_per_step),
        num_devices=cluster.num_devices,
        device_gb=cluster.device_gb,
        strategy=cluster.strategy,
        memory=memory,
        total_gb=total_gb,
        fits=fits,
        advice=() if fits else tuple(_advise(config, settings, sizes, cluster, counts)),
        tokens_per_second=rate,
        hours=num_tokens / (rate * cluster.num_devices) / 3600 if rate else None,
        longest_tokens=counts.longest_tokens,
    )


def measure_model(
    llava: LlavaForConditionalGeneration, settings: StageConfig, stage: StageName
) -> tuple[ModelSizes, int]:
    """Return what the memory arithmetic needs, and how many parameters adapters add; marks what learns."""
    choose_trainable(llava, settings, stage)
    text = llava.config.get_text_config()
    head_width = text.hidden_size // text.num_attention_heads
    num_adapters = count_adapter_parameters(llava, settings)
    language_model = {id(p) for p in (*llava.model.language_model.parameters(), *llava.lm_head.parameters())}
    base_bytes = BYTES_OF_PRECISION[settings.lora.base_precision] if settings.lora else 4.0
    frozen_bytes = sum(
        parameter.numel() * (base_bytes if id(parameter) in language_model else 4.0)
        for parameter in llava.parameters()
        if not parameter.requires_grad
    )
    layers = list(llava.model.language_model.layers)
    root = {id(p): p for p in (*llava.get_input_embeddings().parameters(), *llava.lm_head.parameters())}
    trained = sum(parameter.numel() for parameter in llava.parameters() if parameter.requires_grad)
    sizes = ModelSizes(
        num_trained=trained + num_adapters,
        frozen_bytes=frozen_bytes,
        largest_block=_num_parameters(layers[0]),
        root_block=sum(parameter.numel() for parameter in root.values()),
        num_layers=len(layers),
        width=text.hidden_size,
        kv_width=text.num_key_value_heads * head_width,
        mlp_width=text.intermediate_size,
        vocabulary=text.vocab_size,
    )
    return sizes, num_adapters


def count_adapter_parameters(llava: LlavaForConditionalGeneration, settings: StageConfig) -> int:
    """Return the parameters of rank x (in + out) for every linear layer inside the language model's layers."""
    if settings.lora is None:
        return 0
    linears = [part for layer in llava.model.language_model.layers for part in layer.modules()]
    return sum(
        settings.lora.rank * (part.in_features + part.out_features) for part in linears if isinstance(part, nn.Linear)
    )


def _num_parameters(module: nn.Module) -> int:
    return sum(parameter.numel() for parameter in module.parameters())


def _divide(settings: StageConfig, stage: StageName, num_devices: int, global_batch: int) -> StageConfig:
    per_pass = settings.batch_size * num_devices
    if global_batch % per_pass == 0:
        return settings.model_copy(update={"gradient_accumulation": global_batch // per_pass})
    sizes = [size for size in range(settings.batch_size, 0, -1) if global_batch % (size * num_devices) == 0]
    nearest = max(round(global_batch / per_pass), 1) * per_pass
    hint = (
        f"batch_size={sizes[0]} with gradient_accumulation={global_batch // (sizes[0] * num_devices)}"
        if sizes
        else f"a global batch of {nearest}"
    )
    raise ConfigError(
        f"a step of {global_batch} samples cannot be cut into passes of {settings.batch_size} on {num_devices} "
        f"devices (training.{stage}.batch_size); {hint} would divide"
    )


def _count(
    config: RunConfig, settings: StageConfig, sizes: ModelSizes, cluster: Cluster, counts: TokenCounts
) -> tuple[MemoryPart, ...]:
    batch = BatchSizes(
        num_tokens=round(settings.batch_size * (counts.longest_tokens or counts.tokens_per_sample)),
        num_supervised=round(settings.batch_size * (counts.longest_supervised or counts.supervised_per_sample)),
    )
    training = config.training
    return count_memory(
        sizes,
        batch,
        cluster.strategy,
        cluster.num_devices,
        training.precision == "bfloat16",
        training.speed.gradient_checkpointing,
    )


def _advise(
    config: RunConfig, settings: StageConfig, sizes: ModelSizes, cluster: Cluster, counts: TokenCounts
) -> list[str]:
    """Return the least changes that would fit, each tried alone and then together with smaller batches."""
    found: list[str] = []
    kept = config.training.speed.gradient_checkpointing
    for checkpointing in dict.fromkeys((kept, True)):
        for strategy in dict.fromkeys((cluster.strategy, "fsdp" if cluster.num_devices > 1 else cluster.strategy)):
            for batch_size in _divisors(settings.batch_size):
                tried = settings.model_copy(update={"batch_size": batch_size})
                speed = config.training.speed.model_copy(update={"gradient_checkpointing": checkpointing})
                training = config.training.model_copy(update={"speed": speed})
                parts = _count(
                    config.model_copy(update={"training": training}),
                    tried,
                    sizes,
                    replace(cluster, strategy=strategy),
                    counts,
                )
                total_gb = sum(part.bytes_per_device for part in parts) / BYTES_PER_GB
                if total_gb <= cluster.device_gb:
                    found.append(
                        _name_changes(kept, checkpointing, cluster.strategy, strategy, settings, batch_size, total_gb)
                    )
                    break
    if not found:
        found.append("nothing tried fits: use LoRA, more devices, or a smaller model")
    return list(dict.fromkeys(found))[:3]


def _divisors(batch_size: int) -> list[int]:
    """Return the smaller batches that accumulation makes up to the same step, the largest first."""
    return [size for size in range(batch_size, 0, -1) if batch_size % size == 0]


def _name_changes(
    had_checkpointing: bool,
    checkpointing: bool,
    old_strategy: str,
    strategy: str,
    settings: StageConfig,
    batch_size: int,
    total_gb: float,
) -> str:
    changes = []
    if checkpointing and not had_checkpointing:
        changes.append("training.speed.gradient_checkpointing=true")
    if strategy != old_strategy:
        changes.append(f"--strategy {strategy}")
    if batch_size != settings.batch_size:
        accumulation = settings.gradient_accumulation * settings.batch_size // batch_size
        changes.append(f"batch_size={batch_size} gradient_accumulation={accumulation}")
    return f"{' '.join(changes)} takes {total_gb:.1f} GB"
