"""A task's log as a suite's, so that whatever compares suites compares benchmarks."""

from collections.abc import Iterable
from pathlib import Path

from stablellava.core.score import Answer, EvalItem, EvalLog, EvalLogEntry, ItemScore, TaskEntry, TaskLog
from stablellava.evaluation.reporting import build_reports

_NO_GROUP = "all"


def as_suite_log(log: TaskLog, folder: Path) -> EvalLog:
    """Return a log whose capabilities are the task's groups; passes of one question count as one item."""
    header = log.header
    entries = tuple(_entry(passes) for passes in group_passes(log.entries).values())
    return EvalLog(
        suite=f"{header.task}:{header.variant}",
        suite_dir=str(folder.resolve()),
        model=header.model,
        model_fingerprint=header.model_fingerprint,
        data_fingerprint=header.data_fingerprint,
        created="",
        package_version=header.package_version,
        reports=build_reports(entries),
        entries=entries,
    )


def group_passes(entries: Iterable[TaskEntry]) -> dict[str, list[TaskEntry]]:
    """Return the entries by question: one each, or all passes of one."""
    passes: dict[str, list[TaskEntry]] = {}
    for entry in entries:
        passes.setdefault(entry.item.unit or entry.item.item_id, []).append(entry)
    return passes


def join_scores(passes: list[TaskEntry]) -> ItemScore:
    """Return the score of a question: a wrong pass decides, else one that could not be scored."""
    scores = [entry.score for entry in passes]
    decisive = next((score for score in scores if score.value == 0), None)
    return decisive or next((score for score in scores if score.value is None), scores[0])


def _entry(passes: list[TaskEntry]) -> EvalLogEntry:
    first = passes[0]
    item, item_id = first.item, first.item.unit or first.item.item_id
    said = first.answer or Answer(item_id=item_id, prompt="", text="")
    return EvalLogEntry(
        item=EvalItem(
            item_id=item_id,
            capability=item.group or _NO_GROUP,
            images=item.images,
            images_sha256=item.images_sha256,
            question=item.prompt,
            accepted=item.reference,
            form="yes_no" if item.form == "yes_no" else "wh",
            keyword=item.fields.get("keyword", ""),
            setting=item.fields.get("setting", ""),
        ),
        answer=said.model_copy(update={"item_id": item_id}),
        score=join_scores(passes).model_copy(update={"item_id": item_id}),
    )
