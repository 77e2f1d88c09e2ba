"""Dialogues to token ids, once for training and answering.

What people say is tokenised without looking for special tokens, so "<|im_end|>" or "<image>" typed into
a question stays plain text.
"""

from collections.abc import Sequence
from dataclasses import dataclass

from transformers import PreTrainedTokenizerBase

from stablellava.core.draft import Turn
from stablellava.core.errors import ConfigError
from stablellava.model.data_template import (
    CHAT_TEMPLATES,
    IMAGE_TOKEN,
    OWN_TEMPLATE,
    ChatTemplate,
    Piece,
    Template,
    TemplateRefused,
    count_images,
    find_chat_template,
    token_id_of,
)
from stablellava.model.own_template import OwnTemplate, find_own_source
from stablellava.model.run_tokens import RunTokenizer, Segment

__all__ = [
    "CHAT_TEMPLATES",
    "IMAGE_TOKEN",
    "OWN_TEMPLATE",
    "Chat",
    "ChatTemplate",
    "Dialogue",
    "Piece",
    "Segment",
    "Template",
    "TemplateRefused",
    "bind_template",
    "count_images",
    "find_chat_template",
    "recognise_template",
    "token_id_of",
]


@dataclass(frozen=True, slots=True)
class Dialogue:
    """Turns with, possibly, a system message of their own."""

    turns: tuple[Turn, ...]
    system: str | None = None


class Chat:
    """Turns to token ids, for one tokenizer, template and number of tokens per image."""

    def __init__(self, tokenizer: PreTrainedTokenizerBase, template: ChatTemplate | Template, tokens_per_image: int):
        """Bind a template to the tokenizer, whose vocabulary has the image token.

        Raises: ConfigError if the tokenizer lacks what the template needs.
        """
        self.tokenizer = tokenizer
        self.template: Template = template.bind(tokenizer) if isinstance(template, ChatTemplate) else template
        self.tokens_per_image = tokens_per_image
        self.image_token_id = token_id_of(tokenizer, IMAGE_TOKEN)
        self._runs = RunTokenizer(tokenizer, self.image_token_id, tokens_per_image)
        close = [Piece("markup", self.template.assistant_close)]
        self.stop_token_id = self._runs.tokenise([close], self.template.joined)[0][-1].token_ids[-1]

    def segments(self, turns: Sequence[Turn], system: str | None = None) -> list[Segment]:
        """Return the dialogue as segments; an answer's words and what closes it are supervised.

        Raises: TemplateRefused if the template cannot spell the dialogue.
        """
        return self._runs.tokenise([self.template.spell(turns, system)], self.template.joined)[0]

    def segments_of_all(self, dialogues: Sequence[Dialogue]) -> list[list[Segment] | TemplateRefused]:
        """Return what ``segments`` does for many dialogues at once, and refusals in their places."""
        spelt = [self._try_to_spell(dialogue) for dialogue in dialogues]
        tokenised = iter(
            self._runs.tokenise([pieces for pieces in spelt if isinstance(pieces, list)], self.template.joined)
        )
        return [pieces if isinstance(pieces, TemplateRefused) else next(tokenised) for pieces in spelt]

    def prompt(self, turns: Sequence[Turn], system: str | None = None) -> list[int]:
        """Return the ids after which the model answers the last (the user's) turn.

        Raises: TemplateRefused if the template cannot spell the dialogue.
        """
        pieces = self.template.spell(turns, system, ask=True)
        segments = self._runs.tokenise([pieces], self.template.joined)[0]
        return [token_id for segment in segments for token_id in segment.token_ids]

    def prompt_text(self, turns: Sequence[Turn], system: str | None = None) -> str:
        """Return the prompt as text, one image token per image."""
        return "".join(piece.text for piece in self.template.spell(turns, system, ask=True))

    def _try_to_spell(self, dialogue: Dialogue) -> list[Piece] | TemplateRefused:
        try:
            return self.template.spell(dialogue.turns, dialogue.system)
        except TemplateRefused as exc:
            return exc


def bind_template(name: str, tokenizer: PreTrainedTokenizerBase) -> Template:
    """Return a template of ours, or the tokenizer's own, ready for the tokenizer.

    Raises: ConfigError for an unknown name or if the two do not fit.
    """
    return OwnTemplate(tokenizer) if name == OWN_TEMPLATE else find_chat_template(name).bind(tokenizer)


def recognise_template(jinja: str, tokenizer: PreTrainedTokenizerBase) -> Template | None:
    """Return the template that was saved as this Jinja; None if it is not one of ours.

    Raises: ConfigError if it is, but does not fit the tokenizer.
    """
    source = find_own_source(jinja)
    if source is not None:
        return OwnTemplate(tokenizer, source)
    for template in CHAT_TEMPLATES.values():
        try:
            bound = template.bind(tokenizer)
        except ConfigError:  # made for another vocabulary, so it cannot be the one
            continue
        if bound.jinja == jinja:
            return bound
    return None
