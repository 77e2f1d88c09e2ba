"""ScienceQA, parsed as LLaVA's script and as lmms-eval do."""

import re
from collections.abc import Sequence
from dataclasses import dataclass

from stablellava.core.errors import RecordError
from stablellava.core.score import ItemScore, TaskReport
from stablellava.evaluation.official.aggregating import GroupedScore, report_means
from stablellava.evaluation.scoring import UNPARSED

OPTIONS = ("A", "B", "C", "D", "E")
FAILED = "FAILED"
"""What a text without a readable answer is parsed to."""

# The last character was meant to be a full stop and is any but a newline, officially.
_ANSWER_IS = re.compile(r"The answer is ([A-Z]).")
_SUBJECTS = {"natural science": "NAT", "social science": "SOC", "language science": "LAN"}
_GRADES = {f"grade{grade}": "G1-6" if grade <= 6 else "G7-12" for grade in range(1, 13)}


@dataclass(frozen=True)
class Problem:
    """A question with what was answered."""

    problem_id: str | int
    num_choices: int
    answer: int
    """Index of the right choice."""
    text: str | None
    """What the model said; None when nothing was, which is wrong officially."""
    has_image: bool = False
    """LLaVA's script looks for ``<image>`` in the prompt."""
    has_hint: bool = False
    subject: str = ""
    grade: str = ""
    image: str = ""
    """Problems with one image are resampled together."""


def parse_answer(text: str) -> str:
    """Return the letter, or FAILED; case and surrounding spaces count.

    Read are a text that is one of A to E, that begins with "X. ", or that says "The answer is X." just once.
    """
    if text in OPTIONS:
        return text
    if text[:1] in OPTIONS and text[1:3] == ". ":
        return text[0]
    named: list[str] = _ANSWER_IS.findall(text)
    return named[0] if len(named) == 1 else FAILED


def get_pred_idx(prediction: str, choices: Sequence[object], options: Sequence[str] = OPTIONS) -> int:
    """Return the index of a letter among as many options as there are choices, -1 if it is none of them."""
    letters = list(options[: len(choices)])
    return letters.index(prediction) if prediction in letters else -1


def score_problem(problem: Problem) -> ItemScore:
    """Return whether LLaVA's script counts the answer as right; a missing one is wrong.

    Raises: RecordError if the right answer is none of the choices.
    """
    _check(problem)
    parsed = FAILED if problem.text is None else parse_answer(problem.text)
    place = get_pred_idx(parsed, range(problem.num_choices))
    return ItemScore(
        item_id=str(problem.problem_id),
        value=float(place == problem.answer),
        parsed=parsed if place >= 0 else "",
        why="" if place >= 0 else UNPARSED,
    )


def score_problem_lmms(problem: Problem) -> ItemScore:
    """Return whether lmms-eval counts the answer as right: the letter in either case, or a leading "X.".

    Raises: RecordError if the right answer is none of the choices.
    """
    _check(problem)
    text = (problem.text or "").strip()
    # A leading lower-case letter with a full stop is not read.
    letter = text[0] if text[:1].isupper() and text[1:2] == "." else text
    place = get_pred_idx(letter.upper(), range(problem.num_choices))
    return ItemScore(
        item_id=str(problem.problem_id),
        value=float(place == problem.answer),
        parsed=letter.upper() if place >= 0 else "",
        why="" if place >= 0 else UNPARSED,
    )


def report_scienceqa(name: str, problems: Sequence[Problem], scores: Sequence[ItemScore]) -> tuple[TaskReport, ...]:
    """Return accuracy in all, with images (``IMG``), and by subject, other context and grade as far as given."""
    pairs = zip(problems, scores, strict=True)
    return report_means(name, [GroupedScore(score, _groups(problem), problem.image) for problem, score in pairs])


def _groups(problem: Problem) -> tuple[str, ...]:
    context = {"IMG": problem.has_image, "TXT": problem.has_hint, "NO": not (problem.has_image or problem.has_hint)}
    named = (_SUBJECTS.get(problem.subject, ""), _GRADES.get(problem.grade, ""))
    return tuple(key for key, holds in context.items() if holds) + tuple(key for key in named if key)


def _check(problem: Problem) -> None:
    if not 0 <= problem.answer < min(problem.num_choices, len(OPTIONS)):
        raise RecordError(
            f"ScienceQA problem {problem.problem_id!r} has answer {problem.answer} of {problem.num_choices} choices"
        )
