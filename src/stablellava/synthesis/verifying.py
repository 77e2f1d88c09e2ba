"""The checks of a candidate, in the order in which they save the most work."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple

from stablellava.core.sample import Verdict
from stablellava.filters.answer_form import AnswerForm
from stablellava.filters.base import Candidate, Check
from stablellava.filters.dialogue_grounded import DialogueGrounded
from stablellava.filters.exact_duplicate import ExactDuplicate
from stablellava.filters.keyword_drawn import KeywordDrawn
from stablellava.filters.keyword_in_answer import KeywordInAnswer
from stablellava.filters.lexicon import Lexicon
from stablellava.filters.near_duplicate import NearDuplicate, PairDigest


@dataclass(frozen=True)
class Checks:
    """Text checks come before painting: what they refuse costs no picture."""

    of_text: tuple[Check, ...]
    of_picture: tuple[Check, ...]


def build_checks(lexicon: Lexicon) -> Checks:
    """Return the checks every sample has to pass."""
    return Checks(of_text=(AnswerForm(), KeywordInAnswer()), of_picture=(KeywordDrawn(), DialogueGrounded(lexicon)))


def judge_all(checks: tuple[Check, ...], candidate: Candidate) -> tuple[tuple[Verdict, ...], Check | None]:
    """Return the verdicts up to the first refusal, and the check that refused."""
    verdicts: list[Verdict] = []
    for check in checks:
        verdicts.append(check.judge(candidate))
        if not verdicts[-1].kept:
            return tuple(verdicts), check
    return tuple(verdicts), None


class AdmittedPair(NamedTuple):
    """What is remembered of a pair that stays: see ExactDuplicate.key_of and PairDigest."""

    key: int
    low: int
    high: int
    first_hash: int
    num_words: int
    line: str


class DuplicateGate:
    """Lets the first of equal pairs through. Candidates come in planned order, so concurrency changes nothing.

    Args:
        folder: where its temporary files lie; the system's place for them if None.
    """

    def __init__(self, folder: Path | None = None) -> None:
        self._exact = ExactDuplicate(folder)
        self._near = NearDuplicate(folder=folder)

    def judge(self, candidate: Candidate) -> tuple[Verdict, ...]:
        """Return the verdicts up to the first refusal."""
        exact = self._exact.judge(candidate)
        return (exact, self._near.judge(candidate)) if exact.kept else (exact,)

    def admit(self, candidate: Candidate) -> AdmittedPair:
        """Remember a candidate that stays, and return what ``admit_all`` needs of it."""
        digest = self._near.describe(candidate)
        pair = AdmittedPair(
            self._exact.key_of(candidate), digest.low, digest.high, digest.first_hash, digest.num_words, digest.line
        )
        self.admit_all(candidate.draft.capability, [candidate.draft.keyword], [pair])
        return pair

    def admit_all(self, capability: str, keywords: Sequence[str], pairs: Sequence[AdmittedPair]) -> None:
        """Remember candidates of one capability, in order."""
        digests = [PairDigest._make(pair[1:]) for pair in pairs]
        self._exact.admit_keys([pair.key for pair in pairs], [digest.draft_id for digest in digests])
        self._near.admit_digests(capability, keywords, digests)

    def let_go(self) -> None:
        """Give back memory that is not needed until the next candidate."""
        self._exact.let_go()
        self._near.let_go()
