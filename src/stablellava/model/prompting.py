"""Prompts for checkpoints: those that are trained here, and any other LLaVA in the Hugging Face form.

Departs: where a question holds a tag for each of its images, the images of a foreign checkpoint stand there; LLaVA's
own loader moves them to the front.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal, Protocol

import torch
from torch import nn
from transformers import BaseImageProcessor, LlavaForConditionalGeneration, LlavaProcessor, PreTrainedTokenizerBase

from stablellava.core.draft import Turn
from stablellava.core.errors import RecordError
from stablellava.model.chat_template import IMAGE_TOKEN, Chat, count_images, find_chat_template, recognise_template
from stablellava.model.checkpoints import count_tokens_per_image, read_checkpoint

PromptStyle = Literal["own", "llava-1.5"]
"""The checkpoint's own chat template, or the words LLaVA-1.5 is trained and evaluated with (conv-mode vicuna_v1)."""
LLAVA_15_TEMPLATE = "vicuna_v1"


class Prompter(Protocol):
    """From a dialogue to token ids."""

    tokenizer: PreTrainedTokenizerBase

    def prompt(self, turns: Sequence[Turn]) -> list[int]:
        """Return the ids after which the model answers; a placeholder for each token of an image."""
        ...

    def prompt_text(self, turns: Sequence[Turn]) -> str:
        """Return the prompt as text, one image token per image."""
        ...

    def complete(self, turns: Sequence[Turn], answer: str) -> list[int]:
        """Return the ids of prompt and answer, without the token that closes an answer."""
        ...


@dataclass(frozen=True)
class Checkpoint:
    """A LLaVA ready to be asked."""

    model: LlavaForConditionalGeneration
    image_processor: BaseImageProcessor
    prompter: Prompter
    stop_token_ids: frozenset[int]


class ChatPrompter:
    """Prompts by one of our templates: what people say is never read as markup."""

    def __init__(self, chat: Chat):
        self.tokenizer = chat.tokenizer
        self._chat = chat

    def prompt(self, turns: Sequence[Turn]) -> list[int]:
        return self._chat.prompt(turns)

    def prompt_text(self, turns: Sequence[Turn]) -> str:
        return self._chat.prompt_text(turns)

    def complete(self, turns: Sequence[Turn], answer: str) -> list[int]:
        segments = self._chat.segments([*turns, Turn(speaker="assistant", text=answer)])
        return [token_id for segment in segments for token_id in segment.token_ids][:-1]


class JinjaPrompter:
    """Prompts of a checkpoint from elsewhere: rendered by its chat template, tokenised as its processor does."""

    def __init__(self, processor: LlavaProcessor, template: str, image_token_id: int, tokens_per_image: int):
        self.tokenizer: PreTrainedTokenizerBase = processor.tokenizer
        self._template = template
        self._image_token_id = image_token_id
        self._image_token = str(self.tokenizer.convert_ids_to_tokens(image_token_id))
        self._tokens_per_image = tokens_per_image

    def prompt(self, turns: Sequence[Turn]) -> list[int]:
        """Return the ids after which the model answers.

        Raises: RecordError if a question holds the image token, other than once for each of its images.
        """
        return self._tokenise(self.prompt_text(turns), count_images(turns))

    def prompt_text(self, turns: Sequence[Turn]) -> str:
        return self._render(turns, add_generation_prompt=True)

    def complete(self, turns: Sequence[Turn], answer: str) -> list[int]:
        text = self._render([*turns, Turn(speaker="assistant", text=answer)], add_generation_prompt=False)
        said = answer.strip()
        return self._tokenise(text[: text.rindex(said) + len(said)], count_images(turns))

    def _render(self, turns: Sequence[Turn], *, add_generation_prompt: bool) -> str:
        messages: Any = [{"role": turn.speaker, "content": self._parts(turn)} for turn in turns]
        return str(
            self.tokenizer.apply_chat_template(
                messages, chat_template=self._template, tokenize=False, add_generation_prompt=add_generation_prompt
            )
        )

    def _parts(self, turn: Turn) -> list[dict[str, Any]]:
        words = turn.text.strip()
        pieces = words.split(IMAGE_TOKEN)
        if not turn.images or len(pieces) != len(turn.images) + 1:
            return [*({"type": "image"} for _ in turn.images), {"type": "text", "text": words}]
        parts: list[dict[str, Any]] = []
        for place, piece in enumerate(pieces):
            parts += [{"type": "image"}] if place else []
            parts += [{"type": "text", "text": piece.strip()}] if piece.strip() else []
        return parts

    def _tokenise(self, text: str, num_images: int) -> list[int]:
        expanded = text.replace(self._image_token, self._image_token * self._tokens_per_image)
        # A template that writes the opening token itself must not get a second one.
        is_opened = bool(self.tokenizer.bos_token) and text.startswith(str(self.tokenizer.bos_token))
        ids: list[int] = self.tokenizer(expanded, add_special_tokens=not is_opened).input_ids
        if ids.count(self._image_token_id) != num_images * self._tokens_per_image:
            raise RecordError(
                f"the prompt {text[:80]!r} holds {self._image_token!r} {text.count(self._image_token)} times for "
                f"{num_images} images; leave it out of the question, or write it once for each image"
            )
        return ids


def ready_to_ask(model: LlavaForConditionalGeneration, processor: LlavaProcessor, chat: Chat) -> Checkpoint:
    """Return a model of ours as it is asked."""
    # Ours close answers by one token; what else a folder names was never learned as an end.
    return Checkpoint(model, processor.image_processor, ChatPrompter(chat), frozenset({chat.stop_token_id}))


def load_checkpoint(
    folder: Path,
    style: PromptStyle = "own",
    device: torch.device | None = None,
    dtype: torch.dtype = torch.float32,
) -> Checkpoint:
    """Return a checkpoint of ours or any other LLaVA; tower and projector stay in float32.

    A checkpoint that brings no template is asked in LLaVA-1.5's words.

    Raises: RecordError if the folder holds no LLaVA, or one whose images take different numbers of tokens.
    """
    model, processor = read_checkpoint(folder, dtype, only_language=True)
    _refuse_other_kinds(model, folder)
    nn.Module.to(model, device or torch.device("cpu"))
    num_tokens = count_tokens_per_image(model, processor.image_processor)
    # The cache of features sizes its rows by this; folders of older libraries lack it.
    model.config.image_seq_length = num_tokens
    jinja = str(processor.chat_template or processor.tokenizer.chat_template or "")
    ours = recognise_template(jinja, processor.tokenizer)
    template = find_chat_template(LLAVA_15_TEMPLATE) if style == "llava-1.5" or not jinja else ours
    stops = _stop_tokens(model, processor.tokenizer)
    if template is None:
        image_token_id = int(model.config.image_token_id)
        prompter = JinjaPrompter(processor, jinja, image_token_id, num_tokens)
        return Checkpoint(model, processor.image_processor, prompter, stops)
    return ready_to_ask(model, processor, Chat(processor.tokenizer, template, num_tokens))


def _refuse_other_kinds(model: LlavaForConditionalGeneration, folder: Path) -> None:
    config: Any = model.config
    tower, layer = config.vision_config.model_type, config.vision_feature_layer
    if config.model_type != "llava" or tower == "pixtral" or not isinstance(layer, int):
        raise RecordError(
            f"{folder} is a {config.model_type!r} with tower {tower!r}, read at layer {layer}; "
            "a LLaVA whose images all take the same number of tokens, from one layer, is needed"
        )


def _stop_tokens(model: LlavaForConditionalGeneration, tokenizer: PreTrainedTokenizerBase) -> frozenset[int]:
    named = model.generation_config.eos_token_id if model.generation_config is not None else None
    stops = [named] if isinstance(named, int) else list(named or ())
    return frozenset(int(token) for token in (*stops, tokenizer.eos_token_id) if token is not None)
