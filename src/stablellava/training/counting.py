"""Tokens of a stage's own data, counted with the model's tokenizer; no weights are read where that can be helped."""

from array import array
from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from stablellava.config.training import ModelSettings, StageConfig, StageName
from stablellava.config.tree import RunConfig
from stablellava.core.errors import RecordError
from stablellava.core.ids import seed_from
from stablellava.model.chat_template import IMAGE_TOKEN, Chat, bind_template
from stablellava.model.language_model import load_tokenizer
from stablellava.model.sketching import count_image_tokens
from stablellava.store.layout import RunLayout
from stablellava.training.batching import StepShape, padding_share, plan_steps
from stablellava.training.labels import DroppedExample, iter_encoded
from stablellava.training.mixing import draw_samples
from stablellava.training.stage_data import load_stage_data
from stablellava.training.stage_plan import TokenCounts


def count_tokens(config: RunConfig, layout: RunLayout, stage: StageName) -> TokenCounts:
    """Encode the stage's samples and return the counts of what is drawn of them.

    Raises: RecordError if there are no samples or none can be learned from; ConfigError for a source or a
        tokenizer that is not there, or for a source that would be repeated more often than allowed.
    """
    training = config.training
    settings = training.align if stage == "align" else training.instruct
    data = load_stage_data(settings, layout.data_dir, layout.training_dir(stage), training.check_images == "decode")
    lengths, supervised, sources = array("q"), array("q"), array("q")
    dropped: list[DroppedExample] = []
    for outcome in iter_encoded(data.examples, _chat_of(training.model), settings.max_length):
        if isinstance(outcome, DroppedExample):
            dropped.append(outcome)
            continue
        lengths.append(len(outcome.token_ids))
        supervised.append(outcome.num_supervised)
        sources.append(outcome.source)
    if not lengths:
        raise RecordError(f"none of {len(dropped)} samples can be learned from: {dropped[0].summary}")
    seed = seed_from(config.seed, stage, "order")
    drawn = draw_samples(settings, np.array(sources), np.arange(len(lengths)), seed)
    tokens_of_draw, supervised_of_draw = np.array(lengths)[drawn], np.array(supervised)[drawn]
    return TokenCounts(
        num_samples=len(lengths),
        num_drawn=len(drawn),
        tokens_per_sample=float(tokens_of_draw.mean()),
        supervised_per_sample=float(supervised_of_draw.mean()),
        is_counted=True,
        longest_tokens=int(tokens_of_draw.max()),
        longest_supervised=int(supervised_of_draw.max()),
        padding_share=0.0 if training.speed.packing else _padding_share(settings, lengths, drawn, seed),
    )


def _chat_of(model: ModelSettings) -> Chat:
    num_image_tokens = count_image_tokens(model)
    tokenizer = load_tokenizer(model.start or model.language_model)
    template = bind_template(model.chat_template, tokenizer)
    tokenizer.add_special_tokens({"additional_special_tokens": [IMAGE_TOKEN]})
    return Chat(tokenizer, template, num_image_tokens)


def _padding_share(settings: StageConfig, lengths: Sequence[int], drawn: NDArray[np.int64], seed: int) -> float:
    """Return which share of the positions of one process's batches will be padding."""
    shape = StepShape(settings.batch_size, settings.gradient_accumulation)
    return padding_share(lengths, plan_steps(lengths, drawn, shape, seed, grouped=settings.group_by_length).batches())
