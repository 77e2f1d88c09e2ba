"""MM-Vet: free answers, graded from 0 to 1 by a judge."""

from collections.abc import Iterator, Sequence
from dataclasses import replace

from stablellava.core.score import ItemScore, TaskItem
from stablellava.evaluation.benchmarks.base import (
    Answered,
    JudgeRequest,
    Scored,
    Source,
    SourceItem,
    Task,
    cluster_of,
    locate_picture,
    no_answer,
)
from stablellava.evaluation.benchmarks.rows import Row
from stablellava.evaluation.benchmarks.tables import as_object, build_row, read_json
from stablellava.evaluation.official.mmvet import CAPABILITIES, Grade, integration_of, parse_score, score_mmvet
from stablellava.evaluation.submissions.answers import MMVET as SUBMISSION

NO_JUDGE = "needs a judge and had none"


def _open_rows(source: Source) -> Iterator[Row]:
    path = source.path / "mm-vet.json" if source.path.is_dir() else source.path
    for item_id, cells in as_object(read_json(path), path).items():
        row = build_row(path, f"entry {item_id!r}", cells)
        yield replace(row, cells={"id": item_id, **row.cells})


def _read_row(row: Row, source: Source) -> Sequence[SourceItem]:
    capabilities = row.texts("capability")
    unknown = [name for name in capabilities if name not in CAPABILITIES]
    if unknown or not capabilities:
        raise row.error("capability", f"got {list(capabilities)}; some of {', '.join(CAPABILITIES)} are needed")
    root = row.path.parent
    picture = locate_picture(row, "imagename", source, [root / "images", root])
    item = TaskItem(
        item_id=row.text("id"),
        form="free",
        prompt=row.text("question"),
        question=row.text("question"),
        reference=(row.text("answer"),),
        group=integration_of(capabilities),
    )
    return (SourceItem(item, row, (picture,), "imagename"),)


def _judge_requests(variant: str, answered: Answered) -> Sequence[JudgeRequest]:
    item = answered.item
    return (JudgeRequest(item.item_id, "mmvet", item.question, item.reference[0], answered.text or ""),)


def _score(name: str, variant: str, answered: Sequence[Answered]) -> Scored:
    num_runs = max((len(entry.judgements) for entry in answered), default=0)
    grades = [_grade(entry, num_runs) for entry in answered]
    result = score_mmvet(grades)
    reports = tuple(report.model_copy(update={"name": name + report.name[len("mmvet") :]}) for report in result.reports)
    return Scored(tuple(_score_one(entry, grade) for entry, grade in zip(answered, grades, strict=True)), reports)


def _grade(answered: Answered, num_runs: int) -> Grade:
    runs = [parse_score(judgement.text) for judgement in answered.judgements]
    failed = [j.why for j in answered.judgements if j.text is None]
    why = answered.failure or ("" if answered.judgements else NO_JUDGE) or (failed[0] if failed else "")
    padded = (*runs, *[None] * (num_runs - len(runs)))
    item = answered.item
    return Grade(item.item_id, tuple(item.group.split("_")), padded, why, cluster_of(item))


def _score_one(answered: Answered, grade: Grade) -> ItemScore:
    scored = [score for score in grade.runs if score is not None]
    if answered.text is None:
        return no_answer(answered)
    if not scored:
        return ItemScore(
            item_id=answered.item.item_id, value=None, why=grade.why_unscored or "no score in the judge's replies"
        )
    parsed = " ".join("-" if score is None else f"{score:g}" for score in grade.runs)
    return ItemScore(item_id=answered.item.item_id, value=sum(scored) / len(scored), parsed=parsed)


TASK = Task(
    name="mmvet",
    title="MM-Vet",
    needs="mm-vet.json with images/ beside it; scores need a judge",
    variants={"llava": "the question alone"},
    open_rows=_open_rows,
    read_row=_read_row,
    score=_score,
    judge_requests=_judge_requests,
    max_new_tokens=1024,
    submission=SUBMISSION,
)
