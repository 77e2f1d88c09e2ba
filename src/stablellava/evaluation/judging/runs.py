"""A judge asked several times: what each run says, and how far the runs lie apart."""

from collections.abc import Callable, Sequence
from dataclasses import replace

import numpy as np

from stablellava.core.score import TaskReport
from stablellava.evaluation.benchmarks.base import Answered

SPREAD = "spread"


def report_runs(
    name: str, answered: Sequence[Answered], score: Callable[[Sequence[Answered]], TaskReport]
) -> tuple[TaskReport, ...]:
    """Return ``name/run/1`` and so on, and ``name/spread``: the standard deviation (population) of the runs' figures.

    ``score`` makes the headline of answers. Nothing is returned for fewer than two runs; a run without a figure
    has no say in the spread, and is still shown.
    """
    runs = sorted({judgement.run for entry in answered for judgement in entry.judgements})
    if len(runs) < 2:
        return ()
    reports = [
        score([_only(entry, run) for entry in answered]).model_copy(update={"name": f"{name}/run/{place}"})
        for place, run in enumerate(runs, start=1)
    ]
    figures = [report.value for report in reports if report.value is not None]
    spread = TaskReport(
        name=f"{name}/{SPREAD}",
        value=float(np.std(figures)) if len(figures) > 1 else None,
        ci_low=None,
        ci_high=None,
        num_items=len(answered),
        num_unscored=max(report.num_unscored for report in reports),
    )
    return (*reports, spread)


def _only(entry: Answered, run: int) -> Answered:
    return replace(entry, judgements=tuple(judgement for judgement in entry.judgements if judgement.run == run))
