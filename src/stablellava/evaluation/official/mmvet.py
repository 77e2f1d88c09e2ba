"""MM-Vet: a judge's scores from 0 to 1, per capability and per integration of capabilities."""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np

from stablellava.core.errors import RecordError
from stablellava.core.score import ItemScore, TaskReport
from stablellava.evaluation.official.aggregating import GroupedScore, report_means

CAPABILITIES = ("rec", "ocr", "know", "gen", "spat", "math")
RETRY_SUFFIX = "\nPredict the correctness of the answer (digit): "
"""What is added to the judge's prompt after a reply that holds no score."""


@dataclass(frozen=True)
class Grade:
    """What a judge made of one answer."""

    question_id: str | int
    capabilities: tuple[str, ...]
    runs: tuple[float | None, ...]
    """A score for each run of the judge; None for a run without one."""
    why_unscored: str = ""
    image: str = ""
    """Questions on one image are resampled together."""


class MMVetResult(NamedTuple):
    """Figures from 0 to 1; the official tables print them times 100 to one decimal."""

    reports: tuple[TaskReport, ...]
    run_means: tuple[float | None, ...]
    spread: float | None
    """Standard deviation (population) of the runs' means."""


def parse_score(content: str | None) -> float | None:
    """Return the number from 0 to 1 before the first space of the judge's reply, None without one."""
    score = parse_number(content)
    return None if score is None or math.isnan(score) else score


def parse_number(content: str | None) -> float | None:
    """Return what the official loop takes for the score, None where it asks again: NaN passes its check."""
    try:
        score = float((content or "").split(" ")[0].strip())
    except ValueError:
        return None
    return None if score < 0.0 or score > 1.0 else score


def format_query(question: str, answer: str, prediction: str) -> str:
    """Return the last row of the judge's table: what follows the examples and a newline."""
    spaced = answer.replace("<AND>", " <AND> ").replace("<OR>", " <OR> ")
    return " | ".join([question, spaced, prediction, ""])


def integration_of(capabilities: Sequence[str]) -> str:
    """Return the name of a set of capabilities, in the order of CAPABILITIES.

    Raises: RecordError for an unknown or no capability.
    """
    unknown = set(capabilities) - set(CAPABILITIES)
    if unknown or not capabilities:
        raise RecordError(f"MM-Vet capabilities {list(capabilities)}: some of {', '.join(CAPABILITIES)} are needed")
    return "_".join(name for name in CAPABILITIES if name in capabilities)


def score_mmvet(grades: Sequence[Grade]) -> MMVetResult:
    """Return means per capability (an item counts for each of its own), per integration and in all.

    An item's value is the mean of its scored runs; without any it is unscored.

    Raises: RecordError for scores outside 0 to 1, unknown capabilities, or unequal numbers of runs.
    """
    num_runs = {len(grade.runs) for grade in grades}
    if len(num_runs) > 1:
        raise RecordError(f"MM-Vet items were judged in {sorted(num_runs)} runs; each takes the same number")
    reports = report_means("mmvet", [_group(grade) for grade in grades])
    runs = [_mean([grade.runs[run] for grade in grades]) for run in range(max(num_runs, default=0))]
    scored = [mean for mean in runs if mean is not None]
    return MMVetResult(reports, tuple(runs), float(np.std(scored)) if scored else None)


def _group(grade: Grade) -> GroupedScore:
    for score in grade.runs:
        if score is not None and not 0.0 <= score <= 1.0:
            raise RecordError(f"MM-Vet score of {grade.question_id!r} is {score}; it lies from 0 to 1")
    mean = _mean(grade.runs)
    why = "" if mean is not None else grade.why_unscored or "no score in the judge's replies"
    groups = (
        *(f"capability/{name}" for name in CAPABILITIES if name in grade.capabilities),
        f"integration/{integration_of(grade.capabilities)}",
    )
    return GroupedScore(ItemScore(item_id=str(grade.question_id), value=mean, why=why), groups, grade.image)


def _mean(scores: Sequence[float | None]) -> float | None:
    scored = [score for score in scores if score is not None]
    return math.fsum(scored) / len(scored) if scored else None
