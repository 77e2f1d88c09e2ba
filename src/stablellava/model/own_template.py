"""The chat template that a language model's tokenizer brings along, spelt in pieces or refused.

Such a template is a Jinja program. It is rendered once per form of dialogue with marks in place of
the words, which shows the markup between them; every dialogue is then rendered with its own words too,
and one that does not come out as its pieces (because the template looks at the words) is refused.
"""

import re
from collections.abc import Sequence
from typing import Any

from jinja2.exceptions import TemplateError
from transformers import PreTrainedTokenizerBase

from stablellava.core.draft import Turn
from stablellava.core.errors import ConfigError
from stablellava.model.data_template import IMAGE_TOKEN, OWN_TEMPLATE, Piece, TemplateRefused

_MARK = re.compile("\ue000(\\d+)\ue001")
_FLATTEN = (
    "{%- set flat = namespace(messages=[]) -%}{%- for message in messages -%}{%- set said = namespace(text='') -%}"
    "{%- if message.content is string -%}{%- set said.text = message.content -%}{%- else -%}"
    "{%- for part in message.content if part.type == 'image' -%}"
    "{%- set said.text = said.text + '" + IMAGE_TOKEN + "\\n' -%}{%- endfor -%}"
    "{%- for part in message.content if part.type == 'text' -%}{%- set said.text = said.text + part.text -%}"
    "{%- endfor -%}{%- endif -%}"
    "{%- set flat.messages = flat.messages + [{'role': message.role, 'content': said.text}] -%}{%- endfor -%}"
    "{%- set messages = flat.messages -%}"
)
"""A language model's template knows no pictures: they become text before it sees the messages."""


class OwnTemplate:
    """A tokenizer's own template. ``joined`` as for the templates that are data."""

    name = OWN_TEMPLATE
    joined = True

    def __init__(self, tokenizer: PreTrainedTokenizerBase, source: str | None = None):
        """Prove on small dialogues that the template can be learned from.

        Raises: ConfigError if the tokenizer has none, if answers are not closed by a special token, or
        if a prompt is not how the dialogue with its answer begins.
        """
        found = source if source is not None else tokenizer.chat_template
        if not isinstance(found, str):
            raise ConfigError(
                f"training.model.chat_template={OWN_TEMPLATE!r}: the tokenizer has no chat template. Use vicuna_v1"
            )
        self.source = found
        self._tokenizer = tokenizer
        self._specials = sorted({str(token) for token in tokenizer.all_special_tokens} - {IMAGE_TOKEN}, key=len)
        self._markup_of: dict[tuple[str, ...], list[str]] = {}
        try:
            self.assistant_close = self._prove()
        except TemplateRefused as exc:
            raise ConfigError(
                f"training.model.chat_template={OWN_TEMPLATE!r}: {exc}. Use a template that comes with the package"
            ) from exc

    @property
    def jinja(self) -> str:
        return _FLATTEN + self.source

    def spell(self, turns: Sequence[Turn], system: str | None = None, ask: bool = False) -> list[Piece]:
        """Return the dialogue in pieces.

        Raises: TemplateRefused if the template rejects the dialogue or changes it by its words.
        """
        messages = [{"role": "system", "content": system.strip()}] if system is not None else []
        messages += [{"role": turn.speaker, "content": _said(turn)} for turn in turns]
        roles = tuple(message["role"] for message in messages)
        markup = self._markup(roles, ask)
        texts = [message["content"] for message in messages]
        spelt = markup[0] + "".join(text + after for text, after in zip(texts, markup[1:], strict=True))
        if spelt != self._render(messages, ask):
            raise TemplateRefused("template_changes_words", "the template does not keep what was said as it is")
        pieces = [Piece("markup", markup[0])]
        if system is not None:
            pieces += [Piece("words", texts[0]), Piece("markup", markup[1])]
        offset = len(messages) - len(turns)
        for index, turn in enumerate(turns):
            after = markup[offset + index + 1]
            if turn.speaker == "assistant":
                pieces += self._answer_pieces(turn, after)
                continue
            answered = index + 1 < len(turns)
            lead = self._lead(roles, offset + index + 1) if answered else ""
            pieces += [piece for _ in turn.images for piece in (Piece("image", IMAGE_TOKEN), Piece("words", "\n"))]
            pieces += [Piece("words", turn.text.strip()), Piece("markup", after.removesuffix(lead))]
            pieces.append(Piece("markup", lead, learned=answered and bool(turns[index + 1].text.strip())))
        return [piece for piece in pieces if piece.text]

    def _answer_pieces(self, turn: Turn, after: str) -> list[Piece]:
        learned = bool(turn.text.strip())
        close, rest = self._split_close(after)
        return [Piece("words", turn.text.strip(), learned), Piece("markup", close, learned), Piece("markup", rest)]

    def _markup(self, roles: tuple[str, ...], ask: bool) -> list[str]:
        """Return what stands before, between and after the words of a dialogue with these roles."""
        key = (*roles, "ask") if ask else roles
        if key not in self._markup_of:
            marks = [f"\ue000{index}\ue001" for index in range(len(roles))]
            text = self._render([{"role": role, "content": mark} for role, mark in zip(roles, marks, strict=True)], ask)
            if _MARK.findall(text) != [str(index) for index in range(len(roles))]:
                raise TemplateRefused("template_changes_words", "the template leaves out or repeats what is said")
            self._markup_of[key] = _MARK.split(text)[::2]
        return self._markup_of[key]

    def _lead(self, roles: tuple[str, ...], place: int) -> str:
        """Return what stands between the end of the prompt and the words of the answer at ``place``."""
        whole = self._markup(roles, ask=False)[: place + 1]
        prompt = self._markup(roles[:place], ask=True)
        if whole[:place] != prompt[:place] or not whole[place].startswith(prompt[place]):
            raise TemplateRefused("not_a_prefix", "a prompt is not how the dialogue with its answer begins")
        return whole[place][len(prompt[place]) :]

    def _split_close(self, after: str) -> tuple[str, str]:
        """Return what closes an answer, up to its first special token, and the rest."""
        ends = [after.index(token) + len(token) for token in self._specials if token in after]
        if not ends:
            raise TemplateRefused("answer_not_closed", "no special token closes an answer")
        return after[: min(ends)], after[min(ends) :]

    def _prove(self) -> str:
        roles: tuple[str, ...] = ("user", "assistant", "user", "assistant")
        self._lead(roles, 1)
        self._lead(roles, 3)
        markup = self._markup(roles, ask=False)
        closes = {self._split_close(markup[2])[0], self._split_close(markup[4])[0]}
        if len(closes) > 1:
            raise TemplateRefused("answer_not_closed", f"answers are closed in different ways: {sorted(closes)}")
        return closes.pop()

    def _render(self, messages: list[dict[str, str]], ask: bool) -> str:
        try:
            rendered: Any = self._tokenizer.apply_chat_template(
                messages, chat_template=self.source, tokenize=False, add_generation_prompt=ask
            )
        except (TemplateError, ValueError, TypeError) as exc:
            raise TemplateRefused("template_refuses", f"the template refuses the dialogue: {exc}") from exc
        return str(rendered)


def find_own_source(jinja: str) -> str | None:
    """Return the tokenizer's template from what ``OwnTemplate.jinja`` made of it; None for any other."""
    return jinja.removeprefix(_FLATTEN) if jinja.startswith(_FLATTEN) else None


def _said(turn: Turn) -> str:
    return f"{IMAGE_TOKEN}\n" * len(turn.images) + turn.text.strip()
