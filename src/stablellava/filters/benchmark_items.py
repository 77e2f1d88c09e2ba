"""Is a sample an item of a public benchmark: its picture, re-encoded or resized, or its question, reworded lightly?

A perceptual hash proposes pictures and a thumbnail decides: drawn pictures share their backdrops, so that hashes
alone would raise false alarms. Questions are compared by their content words, and only those that are long
enough to be of one benchmark alone ("What is in the picture?" is of none).
"""

import io
from collections import Counter
from dataclasses import dataclass
from functools import lru_cache

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from stablellava.core.matching import split_words
from stablellava.filters.image_near_duplicates import HashIndex
from stablellava.store.images import decode_picture

_MAX_HASH_DISTANCE = 12
_MAX_THUMBNAIL_DIFFERENCE = 6.0
"""Mean over 16 x 16 RGB cells, of 255. Re-encoded pictures stay below 4.1, different ones above 9 (design/LOG.md)."""
_THUMBNAIL_PX = 16
_MIN_QUESTION_WORDS = 5
_MIN_QUESTION_OVERLAP = 0.75
_FUNCTION_WORDS = frozenset({
    "a", "an", "and", "answer", "any", "are", "at", "be", "been", "being", "by", "can", "could", "did", "do", "does",
    "following", "for", "from", "had", "has", "have", "he", "her", "him", "his", "how", "i", "if", "image", "in",
    "into", "is", "it", "its", "me", "my", "of", "on", "or", "our", "photo", "photograph", "picture", "please",
    "question", "see", "seen", "she", "should", "shown", "so", "some", "that", "the", "their", "them", "then",
    "there", "these", "they", "this", "those", "to", "us", "was", "we", "were", "what", "when", "where", "which",
    "who", "whose", "why", "will", "with", "would", "you", "your"
})  # fmt: skip
_ENDINGS = ("ing", "ed", "es", "s")
_MIN_STEM = 3

Thumbnail = NDArray[np.int16]


@dataclass(frozen=True)
class BenchmarkMatch:
    """What a sample shares with a benchmark."""

    kind: str
    """"benchmark_image" or "benchmark_question"."""
    name: str
    """The benchmark item."""
    score: float
    """Mean difference of the thumbnails (0: equal), or overlap of the content words (1: equal)."""


class BenchmarkIndex:
    """The pictures and questions of all benchmarks that data must stay clear of."""

    def __init__(self) -> None:
        self._hashes = HashIndex(_MAX_HASH_DISTANCE)
        self._thumbnails: dict[str, Thumbnail] = {}
        self._questions: list[tuple[str, frozenset[str]]] = []
        self._postings: dict[str, list[int]] = {}

    @property
    def num_images(self) -> int:
        return len(self._thumbnails)

    @property
    def num_questions(self) -> int:
        """Questions long enough to be compared."""
        return len(self._questions)

    def add_image(self, name: str, data: bytes) -> None:
        """Remember an encoded picture. Raises: PictureRefused."""
        self._hashes.add(decode_picture(data, name).perceptual_hash, name)
        self._thumbnails[name] = _shrink(data)

    def add_question(self, name: str, question: str) -> None:
        """Remember a question unless it is too short to be told from anyone's."""
        words = content_words(question)
        if len(words) < _MIN_QUESTION_WORDS:
            return
        for word in words:
            self._postings.setdefault(word, []).append(len(self._questions))
        self._questions.append((name, words))

    def match_image(self, data: bytes, perceptual_hash: str) -> BenchmarkMatch | None:
        """Return the benchmark picture most like this one, if any is the same."""
        proposed = [name for name, _ in self._hashes.find(perceptual_hash)]
        if not proposed:
            return None
        own = _shrink(data)
        differences = [(float(np.abs(own - self._thumbnails[name]).mean()), name) for name in proposed]
        difference, name = min(differences)
        return BenchmarkMatch("benchmark_image", name, difference) if difference <= _MAX_THUMBNAIL_DIFFERENCE else None

    def match_question(self, question: str) -> BenchmarkMatch | None:
        """Return the benchmark question most like this one, if any is the same but for its wording."""
        words = content_words(question)
        if len(words) < _MIN_QUESTION_WORDS:
            return None
        shared = Counter(position for word in words for position in self._postings.get(word, ()))
        best: tuple[float, str] = (0.0, "")
        for position, count in shared.items():
            name, others = self._questions[position]
            overlap = count / (len(words) + len(others) - count)
            if (-overlap, name) < (-best[0], best[1]):
                best = (overlap, name)
        overlap, name = best
        return BenchmarkMatch("benchmark_question", name, overlap) if overlap >= _MIN_QUESTION_OVERLAP else None


@lru_cache(maxsize=65_536)
def content_words(text: str) -> frozenset[str]:
    """Return the stems of the words that carry what a question asks."""
    return frozenset(_stem(word) for word in split_words(text) if word not in _FUNCTION_WORDS)


def _stem(word: str) -> str:
    """Return the word without a plain ending, so that "holding", "holds" and "hold" are one."""
    for ending in _ENDINGS:
        if word.endswith(ending) and len(word) - len(ending) >= _MIN_STEM:
            return word.removesuffix(ending)
    return word


def _shrink(data: bytes) -> Thumbnail:
    with Image.open(io.BytesIO(data)) as image:
        small = image.convert("RGB").resize((_THUMBNAIL_PX, _THUMBNAIL_PX), Image.Resampling.BOX)
    return np.asarray(small).astype(np.int16)
