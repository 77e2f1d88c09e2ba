"""Chat templates that are data (templates/*.yaml): the markup around what people say.

Paper: 2308.10253v1, section 4.2 (LLaVA's forms: vicuna_v1 and plain spell what LLaVA's code spells).
"""

import functools
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, fields, replace
from importlib.resources import files
from types import MappingProxyType
from typing import Any, Literal, Protocol

import yaml
from transformers import PreTrainedTokenizerBase

from stablellava.core.draft import Turn
from stablellava.core.errors import ConfigError
from stablellava.core.suggesting import suggest_name

IMAGE_TOKEN = "<image>"  # noqa: S105 - a token of text
OWN_TEMPLATE = "own"
"""Names the template that the language model's tokenizer brings along."""


class TemplateRefused(ValueError):
    """A dialogue that a template cannot spell; ``reason`` is a stable identifier."""

    def __init__(self, reason: str, message: str):
        super().__init__(message)
        self.reason = reason


@dataclass(frozen=True, slots=True)
class Piece:
    """A stretch of a dialogue's text.

    ``opening`` is what the tokenizer itself puts before a text, ``words`` is what somebody said, ``image`` is one
    picture's place, ``restart`` the same where the text after it is tokenised as if it began there.
    """

    kind: Literal["opening", "markup", "words", "image", "restart"]
    text: str
    learned: bool = False


class Template(Protocol):
    """What ``Chat`` needs of a template that was bound to a tokenizer."""

    @property
    def name(self) -> str: ...
    @property
    def joined(self) -> bool: ...
    @property
    def assistant_close(self) -> str:
        """What ends an answer and is learned with it."""
        ...

    @property
    def jinja(self) -> str: ...
    def spell(self, turns: Sequence[Turn], system: str | None = None, ask: bool = False) -> list[Piece]: ...


@dataclass(frozen=True, kw_only=True)
class ChatTemplate:
    """Markup before and after each speaker's words; ``{bos}`` and ``{eos}`` are the tokenizer's own."""

    name: str
    joined: bool = True
    """Words are tokenised together with the markup beside them, as one text; else each by itself."""
    special_tokens: tuple[str, ...] = ()
    """Tokens that the vocabulary has to have."""
    opening: str = ""
    """Before everything."""
    system: str = ""
    """Said when the dialogue has no system message of its own."""
    system_open: str | None = None
    """None: there is no place for a system message."""
    system_close: str = ""
    system_in_question: bool = False
    """The system message stands after the first ``user_open`` instead of before it."""
    user_open: str = ""
    user_close: str = ""
    assistant_open: str = ""
    """The prompt ends with it."""
    answer_lead: str = ""
    """Before an answer's first word; learned with it, because the prompt ends before it."""
    assistant_close: str
    """Ends an answer and is learned with it: its last token stops generation."""
    between: str = ""
    """After an answer, when another turn follows."""
    image_close: str = "\n"
    """After each picture."""
    restarts_after_image: bool = False
    """Text after a picture is tokenised as if it began there, as LLaVA does; matters to some SentencePiece models."""
    shows_questions: bool = True
    """False: of the user's turns only the pictures are shown."""
    single_exchange: bool = False
    """Only dialogues of one question and one answer can be spelt."""

    def bind(self, tokenizer: PreTrainedTokenizerBase) -> "ChatTemplate":
        """Return the template with the tokenizer's tokens in place of ``{bos}`` and ``{eos}``.

        Raises: ConfigError if the tokenizer lacks a token that the template needs.
        """
        missing = [token for token in self.special_tokens if not is_single_token(tokenizer, token)]
        if missing:
            raise ConfigError(
                f"training.model.chat_template={self.name!r} needs the tokens {', '.join(missing)}, which the "
                f"tokenizer does not have. Use vicuna_v1, or {OWN_TEMPLATE} for the tokenizer's own template"
            )
        if "{eos}" in self.assistant_close and tokenizer.eos_token is None:
            raise ConfigError(
                f"training.model.chat_template={self.name!r} closes answers with the end token, "
                "but the tokenizer has none. Set its eos_token"
            )
        values = {"{bos}": own_bos(tokenizer), "{eos}": str(tokenizer.eos_token)}
        texts = {field.name: getattr(self, field.name) for field in fields(self)}
        changed: dict[str, Any] = {
            key: functools.reduce(lambda text, mark: text.replace(mark, values[mark]), values, text)
            for key, text in texts.items()
            if isinstance(text, str) and key not in ("name", "system")
        }
        return replace(self, **changed)

    def spell(self, turns: Sequence[Turn], system: str | None = None, ask: bool = False) -> list[Piece]:
        """Return the dialogue in pieces; with ``ask`` it ends where the model's answer begins.

        Raises: TemplateRefused if there is no place for a system message or for a second question.
        """
        if system is not None and self.system_open is None and self.shows_questions:
            raise TemplateRefused("no_place_for_system", f"template {self.name!r} has no place for a system message")
        if self.single_exchange and len(turns) > (1 if ask else 2):
            raise TemplateRefused(
                "too_many_turns", f"template {self.name!r} takes one exchange, not {len(turns)} turns"
            )
        before_words = self._system_pieces(system)
        pieces = [Piece("opening", self.opening)]
        if not self.system_in_question:
            pieces += before_words
            before_words = []
        for index, turn in enumerate(turns):
            if turn.speaker == "user":
                pieces.append(Piece("markup", (self.between if index else "") + self.user_open))
                pieces += before_words + self._question_pieces(turn)
                before_words = []
            else:
                pieces += self._answer_pieces(turn)
        if ask:
            pieces.append(Piece("markup", self.assistant_open))
        return [piece for piece in pieces if piece.text]

    def _system_pieces(self, system: str | None) -> list[Piece]:
        said = (self.system if system is None else system).strip()
        if self.system_open is None or not said:
            return []
        return [Piece("markup", self.system_open), Piece("words", said), Piece("markup", self.system_close)]

    def _question_pieces(self, turn: Turn) -> list[Piece]:
        image = Piece("restart" if self.restarts_after_image else "image", IMAGE_TOKEN)
        pieces = [piece for _ in turn.images for piece in (image, Piece("words", self.image_close))]
        if self.shows_questions:
            pieces.append(Piece("words", turn.text.strip()))
        return [*pieces, Piece("markup", self.user_close)]

    def _answer_pieces(self, turn: Turn) -> list[Piece]:
        said = turn.text.strip()
        learned = bool(said)
        return [
            Piece("markup", self.assistant_open),
            Piece("markup", self.answer_lead, learned),
            Piece("words", said, learned),
            Piece("markup", self.assistant_close, learned),
        ]

    @property
    def jinja(self) -> str:
        """The bound template for transformers' ``apply_chat_template``; contents are texts or lists of parts."""
        text_parts = "{% for part in message.content if part.type == 'text' %}{{ part.text }}{% endfor %}"
        words = "{% if message.content is string %}{{ message.content }}{% else %}" + text_parts + "{% endif %}"
        image = IMAGE_TOKEN + (_print(self.image_close) if self.image_close else "")
        images = "{% for part in message.content if part.type == 'image' %}" + image + "{% endfor %}"
        asked = (
            "{% if message.content is string %}{{ message.content }}{% else %}" + images + text_parts + "{% endif %}"
        )
        if not self.shows_questions:
            asked = "{% if message.content is not string %}" + images + "{% endif %}"
        before, rest, inside = self._jinja_system(words)
        return (
            f"{_print(self.opening)}{before}"
            f"{{% for message in {rest} %}}"
            "{% if message.role == 'user' %}"
            f"{{% if not loop.first %}}{_print(self.between)}{{% endif %}}{_print(self.user_open)}{inside}"
            f"{asked}{_print(self.user_close)}"
            "{% elif message.role == 'assistant' %}"
            f"{_print(self.assistant_open)}{{% generation %}}"
            f"{_print(self.answer_lead) if self.answer_lead else ''}{words}"
            f"{_print(self.assistant_close)}{{% endgeneration %}}"
            "{% endif %}{% endfor %}"
            f"{{% if add_generation_prompt %}}{_print(self.assistant_open)}{{% endif %}}"
        )

    def _jinja_system(self, words: str) -> tuple[str, str, str]:
        """Return what stands before the turns, the turns' expression, and what stands in the first question."""
        if self.system_open is None:
            return "", "messages", ""
        given = "{% set message = messages[0] %}{% set system %}" + words + "{% endset %}"
        chosen = (
            "{% if messages[0].role == 'system' %}" + given + "{% set turns = messages[1:] %}{% else %}"
            f"{{% set system = {_quote(self.system)} %}}{{% set turns = messages %}}{{% endif %}}"
        )
        spoken = f"{{% if system %}}{_print(self.system_open)}{{{{ system }}}}{_print(self.system_close)}{{% endif %}}"
        if self.system_in_question:
            return chosen, "turns", "{% if loop.first %}" + spoken + "{% endif %}"
        return chosen + spoken, "turns", ""


@functools.cache
def _load_templates() -> Mapping[str, ChatTemplate]:
    folder = files("stablellava.model") / "templates"
    loaded = {}
    for entry in sorted(folder.iterdir(), key=lambda entry: entry.name):
        name = entry.name.removesuffix(".yaml")
        content = yaml.safe_load(entry.read_text(encoding="utf-8"))
        content["special_tokens"] = tuple(content.get("special_tokens", ()))
        loaded[name] = ChatTemplate(name=name, **content)
    return MappingProxyType(loaded)


CHAT_TEMPLATES = _load_templates()


def find_chat_template(name: str) -> ChatTemplate:
    """Return the template of that name.

    Raises: ConfigError for an unknown name.
    """
    if name not in CHAT_TEMPLATES:
        known = suggest_name(name, (*CHAT_TEMPLATES, OWN_TEMPLATE))
        raise ConfigError(f"training.model.chat_template={name!r} is not a template. {known}")
    return CHAT_TEMPLATES[name]


def own_bos(tokenizer: PreTrainedTokenizerBase) -> str:
    """Return the token that the tokenizer itself puts before a text, or nothing."""
    opened = tokenizer("a").input_ids
    return str(tokenizer.bos_token) if opened and opened[0] == tokenizer.bos_token_id else ""


def is_single_token(tokenizer: PreTrainedTokenizerBase, token: str) -> bool:
    """Tell whether the vocabulary has the token as a whole."""
    token_id = tokenizer.convert_tokens_to_ids(token)
    return isinstance(token_id, int) and token_id != tokenizer.unk_token_id


def token_id_of(tokenizer: PreTrainedTokenizerBase, token: str) -> int:
    """Return the id of one token of the vocabulary."""
    token_id = tokenizer.convert_tokens_to_ids(token)
    assert isinstance(token_id, int)
    return token_id


def count_images(turns: Iterable[Turn]) -> int:
    """Return how many pictures are shown over the turns."""
    return sum(len(turn.images) for turn in turns)


def _print(text: str) -> str:
    return f"{{{{ {_quote(text)} }}}}"


def _quote(text: str) -> str:
    escaped = text.replace("\\", "\\\\").replace("'", "\\'").replace("\n", "\\n")
    return f"'{escaped}'"
