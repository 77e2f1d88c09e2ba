"""Phrases whose mention is a claim about a picture: things, places, colors, styles."""

import re
from collections.abc import Iterable
from dataclasses import dataclass

from stablellava.core.matching import plural_of, split_words

_SENTENCE_END = re.compile(r"(?<=[.!?;])\s+")
_NEGATIONS = frozenset(
    {
        "no", "not", "never", "nothing", "without", "neither", "nor", "cannot", "none", "instead", "rather",
        "unlike", "hardly", "normally", "usually", "would", "could", "should", "if", "impossible",
    }
)  # fmt: skip


@dataclass(frozen=True)
class Claim:
    """A lexicon phrase found in an answer, with every phrase that means the same."""

    phrase: str
    equivalents: tuple[str, ...]


class Lexicon:
    """Finds claims, the longest phrase first: "red panda" is an animal and claims no color.

    Args:
        entries: groups of phrases that mean the same.
    """

    def __init__(self, entries: Iterable[tuple[str, ...]]) -> None:
        meanings: dict[tuple[str, ...], dict[str, None]] = {}
        for group in entries:
            for phrase in group:
                words = tuple(split_words(phrase))
                if not words:
                    continue
                for form in (words, (*words[:-1], plural_of(words[-1]))):
                    meanings.setdefault(form, {}).update(dict.fromkeys(group))
        self._meanings = {form: tuple(phrases) for form, phrases in meanings.items()}
        self._max_words = max(map(len, self._meanings), default=0)

    def find_claims(self, text: str) -> list[Claim]:
        """Return what the text's plain sentences claim; denied and hypothetical ones claim nothing."""
        claims: list[Claim] = []
        for sentence in _SENTENCE_END.split(text):
            words = split_words(sentence)
            if not any(word in _NEGATIONS or word.endswith("n't") for word in words):
                claims.extend(self._scan(words))
        return claims

    def _scan(self, words: list[str]) -> list[Claim]:
        claims: list[Claim] = []
        start = 0
        while start < len(words):
            for width in range(min(self._max_words, len(words) - start), 0, -1):
                equivalents = self._meanings.get(tuple(words[start : start + width]))
                if equivalents:
                    claims.append(Claim(" ".join(words[start : start + width]), equivalents))
                    start += width
                    break
            else:
                start += 1
        return claims
