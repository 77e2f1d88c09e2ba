"""What a stage takes of each device's memory, part by part, by arithmetic alone.

The formulas are written out with an example in docs/training-plan.md. Bytes are counted per device; a gigabyte is
10^9 bytes.
"""

from typing import Literal

from stablellava.core.record import Record

Strategy = Literal["ddp", "fsdp", "zero2", "zero3"]
STRATEGIES: tuple[Strategy, ...] = ("ddp", "fsdp", "zero2", "zero3")
ADAM_BYTES = 8
"""Two moments in float32 per trained parameter."""
ASSUMED_OVERHEAD_BYTES = 2_000_000_000
"""CUDA context, communication buffers and fragmentation; an assumption, not a measurement."""
_NF4_BYTES = 0.5625
"""Four bits, and one float32 scale for 64 weights."""
BYTES_OF_PRECISION = {"float32": 4.0, "bfloat16": 2.0, "nf4": _NF4_BYTES}


class ModelSizes(Record):
    """What the arithmetic needs of a model."""

    num_trained: int
    """Parameters with a gradient, adapters included."""
    frozen_bytes: float
    """Of all parameters without a gradient, as they are kept."""
    largest_block: int
    """Parameters of one transformer layer: what a sharded run gathers at a time."""
    root_block: int
    """Parameters outside the layers of the language model: embeddings and head."""
    num_layers: int
    width: int
    kv_width: int
    mlp_width: int
    vocabulary: int


class BatchSizes(Record):
    """One device's share of one forward and backward pass, in tokens without padding."""

    num_tokens: int
    num_supervised: int


class MemoryPart(Record):
    """One line of the budget."""

    name: str
    bytes_per_device: int


def count_memory(
    model: ModelSizes,
    batch: BatchSizes,
    strategy: Strategy,
    num_devices: int,
    is_bfloat16: bool,
    has_checkpointing: bool,
) -> tuple[MemoryPart, ...]:
    """Return the parts of one device's peak memory, the largest first within weights, states and activations."""
    activation_bytes = 2 if is_bfloat16 else 4
    parts = {
        **_count_states(model, strategy, num_devices, is_bfloat16),
        **_count_activations(model, batch, activation_bytes, has_checkpointing),
        # One float32 buffer is the logits, then their gradient; autocast makes each of it or for it in bfloat16.
        "logits of supervised tokens": batch.num_supervised * model.vocabulary * (6 if is_bfloat16 else 4),
        "context and buffers (assumed)": ASSUMED_OVERHEAD_BYTES,
    }
    return tuple(MemoryPart(name=name, bytes_per_device=round(value)) for name, value in parts.items() if value)


def _count_states(model: ModelSizes, strategy: Strategy, num_devices: int, is_bfloat16: bool) -> dict[str, float]:
    trained = model.num_trained
    shards = num_devices
    gathered = (2 * model.largest_block + model.root_block) * (2 if is_bfloat16 else 4)
    if strategy == "ddp":
        # Autocast keeps a bfloat16 copy of float32 weights for the time of a step.
        copies = 2 * trained if is_bfloat16 else 0
        return {
            "frozen weights": model.frozen_bytes,
            "trained weights": 4 * trained,
            "gradients": 4 * trained,
            "optimizer": ADAM_BYTES * trained,
            "bfloat16 copies": copies,
        }
    if strategy == "fsdp":
        return {
            "frozen weights": model.frozen_bytes / shards,
            "trained weights": 4 * trained / shards,
            "gradients": 4 * trained / shards,
            "optimizer": ADAM_BYTES * trained / shards,
            "gathered layers": gathered,
        }
    is_sharded = strategy == "zero3"
    return {
        "frozen weights": model.frozen_bytes / (shards if is_sharded else 1),
        "trained weights": 2 * trained / (shards if is_sharded else 1) + 4 * trained / shards,
        "gradients": 2 * trained / shards,
        "optimizer": ADAM_BYTES * trained / shards,
        "gathered layers": gathered if is_sharded else 0,
    }


def _count_activations(
    model: ModelSizes, batch: BatchSizes, activation_bytes: int, has_checkpointing: bool
) -> dict[str, float]:
    # Kept of a layer for its backward pass: its input, two norms, queries, attention, the sum between its halves,
    # keys and values, and the MLP's gate, its activation, the other branch and their product.
    per_token = 6 * model.width + 2 * model.kv_width + 4 * model.mlp_width
    of_layer = batch.num_tokens * per_token * activation_bytes
    if not has_checkpointing:
        return {"activations": model.num_layers * of_layer}
    return {
        "layer inputs kept": model.num_layers * batch.num_tokens * model.width * activation_bytes,
        "one layer computed again": of_layer,
    }
