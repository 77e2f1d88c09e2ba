"""Figures of one evaluation: per capability, over them, and per question form."""

from collections.abc import Callable, Sequence

from stablellava.core.errors import RecordError
from stablellava.core.score import EvalLog, EvalLogEntry, TaskReport
from stablellava.evaluation.scoring import UNPARSED
from stablellava.evaluation.statistics import Interval, bootstrap_macro_mean, wilson_interval

MEAN = "mean"
"""Name of the report over capabilities, each counting the same."""
FORM_PREFIX = "form:"
_SEED = 2308


def build_reports(entries: Sequence[EvalLogEntry]) -> tuple[TaskReport, ...]:
    """Return a report per capability (sorted), the mean over them, and one per question form."""
    by_capability = group_entries(entries, lambda entry: entry.item.capability)
    by_form = group_entries(entries, lambda entry: entry.item.form)
    reports = [_report(name, group, _share(group)) for name, group in by_capability.items()]
    scores = {name: values for name, group in by_capability.items() if (values := scored_values(group))}
    mean = bootstrap_macro_mean(scores, seed=_SEED) if scores else None
    reports.append(_report(MEAN, entries, mean))
    reports.extend(_report(FORM_PREFIX + form, group, _share(group)) for form, group in by_form.items())
    return tuple(reports)


def capability_reports(log: EvalLog) -> dict[str, TaskReport]:
    """Return the reports of single capabilities by name, in the log's order."""
    return {r.name: r for r in log.reports if r.name != MEAN and not r.name.startswith(FORM_PREFIX)}


def form_reports(log: EvalLog) -> dict[str, TaskReport]:
    """Return the reports per question form ("wh", "yes_no", "either_or")."""
    return {r.name.removeprefix(FORM_PREFIX): r for r in log.reports if r.name.startswith(FORM_PREFIX)}


def mean_report(log: EvalLog) -> TaskReport:
    """Return the mean over capabilities.

    Raises: RecordError if the log has none.
    """
    for report in log.reports:
        if report.name == MEAN:
            return report
    raise RecordError(f"the log of suite {log.suite!r} has no report named {MEAN!r}; evaluate again")


def group_entries(entries: Sequence[EvalLogEntry], key: Callable[[EvalLogEntry], str]) -> dict[str, list[EvalLogEntry]]:
    """Return entries by key, keys sorted."""
    groups: dict[str, list[EvalLogEntry]] = {}
    for entry in entries:
        groups.setdefault(key(entry), []).append(entry)
    return dict(sorted(groups.items()))


def scored_values(entries: Sequence[EvalLogEntry]) -> list[float]:
    """Return the values of the entries that were scored."""
    return [entry.score.value for entry in entries if entry.score.value is not None]


def _share(entries: Sequence[EvalLogEntry]) -> Interval | None:
    values = scored_values(entries)
    if not values:
        return None
    if set(values) <= {0.0, 1.0}:
        return wilson_interval(values.count(1.0), len(values))
    return bootstrap_macro_mean({"": values}, seed=_SEED)


def _report(name: str, entries: Sequence[EvalLogEntry], figure: Interval | None) -> TaskReport:
    return TaskReport(
        name=name,
        value=figure.value if figure else None,
        ci_low=figure.low if figure else None,
        ci_high=figure.high if figure else None,
        num_items=len(entries),
        num_unscored=sum(entry.score.value is None for entry in entries),
        num_unparsed=sum(entry.score.why == UNPARSED for entry in entries),
    )
