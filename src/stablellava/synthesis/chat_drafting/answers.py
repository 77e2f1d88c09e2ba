"""Reading what a chat model answered: is it about what was asked? Its shape was checked before, by its schema."""

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from stablellava.core.capability import Keyword
from stablellava.core.draft import PaintPrompt
from stablellava.core.matching import contains_phrase, split_words

EMPHASIS = 1.3
"""Weight of a bracketed phrase; the strength diffusion dialects commonly give to double brackets or less."""
PICTURE_MARK = " | "
"""Stands between the prompts of several pictures where they are written as one line."""
_MAX_PROMPT_CHARS = 600
_BRACKETED = re.compile(r"\(+\s*([^()]*?)\s*(?::\s*[\d.]+\s*)?\)+")
_STRAY = " .;|{}[]\"'"
"""Left over around a phrase when a model loses its way in JSON or brackets."""
_FUNCTION_WORDS = frozenset({"a", "an", "the", "of", "on", "in", "at", "with", "and", "to", "for", "from", "by"})


class AnswerUnfit(Exception):
    """An answer that cannot be used.

    Attributes:
        reason: stable identifier, becomes the refusal's.
        is_broken: whether it is not even what the schema asks for.
    """

    def __init__(self, reason: str, detail: str, is_broken: bool = False) -> None:
        super().__init__(detail)
        self.reason = reason
        self.is_broken = is_broken


@dataclass(frozen=True, slots=True)
class DialogueText:
    """The words of a dialogue: the answer to the question that was given, and exchanges that follow."""

    answer: str
    follow_ups: tuple[tuple[str, str], ...]


@dataclass(frozen=True, slots=True)
class QuestionText:
    """An evaluation question as it was written; ``other`` is its wrong alternative, if it has one."""

    question: str
    answer: str
    other: str


def read_prompts(answer: Mapping[str, Any], keyword: Keyword, num_images: int) -> tuple[PaintPrompt, ...]:
    """Return one prompt per picture, brackets turned into emphasis.

    Raises: AnswerUnfit ("prompt_unusable", "keyword_not_in_prompt").
    """
    texts = [answer["prompt"]] if num_images == 1 else answer["prompts"]
    # A keyword of several pictures names all of them; each shows its own part.
    has_parts = len(keyword.parts) == num_images and num_images > 1
    phrases = [(part,) for part in keyword.parts] if has_parts else [(keyword.name, *keyword.synonyms)] * num_images
    return tuple(_read_prompt(text, wanted) for text, wanted in zip(texts, phrases, strict=True))


def join_prompts(prompts: Sequence[PaintPrompt]) -> str:
    """Return the prompts as the one line that a dialogue has to echo."""
    return PICTURE_MARK.join(prompt.bracketed for prompt in prompts)


def read_dialogue(answer: Mapping[str, Any], prompt_line: str, max_follow_ups: int) -> DialogueText:
    """Return the dialogue written for that very prompt. Raises: AnswerUnfit ("echo_mismatch", "empty_text")."""
    _check_echo(answer, prompt_line)
    pairs = tuple(
        (_text(entry, "question"), _text(entry, "answer")) for entry in answer.get("follow_ups", ())[:max_follow_ups]
    )
    return DialogueText(_text(answer, "answer"), pairs)


def read_question(answer: Mapping[str, Any], prompt_line: str) -> QuestionText:
    """Return the evaluation question written for that very prompt. Raises: as ``read_dialogue``."""
    _check_echo(answer, prompt_line)
    return QuestionText(_text(answer, "question"), _text(answer, "answer"), one_line(answer["other"]))


def one_line(text: str) -> str:
    """Return the text with every run of white space as one space."""
    return " ".join(text.split())


def _check_echo(answer: Mapping[str, Any], prompt_line: str) -> None:
    echo = _text(answer, "prompt_echo")
    if _bare(echo) != _bare(prompt_line):
        raise AnswerUnfit("echo_mismatch", f"it answers {echo[:120]!r}, not {prompt_line[:120]!r}")


def _bare(text: str) -> str:
    return one_line(text.replace("(", "").replace(")", "")).rstrip(" .,;").lower()


def _read_prompt(raw: str, wanted: Sequence[str]) -> PaintPrompt:
    emphasised = [phrase for phrase in _BRACKETED.findall(raw) if phrase]
    text = _BRACKETED.sub(r"\1", raw).replace("(", "").replace(")", "")
    phrases = [phrase for part in text.split(",") if (phrase := one_line(part).strip(_STRAY))]
    text = ", ".join(phrases)
    if not text or len(text) > _MAX_PROMPT_CHARS:
        raise AnswerUnfit("prompt_unusable", f"a prompt of {len(text)} characters; 1 to {_MAX_PROMPT_CHARS} will do")
    if not any(_is_shown(text, phrase) for phrase in wanted):
        raise AnswerUnfit("keyword_not_in_prompt", f"the prompt {text[:120]!r} does not name {wanted[0]!r}")
    kept = [phrase for phrase in (one_line(entry).strip(_STRAY) for entry in emphasised) if phrase and phrase in text]
    return PaintPrompt(text=text, emphasis=((kept[0] if kept else phrases[0], EMPHASIS),))


def _is_shown(text: str, phrase: str) -> bool:
    if contains_phrase(text, phrase):
        return True
    words = [word for word in split_words(phrase) if word not in _FUNCTION_WORDS]
    return bool(words) and all(contains_phrase(text, word) for word in words)


def _text(answer: Mapping[str, Any], name: str) -> str:
    text = one_line(answer[name])
    if not text:
        raise AnswerUnfit("empty_text", f"{name!r} is empty")
    return text
