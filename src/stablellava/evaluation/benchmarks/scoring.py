"""From answers to scores and figures: at the end of a run, and again whenever a parser or scorer changes."""

from collections.abc import Mapping, Sequence

from stablellava import __version__
from stablellava.core.score import Answer, ItemScore, TaskEntry, TaskLog, TaskLogHeader, TaskReport
from stablellava.evaluation.benchmarks.base import Answered, Scored, Task
from stablellava.evaluation.benchmarks.loading import LoadedTask
from stablellava.evaluation.benchmarks.registry import find_task
from stablellava.evaluation.judging.runs import report_runs

NO_REFERENCE = "the file holds no answer to this question; write a submission file instead"


def score_task(task: Task, variant: str, answered: Sequence[Answered]) -> Scored:
    """Return scores and figures; items that the file has no answer to are unscored and counted."""
    name = task.figure_name(variant)
    known = [entry for entry in answered if entry.item.reference]
    num_unknown = len(answered) - len(known)
    if not known:
        nothing = TaskReport(
            name=name, value=None, ci_low=None, ci_high=None, num_items=num_unknown, num_unscored=num_unknown
        )
        return Scored(tuple(map(_without_reference, answered)), (nothing,))
    scored = task.score(name, variant, known)
    by_id = {score.item_id: score for score in scored.scores}
    headline, *others = scored.reports
    counts = {
        "num_items": headline.num_items + num_unknown,
        "num_unscored": headline.num_unscored + num_unknown,
    }
    return Scored(
        tuple(by_id.get(entry.item.item_id) or _without_reference(entry) for entry in answered),
        (
            headline.model_copy(update=counts),
            *others,
            *report_runs(name, known, lambda entries: task.score(name, variant, entries).reports[0]),
        ),
    )


def build_task_log(
    loaded: LoadedTask,
    answered: Sequence[Answered],
    answers: Sequence[Answer | None],
    header: TaskLogHeader,
) -> TaskLog:
    """Return the log: ``answers`` stand beside ``answered``, and ``header`` lacks only its reports."""
    scored = score_task(loaded.task, loaded.variant, answered)
    entries = tuple(
        TaskEntry(item=one.item, answer=answer, failure=one.failure, judgements=one.judgements, score=score)
        for one, answer, score in zip(answered, answers, scored.scores, strict=True)
    )
    return TaskLog(header=header.model_copy(update={"reports": scored.reports}), entries=entries)


def start_header(
    loaded: LoadedTask, model: str, model_fingerprint: str, asked_with: Mapping[str, str] | None = None
) -> TaskLogHeader:
    """Return the header of a run whose figures are not known yet."""
    return TaskLogHeader(
        task=loaded.task.name,
        variant=loaded.variant,
        model=model,
        model_fingerprint=model_fingerprint,
        data_path=str(loaded.path),
        data_fingerprint=loaded.fingerprint,
        num_items=len(loaded.items),
        limit=loaded.limit,
        left_out=loaded.left_out,
        contamination=loaded.contamination,
        asked_with=dict(asked_with or {}),
        package_version=__version__,
        reports=(),
    )


def rescore_log(log: TaskLog) -> TaskLog:
    """Return the log with its stored answers and judgements scored by the present rules.

    Raises: ConfigError if its task is not known here.
    """
    scored = score_task(find_task(log.header.task), log.header.variant, answers_of(log))
    entries = tuple(
        entry.model_copy(update={"score": score}) for entry, score in zip(log.entries, scored.scores, strict=True)
    )
    update = {"reports": scored.reports, "package_version": __version__}
    return TaskLog(header=log.header.model_copy(update=update), entries=entries)


def answers_of(log: TaskLog) -> list[Answered]:
    """Return what a log's scores and submissions are made from."""
    return [
        Answered(entry.item, entry.answer.text if entry.answer else None, entry.failure, entry.judgements)
        for entry in log.entries
    ]


def _without_reference(answered: Answered) -> ItemScore:
    return ItemScore(item_id=answered.item.item_id, value=None, why=answered.failure or NO_REFERENCE)
