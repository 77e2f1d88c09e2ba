"""What a dialogue says of its pictures, one statement at a time."""

import re
from dataclasses import dataclass

from stablellava.core.draft import Turn
from stablellava.core.matching import split_words

_SENTENCE_END = re.compile(r"(?<=[.!?])\s+(?=[\"'(]?[A-Z0-9])|\s*;\s+|\n+")
_MIN_WORDS = 4
"""Shorter answers ("Yes.", "Two red apples.") say something only together with their question."""


@dataclass(frozen=True)
class TurnClaim:
    """One statement, with the turn it stands in (counted from 0)."""

    turn: int
    text: str


def split_claims(turns: tuple[Turn, ...]) -> tuple[TurnClaim, ...]:
    """Return every sentence of every answer; a short answer carries its question along."""
    claims: list[TurnClaim] = []
    question = ""
    for index, turn in enumerate(turns):
        if turn.speaker == "user":
            question = " ".join(turn.text.split())
            continue
        sentences = [sentence.strip() for sentence in _SENTENCE_END.split(turn.text) if sentence.strip()]
        for position, sentence in enumerate(sentences):
            is_short = position == 0 and len(split_words(sentence)) < _MIN_WORDS
            text = f"Asked {question!r}, the answer is {sentence!r}" if is_short and question else sentence
            claims.append(TurnClaim(index, " ".join(text.split())))
    return tuple(claims)
