"""Reading a short answer out of what a model said.

Strict on purpose: a text that says neither or both is unparsed, which is counted, never guessed.
"""

import re
from collections.abc import Sequence
from typing import Literal

from stablellava.core.matching import Span, find_spans, split_words

_STANDALONE = re.compile(r"\b(yes|no)\b(?=\s*(?:[^\w\s'-]|$))")
_CLAUSE_END = re.compile(r"[,.;:!?]+(?:\s|$)")
_NEGATORS = frozenset(
    {"not", "no", "never", "neither", "nor", "without", "isn't", "aren't", "wasn't", "weren't", "doesn't", "don't"}
)
_NEGATING_PAIRS = frozenset({("rather", "than"), ("instead", "of")})
_BETWEEN = frozenset({"a", "an", "the", "any", "really", "actually", "some", "in", "on", "at", "its"})
"""Words that may stand between a negation and what it denies."""


def parse_yes_no(text: str) -> Literal["yes", "no"] | None:
    """Return the answer if it is the first word or stands on its own, and the opposite does not.

    "No dog is here" is no, "The answer is yes." is yes; "yes and no" and "there is no dog" are None:
    the latter is "no" only to some questions.
    """
    lowered = text.lower().replace("*", "")
    said = set(_STANDALONE.findall(lowered))
    first = next(iter(split_words(lowered)), "")
    if first in ("yes", "no"):
        said.add(first)
    if said == {"yes"}:
        return "yes"
    return "no" if said == {"no"} else None


def parse_choice(text: str, first: Sequence[str], second: Sequence[str]) -> Literal["first", "second"] | None:
    """Return which of two sides the text affirms; None if it names neither or both.

    Each side is a list of synonyms. A denied name does not count ("not a dog but a cat"), nor one
    that is only part of a longer name of the other side ("orange" in "red orange").
    """
    clauses = _split_clauses(text)
    names_first = any(_affirms(words, first, second) for words in clauses)
    names_second = any(_affirms(words, second, first) for words in clauses)
    if names_first == names_second:
        return None
    return "first" if names_first else "second"


def find_affirmed(text: str, phrases: Sequence[str]) -> str | None:
    """Return the first of the phrases that the text names without denying it."""
    clauses = _split_clauses(text)
    return next((phrase for phrase in phrases if any(_affirms(words, [phrase], []) for words in clauses)), None)


def is_denied(words: Sequence[str], span: Span) -> bool:
    """Tell whether a negation stands before the span, articles and the like between them aside."""
    before = list(words[: span.start])
    while before and before[-1] in _BETWEEN:
        before.pop()
    return bool(before) and (before[-1] in _NEGATORS or tuple(before[-2:]) in _NEGATING_PAIRS)


def _split_clauses(text: str) -> list[list[str]]:
    """Return the words between punctuation marks, which no negation crosses ("No, a dog.")."""
    return [split_words(clause) for clause in _CLAUSE_END.split(text)]


def _affirms(words: list[str], own: Sequence[str], others: Sequence[str]) -> bool:
    other_spans = _all_spans(words, others)
    return any(
        not is_denied(words, span) and not any(span == other or span.lies_within(other) for other in other_spans)
        for span in _all_spans(words, own)
    )


def _all_spans(words: list[str], phrases: Sequence[str]) -> list[Span]:
    return [span for phrase in phrases for span in find_spans(words, phrase)]
