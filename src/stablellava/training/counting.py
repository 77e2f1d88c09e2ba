"""Tokens of a stage's own data, counted with the model's tokenizer; no weights are read where that can be helped."""

from stablellava.config.training import StageConfig, StageName
from stablellava.config.tree import RunConfig
from stablellava.core.errors import RecordError
from stablellava.model.chat_template import IMAGE_TOKEN, Chat, bind_template
from stablellava.model.language_model import load_tokenizer
from stablellava.model.sketching import count_image_tokens
from stablellava.store.layout import RunLayout
from stablellava.training.batching import StepShape, draw_examples, padding_share, plan_steps
from stablellava.training.labels import DroppedExample, iter_encoded
from stablellava.training.stage_data import load_stage_data
from stablellava.training.stage_plan import TokenCounts


def count_tokens(config: RunConfig, layout: RunLayout, stage: StageName) -> TokenCounts:
    """Encode the stage's samples and return their counts.

    Raises: RecordError if there are no samples or none can be learned from; ConfigError for a source or a
        tokenizer that is not there.
    """
    training = config.training
    settings = training.align if stage == "align" else training.instruct
    data = load_stage_data(settings, layout.data_dir, layout.training_dir(stage), training.check_images == "decode")
    tokenizer = load_tokenizer(training.model.language_model)
    template = bind_template(training.model.chat_template, tokenizer)
    tokenizer.add_special_tokens({"additional_special_tokens": [IMAGE_TOKEN]})
    chat = Chat(tokenizer, template, count_image_tokens(training.model))
    lengths: list[int] = []
    supervised: list[int] = []
    dropped: list[DroppedExample] = []
    for outcome in iter_encoded(data.examples, chat, settings.max_length):
        if isinstance(outcome, DroppedExample):
            dropped.append(outcome)
        else:
            lengths.append(len(outcome.token_ids))
            supervised.append(outcome.num_supervised)
    if not lengths:
        raise RecordError(f"none of {len(dropped)} samples can be learned from: {dropped[0]}")
    return TokenCounts(
        num_samples=len(lengths),
        tokens_per_sample=sum(lengths) / len(lengths),
        supervised_per_sample=sum(supervised) / len(lengths),
        is_counted=True,
        longest_tokens=max(lengths),
        longest_supervised=max(supervised),
        padding_share=0.0 if training.speed.packing else _padding_share(settings, lengths),
    )


def _padding_share(settings: StageConfig, lengths: list[int]) -> float:
    """Return which share of the positions of an epoch's batches would be padding."""
    shape = StepShape(settings.batch_size, settings.gradient_accumulation)
    drawn = draw_examples(len(lengths), None, 1.0, seed=0)
    steps = plan_steps(lengths, drawn, shape, seed=0, grouped=settings.group_by_length)
    return padding_share(lengths, steps.batches())
