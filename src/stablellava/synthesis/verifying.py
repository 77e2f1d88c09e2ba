"""The checks of a candidate, in the order in which they save the most work."""

from dataclasses import dataclass
from pathlib import Path

from stablellava.core.sample import Verdict
from stablellava.filters.answer_form import AnswerForm
from stablellava.filters.base import Candidate, Check
from stablellava.filters.dialogue_grounded import DialogueGrounded
from stablellava.filters.exact_duplicate import ExactDuplicate
from stablellava.filters.keyword_drawn import KeywordDrawn
from stablellava.filters.keyword_in_answer import KeywordInAnswer
from stablellava.filters.lexicon import Lexicon
from stablellava.filters.near_duplicate import NearDuplicate


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


class DuplicateGate:
    """Lets the first of equal pairs through. Candidates come in planned order, so concurrency changes nothing.

    Args:
        folder: where its temporary files lie; the system's place for them if None.
    """

    def __init__(self, folder: Path | None = None) -> None:
        self._checks = (ExactDuplicate(folder), NearDuplicate(folder=folder))

    def judge(self, candidate: Candidate) -> tuple[Verdict, ...]:
        """Return the verdicts up to the first refusal."""
        verdicts: list[Verdict] = []
        for check in self._checks:
            verdicts.append(check.judge(candidate))
            if not verdicts[-1].kept:
                break
        return tuple(verdicts)

    def admit(self, candidate: Candidate) -> None:
        """Remember a candidate that stays."""
        for check in self._checks:
            check.admit(candidate)
