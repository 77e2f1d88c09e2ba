"""How a dialogue becomes text, once for training and answering and once as the Jinja we ship.

A template is data: the markup around what people say. What people say is tokenised without
looking for special tokens, so "<|im_end|>" or "<image>" typed into a question stays plain text.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from transformers import PreTrainedTokenizerBase

from stablellava.core.draft import Turn
from stablellava.core.errors import ConfigError
from stablellava.core.suggesting import suggest_name

IMAGE_TOKEN = "<image>"  # noqa: S105 - a token of text


@dataclass(frozen=True)
class ChatTemplate:
    """Markup before and after each speaker's words."""

    name: str
    opening: str
    """Before the first turn."""
    user_open: str
    user_close: str
    assistant_open: str
    assistant_close: str
    """Ends an answer and is learned with it: the token at which generation stops."""
    between: str
    """After an answer, when another turn follows."""

    @property
    def jinja(self) -> str:
        """The same template for transformers' ``apply_chat_template``; contents are lists of parts."""
        opening, user_open, user_close, assistant_open, assistant_close, between = (
            _quote(text)
            for text in (
                self.opening,
                self.user_open,
                self.user_close,
                self.assistant_open,
                self.assistant_close,
                self.between,
            )
        )
        return (
            f"{{{{ {opening} }}}}"
            "{% for message in messages %}"
            "{% if message.role == 'user' %}"
            f"{{% if not loop.first %}}{{{{ {between} }}}}{{% endif %}}{{{{ {user_open} }}}}"
            "{% if message.content is string %}{{ message.content }}{% else %}"
            "{% for part in message.content if part.type == 'image' %}" + IMAGE_TOKEN + "{{ '\\n' }}{% endfor %}"
            "{% for part in message.content if part.type == 'text' %}{{ part.text }}{% endfor %}"
            "{% endif %}"
            f"{{{{ {user_close} }}}}"
            "{% elif message.role == 'assistant' %}"
            f"{{{{ {assistant_open} }}}}{{% generation %}}"
            "{% if message.content is string %}{{ message.content }}{% else %}"
            "{% for part in message.content if part.type == 'text' %}{{ part.text }}{% endfor %}"
            "{% endif %}"
            f"{{{{ {assistant_close} }}}}{{% endgeneration %}}"
            "{% endif %}{% endfor %}"
            f"{{% if add_generation_prompt %}}{{{{ {assistant_open} }}}}{{% endif %}}"
        )


CHAT_TEMPLATES = {
    template.name: template
    for template in (
        ChatTemplate(
            name="compact",
            opening="",
            user_open="<|im_start|>user\n",
            user_close="<|im_end|>\n",
            assistant_open="<|im_start|>assistant\n",
            assistant_close="<|im_end|>",
            between="\n",
        ),
        ChatTemplate(
            name="brief",
            opening="",
            user_open="<|im_start|>",
            user_close="\n",
            assistant_open="",
            assistant_close="<|im_end|>",
            between="",
        ),
        ChatTemplate(
            name="vicuna_v1",
            opening="<s>A chat between a curious user and an artificial intelligence assistant. "
            "The assistant gives helpful, detailed, and polite answers to the user's questions. ",
            user_open="USER: ",
            user_close=" ",
            assistant_open="ASSISTANT: ",
            assistant_close="</s>",
            between="",
        ),
    )
}


@dataclass(frozen=True)
class Segment:
    """Consecutive tokens that are learned together or not at all."""

    token_ids: tuple[int, ...]
    supervised: bool


def find_chat_template(name: str) -> ChatTemplate:
    """Return the template of that name.

    Raises: ConfigError for an unknown name.
    """
    if name not in CHAT_TEMPLATES:
        known = suggest_name(name, CHAT_TEMPLATES)
        raise ConfigError(f"training.model.chat_template={name!r} is not a template. {known}")
    return CHAT_TEMPLATES[name]


class Chat:
    """Turns to token ids, for one tokenizer, template and number of tokens per image."""

    def __init__(self, tokenizer: PreTrainedTokenizerBase, template: ChatTemplate, tokens_per_image: int):
        self.tokenizer = tokenizer
        self.template = template
        self.tokens_per_image = tokens_per_image
        self.image_token_id = token_id_of(tokenizer, IMAGE_TOKEN)
        self._ids_of_markup: dict[str, list[int]] = {}
        self.stop_token_id = self._markup(template.assistant_close)[-1]

    def segments(self, turns: Sequence[Turn]) -> list[Segment]:
        """Return the dialogue as segments; an answer's words and what closes it are supervised."""
        pieces = [Segment(tuple(self._markup(self.template.opening)), supervised=False)]
        for index, turn in enumerate(turns):
            if turn.speaker == "user":
                before = self.template.between if index else ""
                token_ids = self._user(turn, before)
                pieces.append(Segment(tuple(token_ids), supervised=False))
            else:
                pieces.append(Segment(tuple(self._markup(self.template.assistant_open)), supervised=False))
                token_ids = [*self._words(turn.text.strip()), *self._markup(self.template.assistant_close)]
                pieces.append(Segment(tuple(token_ids), supervised=bool(turn.text.strip())))
        return pieces

    def prompt(self, turns: Sequence[Turn]) -> list[int]:
        """Return the ids after which the model answers the last (the user's) turn."""
        ids = [token_id for segment in self.segments(turns) for token_id in segment.token_ids]
        return [*ids, *self._markup(self.template.assistant_open)]

    def prompt_text(self, turns: Sequence[Turn]) -> str:
        """Return the prompt as text, one image token per image."""
        ids: list[int] = []
        for token_id in self.prompt(turns):
            is_repeat = bool(ids) and token_id == self.image_token_id == ids[-1]
            ids.extend(() if is_repeat else (token_id,))
        return str(self.tokenizer.decode(ids))

    def _user(self, turn: Turn, before: str) -> list[int]:
        ids = list(self._markup(before + self.template.user_open))
        for _ in turn.images:
            ids += [self.image_token_id] * self.tokens_per_image
            ids += self._words("\n")
        return [*ids, *self._words(turn.text.strip()), *self._markup(self.template.user_close)]

    def _markup(self, text: str) -> list[int]:
        if text not in self._ids_of_markup:
            self._ids_of_markup[text] = self.tokenizer(text, add_special_tokens=False).input_ids
        return self._ids_of_markup[text]

    def _words(self, text: str) -> list[int]:
        ids: list[int] = self.tokenizer(text, add_special_tokens=False, split_special_tokens=True).input_ids
        return ids


def token_id_of(tokenizer: PreTrainedTokenizerBase, token: str) -> int:
    """Return the id of one token of the vocabulary."""
    token_id = tokenizer.convert_tokens_to_ids(token)
    assert isinstance(token_id, int)
    return token_id


def count_images(turns: Iterable[Turn]) -> int:
    """Return how many pictures are shown over the turns."""
    return sum(len(turn.images) for turn in turns)


def _quote(text: str) -> str:
    escaped = text.replace("\\", "\\\\").replace("'", "\\'").replace("\n", "\\n")
    return f"'{escaped}'"
