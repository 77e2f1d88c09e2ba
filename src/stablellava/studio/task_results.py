"""View models of benchmark logs: figures of every model, what changed, and published figures of the same protocol."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Literal

from stablellava.core.errors import RecordError
from stablellava.core.score import TaskLog
from stablellava.evaluation.comparing import compare_task_logs
from stablellava.evaluation.tables import Table
from stablellava.evaluation.task_tables import headline_table, reference_table, task_table

Pictures = Literal["generated", "real"]
_GENERATED_TASKS = frozenset({"generated", "multi-image"})
"""Their pictures come from a painter; those of every other task were taken or drawn by people."""


@dataclass(frozen=True)
class TaskView:
    """One benchmark under one protocol, by every model that was measured."""

    name: str
    """As "pope:llava"."""
    headline: Table
    """A row per model."""
    tables: tuple[Table, ...]
    """Every figure of each model, groups included."""
    references: Table | None
    words: str = ""
    """What changed from the first model to the last."""
    contaminated: tuple[str, ...] = ()
    """What training has seen of it, a sentence per model."""


def view_tasks(logs: Iterable[TaskLog]) -> dict[Pictures, tuple[TaskView, ...]]:
    """Return the benchmarks by what their pictures are; logs of one protocol stand in the order given."""
    by_name: dict[str, list[TaskLog]] = {}
    for log in logs:
        by_name.setdefault(f"{log.header.task}:{log.header.variant}", []).append(log)
    views: dict[Pictures, list[TaskView]] = {"generated": [], "real": []}
    for name in sorted(by_name):
        kind: Pictures = "generated" if by_name[name][0].header.task in _GENERATED_TASKS else "real"
        views[kind].append(_view_task(name, by_name[name]))
    return {kind: tuple(found) for kind, found in views.items()}


def _view_task(name: str, logs: Sequence[TaskLog]) -> TaskView:
    notes = [(log.header.model, log.header.contamination) for log in logs]
    return TaskView(
        name=name,
        headline=headline_table(logs),
        tables=tuple(map(task_table, logs)),
        references=reference_table(logs[-1]),
        words=_compare(logs[0], logs[-1]) if len(logs) > 1 else "",
        contaminated=tuple(f"{model}: {note.words}" for model, note in notes if note and note.item_ids),
    )


def _compare(first: TaskLog, last: TaskLog) -> str:
    try:
        return compare_task_logs(first, last).words
    except RecordError as exc:
        return f"The models cannot be compared: {exc}"
