"""Is there a pair of the same keyword that looks the same and says almost the same?"""

from dataclasses import dataclass

from stablellava.core.matching import split_words
from stablellava.core.sample import Verdict
from stablellava.filters.base import Candidate
from stablellava.store.images import hash_distance


@dataclass(frozen=True)
class _Seen:
    draft_id: str
    hashes: tuple[str, ...]
    words: frozenset[str]


class NearDuplicate:
    """Refuses: near_duplicate. Ask in planned order; the first of equals stays.

    Args:
        max_hash_distance: pictures that differ in at most so many of 64 bits look the same.
        min_word_overlap: dialogues whose words overlap (Jaccard) at least so much say the same.
    """

    name = "near_duplicate"

    def __init__(self, max_hash_distance: int = 4, min_word_overlap: float = 0.9) -> None:
        self._max_hash_distance = max_hash_distance
        self._min_word_overlap = min_word_overlap
        self._seen: dict[tuple[str, str], list[_Seen]] = {}

    def judge(self, candidate: Candidate) -> Verdict:
        """Return whether an admitted candidate of the same keyword is nearly the same pair."""
        own = _describe(candidate)
        for other in self._seen.get(_keyword_key(candidate), ()):
            overlap = _jaccard(own.words, other.words)
            if overlap >= self._min_word_overlap and self._looks_same(own, other):
                return Verdict(
                    filter_name=self.name, kept=False, reason="near_duplicate", detail=f"of {other.draft_id}",
                    score=overlap, threshold=self._min_word_overlap,
                )  # fmt: skip
        return Verdict(filter_name=self.name, kept=True)

    def admit(self, candidate: Candidate) -> None:
        """Remember a candidate that stays."""
        self._seen.setdefault(_keyword_key(candidate), []).append(_describe(candidate))

    def _looks_same(self, own: _Seen, other: _Seen) -> bool:
        return len(own.hashes) == len(other.hashes) and all(
            hash_distance(first, second) <= self._max_hash_distance
            for first, second in zip(own.hashes, other.hashes, strict=True)
        )


def _keyword_key(candidate: Candidate) -> tuple[str, str]:
    return candidate.draft.capability, candidate.draft.keyword


def _describe(candidate: Candidate) -> _Seen:
    words = frozenset(word for turn in candidate.draft.turns for word in split_words(turn.text))
    hashes = tuple(painting.perceptual_hash for painting in candidate.paintings)
    return _Seen(candidate.draft.draft_id, hashes, words)


def _jaccard(first: frozenset[str], second: frozenset[str]) -> float:
    union = len(first | second)
    return len(first & second) / union if union else 1.0
