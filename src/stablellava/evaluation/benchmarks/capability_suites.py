"""Our own capability suites as tasks: generated pictures, photos, and questions about several images.

Paper: 2308.10253v1, section 4 (50 items per ability, generated and real, keywords as references).
"""

import re
from collections.abc import Iterator, Sequence
from typing import cast

import orjson

from stablellava.core.capability import FormKind
from stablellava.core.errors import RecordError
from stablellava.core.score import Answer, EvalItem, EvalLogEntry, ItemScore, TaskItem
from stablellava.evaluation.benchmarks.base import Answered, JudgeRequest, Scored, Source, SourceItem, Task, cluster_of
from stablellava.evaluation.benchmarks.mmvet import NO_JUDGE
from stablellava.evaluation.benchmarks.pictures import find_picture
from stablellava.evaluation.benchmarks.rows import Row
from stablellava.evaluation.benchmarks.tables import read_json_lines
from stablellava.evaluation.official.aggregating import GroupedScore, report_means
from stablellava.evaluation.reporting import FORM_PREFIX, MEAN, build_reports
from stablellava.evaluation.scoring import score_answer, unscored
from stablellava.evaluation.suites import ITEMS_FILE, build_item

MAX_GRADE = 5.0
_GRADE = re.compile(r"\s*(\d(?:\.\d+)?)(?![\d.]*\d)")
_JUDGED = "judged"


def to_eval_item(item: TaskItem) -> EvalItem:
    """Return the suite's own record of an item."""
    fields = item.fields
    return EvalItem(
        item_id=item.item_id,
        capability=item.group,
        images=item.images,
        images_sha256=item.images_sha256,
        question=item.question,
        accepted=item.reference,
        rejected=tuple(orjson.loads(fields["rejected"])),
        form=cast("FormKind", fields["form"]),
        keyword=fields["keyword"],
        setting=fields["setting"],
    )


def parse_grade(text: str) -> float | None:
    """Return the number from 0 to 5 that a judge's reply begins with, None without one."""
    match = _GRADE.match(text)
    grade = float(match[1]) if match else None
    return grade if grade is not None and grade <= MAX_GRADE else None


def _open_rows(source: Source) -> Iterator[Row]:
    yield from read_json_lines(source.path / ITEMS_FILE if source.path.is_dir() else source.path)


def _read_row(row: Row, source: Source) -> Sequence[SourceItem]:
    try:
        item = build_item(dict(row.cells))
        pictures = tuple(find_picture(name, [source.images_dir or row.path.parent]) for name in item.images)
    except RecordError as exc:
        raise row.error("", str(exc)) from exc
    task_item = TaskItem(
        item_id=item.item_id,
        form="yes_no" if item.form == "yes_no" else "short",
        prompt=item.question,
        question=item.question,
        reference=item.accepted,
        group=item.capability,
        fields={
            "form": item.form,
            "keyword": item.keyword,
            "setting": item.setting,
            "rejected": orjson.dumps(item.rejected).decode(),
        },
    )
    return (SourceItem(task_item, row, pictures),)


def _judge_requests(variant: str, answered: Answered) -> Sequence[JudgeRequest]:
    item = answered.item
    if variant != _JUDGED:
        return ()
    reference = " or ".join(item.reference)
    return (JudgeRequest(item.item_id, "capability", item.question, reference, answered.text or ""),)


def _score(name: str, variant: str, answered: Sequence[Answered]) -> Scored:
    if variant == _JUDGED:
        return _score_judged(name, answered)
    entries = [_entry(entry) for entry in answered]
    mean, others = [], []
    for report in build_reports(entries):
        if report.name == MEAN:
            mean.append(report.model_copy(update={"name": name}))
        else:
            part = report.name.replace(FORM_PREFIX, "form/")
            others.append(report.model_copy(update={"name": f"{name}/{part}"}))
    return Scored(tuple(entry.score for entry in entries), (*mean, *others))


def _entry(answered: Answered) -> EvalLogEntry:
    item = to_eval_item(answered.item)
    answer = Answer(item_id=item.item_id, prompt="", text=answered.text or "")
    failed = answered.text is None
    score = unscored(item, answered.failure or "no answer") if failed else score_answer(item, answer)
    return EvalLogEntry(item=item, answer=answer, score=score)


def _score_judged(name: str, answered: Sequence[Answered]) -> Scored:
    """Return grades as shares of the best one; an item's is the mean of its runs."""
    scores = [_grade(entry) for entry in answered]
    grouped = [
        GroupedScore(score, (entry.item.group,), cluster_of(entry.item))
        for score, entry in zip(scores, answered, strict=True)
    ]
    return Scored(tuple(scores), report_means(name, grouped))


def _grade(answered: Answered) -> ItemScore:
    item_id = answered.item.item_id
    if answered.text is None or not answered.judgements:
        return ItemScore(item_id=item_id, value=None, why=answered.failure or NO_JUDGE)
    read = [parse_grade(judgement.text or "") for judgement in answered.judgements]
    grades = [grade for grade in read if grade is not None]
    if not grades:
        failed = [judgement.why for judgement in answered.judgements if judgement.why]
        return ItemScore(item_id=item_id, value=None, why=failed[0] if failed else "no grade in the judge's replies")
    parsed = " ".join("-" if grade is None else f"{grade:g}" for grade in read)
    return ItemScore(item_id=item_id, value=sum(grades) / len(grades) / MAX_GRADE, parsed=parsed)


def _build_task(name: str, title: str) -> Task:
    return Task(
        name=name,
        title=title,
        needs=f"a folder with {ITEMS_FILE} and its pictures",
        variants={
            "keywords": "the question alone; reference keywords matched as words",
            _JUDGED: "the question alone; graded 0 to 5 by a judge, shown as a share of 5",
        },
        open_rows=_open_rows,
        read_row=_read_row,
        score=_score,
        judge_requests=_judge_requests,
        max_new_tokens=None,
    )


GENERATED = _build_task("generated", "Capabilities on generated pictures")
PHOTOS = _build_task("photos", "Capabilities on photos")
MULTI_IMAGE = _build_task("multi-image", "Capabilities that take several images")
