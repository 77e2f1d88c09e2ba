"""Questions on one image are no independent evidence: the interval says so."""

from collections.abc import Callable, Sequence

import pytest

from stablellava.core.score import TaskReport
from stablellava.evaluation.official import mmbench, mmmu, mmvet, scienceqa, seedbench

Reports = tuple[TaskReport, ...]
OPTIONS = {"A": "cat", "B": "dog"}
NUM = 40


def said(place: int) -> str:
    """Right on both questions of an image, or on neither of them."""
    return "A" if place // 2 % 2 else "B"


def report_mmbench(images: Sequence[str]) -> Reports:
    rows = [mmbench.Pass(place, "A", OPTIONS, said(place), image=images[place]) for place in range(NUM)]
    return mmbench.report_mmbench("x", mmbench.score_vanilla(rows))


def report_circular(images: Sequence[str]) -> Reports:
    rows = [mmbench.Pass(place, "A", OPTIONS, said(place), image=images[place]) for place in range(NUM)]
    return mmbench.report_mmbench("x", mmbench.score_circular(rows))


def report_mmmu(images: Sequence[str]) -> Reports:
    asked = [
        mmmu.Question(
            f"validation_Art_{place}", "multiple-choice", "A", f"({said(place)})", OPTIONS, image=images[place]
        )
        for place in range(NUM)
    ]
    return mmmu.report_mmmu("x", mmmu.score_mmmu(asked))


def report_mmvet(images: Sequence[str]) -> Reports:
    grades = [mmvet.Grade(place, ("rec",), (float(said(place) == "A"),), image=images[place]) for place in range(NUM)]
    return mmvet.score_mmvet(grades).reports


def report_scienceqa(images: Sequence[str]) -> Reports:
    problems = [scienceqa.Problem(place, 2, 0, said(place), image=images[place]) for place in range(NUM)]
    return scienceqa.report_scienceqa("x", problems, [scienceqa.score_problem(problem) for problem in problems])


def report_seedbench(images: Sequence[str]) -> Reports:
    scores = [(seedbench.score_generation(place, said(place), "A"), 1, "image") for place in range(NUM)]
    return seedbench.report_seedbench("x", scores, images=images)


@pytest.mark.parametrize(
    "report", [report_mmbench, report_circular, report_mmmu, report_mmvet, report_scienceqa, report_seedbench]
)
def test_questions_on_one_image_are_resampled_together(report: Callable[[Sequence[str]], Reports]) -> None:
    def width(images: Sequence[str]) -> float:
        first = report(images)[0]
        assert first.value == 0.5 and first.ci_low is not None and first.ci_high is not None
        return first.ci_high - first.ci_low

    apart = width([str(place) for place in range(NUM)])
    shared = width([str(place // 2) for place in range(NUM)])
    assert shared == pytest.approx(apart * 2**0.5, rel=0.12)
