"""ScienceQA: school questions, with an image or without."""

from collections.abc import Iterator, Sequence
from dataclasses import replace

from stablellava.core.score import TaskItem
from stablellava.evaluation.benchmarks.base import (
    Answered,
    Scored,
    Source,
    SourceItem,
    Task,
    ask_choice,
    cluster_of,
    locate_picture,
    no_answer,
)
from stablellava.evaluation.benchmarks.rows import Row
from stablellava.evaluation.benchmarks.tables import as_object, build_row, read_json
from stablellava.evaluation.official.scienceqa import (
    OPTIONS,
    Problem,
    report_scienceqa,
    score_problem,
    score_problem_lmms,
)


def _open_rows(source: Source) -> Iterator[Row]:
    """Yield the problems of the test split (all, without a pid_splits.json or a "split")."""
    path = source.path / "problems.json" if source.path.is_dir() else source.path
    problems = as_object(read_json(path), path)
    splits = path.with_name("pid_splits.json")
    chosen = set(map(str, as_object(read_json(splits), splits).get("test", ()))) if splits.is_file() else None
    for pid, problem in problems.items():
        row = build_row(path, f"problem {pid!r}", problem)
        if pid in chosen if chosen is not None else row.cells.get("split", "test") == "test":
            yield replace(row, cells={**row.cells, "pid": pid})


def _read_row(row: Row, source: Source) -> Sequence[SourceItem]:
    pid, image, hint = row.text("pid"), row.optional("image"), row.optional("hint")
    if source.variant == "llava-image" and not image:
        return ()
    choices = row.texts("choices")
    if not 2 <= len(choices) <= len(OPTIONS):
        raise row.error("choices", f"got {len(choices)} choices; 2 to {len(OPTIONS)} are needed")
    answer = row.integer("answer")
    if not 0 <= answer < len(choices):
        raise row.error("answer", f"got {answer}; it is the index of one of {len(choices)} choices, from 0")
    options = dict(zip(OPTIONS, choices, strict=False))
    item = TaskItem(
        item_id=pid,
        form="choice",
        prompt=ask_choice(row.text("question"), options, f"Context: {hint}" if hint else ""),
        question=row.text("question"),
        options=options,
        reference=(OPTIONS[answer],),
        group=row.optional("subject"),
        fields={"hint": hint, "subject": row.optional("subject"), "grade": row.optional("grade"), "image": image},
    )
    if not image:
        return (SourceItem(item, row),)
    root = row.path.parent
    nested = [root / "images" / "test", root / "test", root.parent / "images" / "test", root / "images"]
    return (SourceItem(item, row, (locate_picture(row, "image", source, nested, name=f"{pid}/{image}"),)),)


def _score(name: str, variant: str, answered: Sequence[Answered]) -> Scored:
    problems = [_problem(entry) for entry in answered]
    official = [
        no_answer(entry) if entry.text is None else score_problem(problem)
        for problem, entry in zip(problems, answered, strict=True)
    ]
    lmms = [
        no_answer(entry) if entry.text is None else score_problem_lmms(problem)
        for problem, entry in zip(problems, answered, strict=True)
    ]
    reports = report_scienceqa(name, problems, official)
    return Scored(tuple(official), (*reports, report_scienceqa(f"{name}/lmms-eval", problems, lmms)[0]))


def _problem(answered: Answered) -> Problem:
    item = answered.item
    return Problem(
        problem_id=item.item_id,
        num_choices=len(item.options),
        answer=OPTIONS.index(item.reference[0]),
        text=answered.text,
        has_image=bool(item.images),
        has_hint=bool(item.fields["hint"]),
        subject=item.fields["subject"],
        grade=item.fields["grade"],
        image=cluster_of(item),
    )


TASK = Task(
    name="scienceqa",
    title="ScienceQA",
    needs="the folder with problems.json, pid_splits.json and images/test/<id>/<image>",
    variants={
        "llava": "LLaVA-1.5's prompt: context, question, options, letter instruction; the test split",
        "llava-image": "the same on problems with an image alone",
    },
    open_rows=_open_rows,
    read_row=_read_row,
    score=_score,
)
