"""All that is fixed before a stage's weights move: model, samples, steps, pictures."""

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
from accelerate import PartialState
from accelerate.utils import gather_object
from numpy.typing import NDArray

from stablellava.config.training import SpeedSettings, StageConfig, StageName
from stablellava.config.tree import RunConfig
from stablellava.core.errors import RecordError
from stablellava.core.ids import seed_from
from stablellava.model.adapters import add_adapters
from stablellava.model.assembling import Vlm
from stablellava.model.base_precision import lower_base_precision
from stablellava.model.checkpoints import begin_vlm, load_vlm
from stablellava.model.feature_cache import FeatureCache
from stablellava.store.image_refs import ImageRef
from stablellava.store.layout import RunLayout
from stablellava.training.batching import StepPlan, StepShape, plan_steps
from stablellava.training.collating import CachedPatches, DecodedPictures, PackingCollator, PaddingCollator
from stablellava.training.data import TrainingExample
from stablellava.training.encoded_samples import EncodedSamples, encode_samples
from stablellava.training.holding_out import split_held_out
from stablellava.training.kernels import shortens_last_layer
from stablellava.training.labels import DroppedExample, EncodedExample
from stablellava.training.mixing import draw_samples
from stablellava.training.modules import choose_trainable, describe_modules
from stablellava.training.reporting import Progress

BYTES_PER_GB = 1e9


@dataclass(frozen=True)
class Prepared:
    """A stage before its first step."""

    settings: StageConfig
    vlm: Vlm
    examples: Sequence[TrainingExample]
    encoded: Sequence[EncodedExample]
    dropped: list[DroppedExample]
    plan: StepPlan
    held_out: StepPlan | None
    """One step of the samples kept out of training, as every process measures its part of them."""
    cache: FeatureCache
    packed: bool

    def with_model(self, vlm: Vlm) -> "Prepared":
        """Return the same stage with another model object, its trainable parts marked alike."""
        for own, other in zip(vlm.model.parameters(), self.vlm.model.parameters(), strict=True):
            own.requires_grad_(other.requires_grad)
        return replace(self, vlm=vlm)


def prepare_stage(
    config: RunConfig,
    layout: RunLayout,
    stage: StageName,
    examples: Sequence[TrainingExample],
    processes: PartialState,
    tell: Progress,
) -> Prepared:
    """Load the model, encode the samples, plan the steps and compute what is cached.

    Raises: RecordError if no sample can be learned from, ConfigError for settings that do not fit.
    """
    training = config.training
    settings = training.align if stage == "align" else training.instruct
    with processes.main_process_first():
        # The first process converts and caches what the others then find.
        vlm = starting_model(config, layout, stage)
    choose_trainable(vlm.model, settings, stage)
    tell("model", 1, 1, ", ".join(module.summary for module in describe_modules(vlm.model)))
    encoded, dropped = encode_samples(examples, vlm.chat, settings.max_length, layout.root)
    if not encoded:
        where = "sources" if settings.sources else str(layout.data_dir)
        raise RecordError(f"{where}: none of {len(examples)} samples can be learned from: {dropped[0].summary}")
    by_gradient = settings.method == "gradient"
    kept_out, taught = split_held_out(encoded, training.watch.held_out_samples if by_gradient else 0)
    plan = _plan(settings, encoded, taught, processes.num_processes, seed_from(config.seed, stage, "order"))
    cache = FeatureCache(layout.features_dir, vlm.model, vlm.processor.image_processor)
    if training.speed.cached_features or not by_gradient:
        images = images_of(encoded, [*plan.drawn(), *kept_out])
        _fill(cache, images, training.speed, processes, tell)
    held_out = _plan_held_out(plan, kept_out) if kept_out else None
    packed = by_gradient and training.speed.packing
    return Prepared(settings, vlm, examples, encoded, dropped, plan, held_out, cache, packed)


def starting_model(config: RunConfig, layout: RunLayout, stage: StageName) -> Vlm:
    """Return what a stage starts from, adapters included where it trains them.

    Align starts from assembled parts or the checkpoint that the settings name; instruct from align's model, or where
    align was not run, from that checkpoint.
    """
    training = config.training
    settings = training.align if stage == "align" else training.instruct
    aligned = layout.model_dir("align")
    if stage == "instruct" and (not training.model.start or (aligned / "config.json").is_file()):
        vlm = load_vlm(aligned)
    else:
        vlm = begin_vlm(training.model, seed_from(config.seed, "projector"))
    if settings.lora is not None:
        lower_base_precision(vlm.model, settings.lora.base_precision)
        add_adapters(vlm.model, settings.lora, seed_from(config.seed, stage, "adapters"))
    return vlm


def build_collator(ready: Prepared, speed: SpeedSettings, attention: str) -> PaddingCollator | PackingCollator:
    """Return what makes batches of samples: packed or padded, with cached patches or decoded pictures."""
    processor = ready.vlm.processor
    size_px = int(ready.vlm.model.model.vision_tower.config.image_size)
    pictures = (
        CachedPatches(ready.cache) if speed.cached_features else DecodedPictures(processor.image_processor, size_px)
    )
    pad_token_id = int(processor.tokenizer.pad_token_id)
    if not speed.packing:
        return PaddingCollator(pictures, pad_token_id)
    if attention == "block_mask":
        return PackingCollator(pictures, pad_token_id, speed.row_length)
    is_short = attention == "segments" and shortens_last_layer(ready.vlm.model, speed)
    return PackingCollator(pictures, pad_token_id, names_answer_places=is_short)


def images_of(encoded: Sequence[EncodedExample], drawn: Sequence[int]) -> list[ImageRef]:
    """Return the pictures of the drawn samples, each once."""
    return list(dict.fromkeys(path for index in sorted(set(drawn)) for path in encoded[index].images))


def _plan(
    settings: StageConfig, encoded: EncodedSamples, taught: NDArray[np.int64], num_processes: int, seed: int
) -> StepPlan:
    drawn = draw_samples(settings, np.array(encoded.sources), taught, seed)
    shape = StepShape(settings.batch_size, settings.gradient_accumulation, num_processes)
    return plan_steps(encoded.lengths, drawn, shape, seed, grouped=settings.group_by_length)


def _plan_held_out(plan: StepPlan, kept_out: Sequence[int]) -> StepPlan:
    """Return steps over the samples, so that every process has as many batches as the others."""
    shape = StepShape(plan.shape.batch_size, 1, plan.shape.num_processes)
    return plan_steps(plan.lengths, np.array(kept_out, dtype=np.int64), shape, 0)


def _fill(
    cache: FeatureCache, images: list[ImageRef], speed: SpeedSettings, processes: PartialState, tell: Progress
) -> None:
    """Compute what is missing, every process its part."""
    if speed.max_cache_gb is not None and processes.is_main_process:
        cache.make_room(images, speed.max_cache_gb * BYTES_PER_GB)
    processes.wait_for_everyone()
    own = images[processes.process_index :: processes.num_processes]
    cache.compute(own, lambda done, total: tell("features", done, total, ""), speed.num_workers, processes.device)
    for digests in gather_object([cache.digest_of]):
        # Else every process would read every picture once more in its steps, to know which features are its.
        cache.digest_of |= digests
    cache.refresh()
