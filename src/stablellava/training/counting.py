"""Tokens of a stage's own data, counted with the model's tokenizer; no weights are read where that can be helped."""

from stablellava.config.training import StageName
from stablellava.config.tree import RunConfig
from stablellava.core.errors import RecordError
from stablellava.model.chat_template import IMAGE_TOKEN, Chat, bind_template
from stablellava.model.language_model import load_tokenizer
from stablellava.model.sketching import count_image_tokens
from stablellava.store.layout import RunLayout
from stablellava.training.labels import encode_all
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
    encoded, dropped = encode_all(data.examples, chat, settings.max_length)
    if not encoded:
        raise RecordError(f"none of {len(dropped)} samples can be learned from: {dropped[0]}")
    return TokenCounts(
        num_samples=len(encoded),
        tokens_per_sample=sum(len(example.token_ids) for example in encoded) / len(encoded),
        supervised_per_sample=sum(example.num_supervised for example in encoded) / len(encoded),
        is_counted=True,
    )
