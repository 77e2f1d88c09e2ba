"""Is a sample an item of a public benchmark: its picture, re-encoded or resized, or its question, reworded lightly?

Questions are compared by their content words, and only those that are long enough to be of one benchmark alone
("What is in the picture?" is of none); what a benchmark asks of several items is of none of them.
"""

from collections import Counter
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path

from stablellava.core.ids import hash_id
from stablellava.core.matching import split_words
from stablellava.store.images import read_picture
from stablellava.store.look_alikes import LookAlikes

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
        self._pictures = LookAlikes()
        self._questions: list[tuple[str, frozenset[str]]] = []
        self._position_of: dict[frozenset[str], int] = {}
        self._repeated: set[int] = set()
        self._postings: dict[str, list[int]] = {}
        self._fingerprint = hash_id()

    @property
    def fingerprint(self) -> str:
        """Changes with every picture and question."""
        return self._fingerprint

    @property
    def num_images(self) -> int:
        return len(self._pictures)

    @property
    def num_questions(self) -> int:
        """Questions long enough to be compared and asked of one item only."""
        return len(self._questions) - len(self._repeated)

    def add_image(self, name: str, path: Path) -> None:
        """Remember a picture. Raises: PictureRefused."""
        _, picture = read_picture(path, name)
        self._fingerprint = hash_id(self._fingerprint, name, picture.sha256)
        self._pictures.add(name, picture.perceptual_hash, path)

    def add_question(self, name: str, question: str) -> None:
        """Remember a question unless it is too short to be told from anyone's."""
        words = content_words(question)
        if len(words) < _MIN_QUESTION_WORDS:
            return
        self._fingerprint = hash_id(self._fingerprint, name, question)
        if words in self._position_of:
            self._repeated.add(self._position_of[words])
            return
        self._position_of[words] = len(self._questions)
        for word in words:
            self._postings.setdefault(word, []).append(len(self._questions))
        self._questions.append((name, words))

    def match_image(self, path: Path, perceptual_hash: str) -> BenchmarkMatch | None:
        """Return the benchmark picture most like this one, if any is the same."""
        same = self._pictures.find(perceptual_hash, path)
        return BenchmarkMatch("benchmark_image", *same) if same else None

    def match_question(self, question: str) -> BenchmarkMatch | None:
        """Return the benchmark question most like this one, if any is the same but for its wording."""
        words = content_words(question)
        if len(words) < _MIN_QUESTION_WORDS:
            return None
        shared = Counter(position for word in words for position in self._postings.get(word, ()))
        best: tuple[float, str] = (0.0, "")
        for position, count in shared.items():
            if position in self._repeated:
                continue
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
