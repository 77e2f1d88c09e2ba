"""MMBench: every question once per option, with the options shifted (CircularEval), or once (vanilla).

MMBench-CN is a task of its own, since LLaVA asks it with a Chinese instruction and its figures are published apart.

Departs: where the file holds first passes only, the others are made here, shifted to the right by one each.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from functools import partial

from stablellava.core.errors import RecordError
from stablellava.core.score import TaskItem
from stablellava.evaluation.benchmarks.base import (
    CHINESE,
    LETTER_ANSWER,
    Answered,
    Arranged,
    JudgeRequest,
    Scored,
    Source,
    SourceItem,
    Task,
    cluster_of,
    format_options,
)
from stablellava.evaluation.benchmarks.pictures import Base64Picture
from stablellava.evaluation.benchmarks.rows import Row, show
from stablellava.evaluation.benchmarks.tables import read_separated
from stablellava.evaluation.official.mmbench import (
    L2_ABBREVIATIONS,
    PASS_STRIDE,
    Pass,
    can_infer,
    report_mmbench,
    report_with_chance,
    score_circular,
    score_pass,
    score_vanilla,
)
from stablellava.evaluation.submissions.mmbench import SUBMISSION

_LETTERS = ("A", "B", "C", "D", "E")
_MAX_REFERENCE = 64
"""A longer image cell is a picture, not the index of another row."""
_L3_OF_L2 = {
    "coarse_perception": "image_scene image_quality image_topic image_emotion image_style",
    "finegrained_perception (instance-level)": "object_localization attribute_recognition celebrity_recognition ocr",
    "finegrained_perception (cross-instance)": "spatial_relationship attribute_comparison action_recognition",
    "attribute_reasoning": "physical_property_reasoning function_reasoning identity_reasoning",
    "relation_reasoning": "social_relation nature_relation physical_relation",
    "logic_reasoning": "future_prediction structuralized_imagetext_understanding",
}
_L2_OF_L3 = {category: level for level, categories in _L3_OF_L2.items() for category in categories.split()}
_VANILLA = "llava-vanilla"
CHINESE_LETTER_ANSWER = "\u8bf7\u76f4\u63a5\u56de\u7b54\u9009\u9879\u5b57\u6bcd\u3002"
"""LLaVA's instruction for MMBench-CN (model_vqa_mmbench.py, --lang cn)."""
_LMMS_CHINESE = (
    "\u8bf7\u76f4\u63a5\u4f7f\u7528\u6240\u63d0\u4f9b\u7684\u9009\u9879\u5b57\u6bcd"
    "\u4f5c\u4e3a\u7b54\u6848\u56de\u7b54\u3002"
)


def _open_rows(source: Source, *, is_chinese: bool) -> Iterator[Row]:
    """Yield rows whose image cell is a picture's text; an index of another row is followed.

    Raises: RecordError for a file in the other language, which this task would ask in the wrong words.
    """
    rows = list(read_separated(source.path))
    num_chinese = sum(bool(CHINESE.search(row.optional("question"))) for row in rows)
    if rows and (2 * num_chinese > len(rows)) != is_chinese:
        other = "mmbench" if is_chinese else "mmbench-cn"
        raise RecordError(f"{source.path}: {num_chinese} of {len(rows)} questions are Chinese; take --task {other}")
    pictures = {row.optional("index"): row.optional("image") for row in rows}
    for row in rows:
        image = row.optional("image")
        yield replace(row, cells={**row.cells, "image": pictures.get(image, image)}) if image else row


def _read_row(row: Row, source: Source, *, endings: Mapping[str, str]) -> Sequence[SourceItem]:
    index = row.integer("index")
    if source.variant == _VANILLA and index >= PASS_STRIDE:
        return ()
    options = row.lettered(_LETTERS)
    answer = row.optional("answer")
    if answer and answer not in options:
        raise row.error("answer", f"got {show(answer)}, but the options are {', '.join(options)}")
    image = row.text("image")
    if len(image) <= _MAX_REFERENCE:
        raise row.error("image", f"got {show(image)}: neither base64 nor the index of a row with a picture")
    category = row.optional("category")
    level_two = row.optional("l2-category") or _L2_OF_L3.get(category, "")
    fields = {"index": str(index), "hint": row.optional("hint"), "category": category, "l2-category": level_two}
    item = TaskItem(
        item_id=str(index),
        form="choice",
        prompt=write_prompt(source.variant, row.text("question"), options, fields["hint"], endings),
        question=row.text("question"),
        options=options,
        reference=(answer,) if answer else (),
        group=L2_ABBREVIATIONS.get(level_two, level_two),
        unit=str(index % PASS_STRIDE),
        fields={**fields, "split": row.optional("split")},
    )
    return (SourceItem(item, row, (Base64Picture(image),)),)


def write_prompt(variant: str, question: str, options: Mapping[str, str], hint: str, endings: Mapping[str, str]) -> str:
    """Return what is asked; ``endings`` are instructions by variant, under "" that of all others."""
    ending = endings.get(variant, endings[""])
    listed = format_options(options)
    if variant == "vlmevalkit":
        hinted = f"Hint: {hint}\n" if hint else ""
        return f"{hinted}Question: {question}\nOptions:\n{listed}\n{ending}"
    if variant == "lmms-eval":
        return f"{hint + ' ' if hint else ''}{question} There are several options:\n{listed}\n\n{ending}"
    return "\n".join(filter(None, (hint, question, listed, ending)))


def _arrange(items: Sequence[SourceItem], source: Source, *, endings: Mapping[str, str]) -> Arranged:
    """Make the passes that a file of first passes lacks; leave out questions whose passes are not complete."""
    if source.variant == _VANILLA:
        return Arranged(list(items), [])
    questions: dict[str, list[SourceItem]] = {}
    for entry in items:
        questions.setdefault(entry.item.unit, []).append(entry)
    if all(int(entry.item.item_id) < PASS_STRIDE for entry in items):
        made = [
            _shift(entry, shift, source.variant, endings) for entry in items for shift in range(len(entry.item.options))
        ]
        return Arranged(made, [])
    complete: list[SourceItem] = []
    problems: list[str] = []
    for base, passes in questions.items():
        found = sorted(int(entry.item.item_id) for entry in passes)
        num_options = len(passes[0].item.options)
        if found == [int(base) + shift * PASS_STRIDE for shift in range(num_options)]:
            complete.extend(passes)
        else:
            listed = ", ".join(map(str, found))
            problem = (
                f"question {base} has {len(found)} usable passes ({listed}) for {num_options} options; "
                f"give one pass per option, each {PASS_STRIDE} above the last, or use --variant {_VANILLA}"
            )
            problems.append(str(passes[0].row.error("index", problem)))
    return Arranged(complete, problems)


def _score(name: str, variant: str, answered: Sequence[Answered]) -> Scored:
    rows = [_pass(entry) for entry in answered]
    vanilla = score_vanilla(rows)
    reports = report_mmbench(name, vanilla)
    if variant != _VANILLA:
        reports = (*report_mmbench(name, score_circular(rows)), report_mmbench(f"{name}/vanilla", vanilla)[0])
    chance = report_with_chance(name, rows, is_circular=variant != _VANILLA)
    return Scored(tuple(score_pass(row) for row in rows), (*reports, *chance))


def _judge_requests(variant: str, answered: Answered) -> Sequence[JudgeRequest]:
    """Ask what an answer means only where the rules cannot tell."""
    item, text = answered.item, answered.text or ""
    if can_infer(text.strip(), item.options):
        return ()
    return (JudgeRequest(item.item_id, "mmbench", item.question, "", text, options=item.options),)


def _shift(entry: SourceItem, shift: int, variant: str, endings: Mapping[str, str]) -> SourceItem:
    """Return a pass with every option moved to the right by ``shift`` letters."""
    item = entry.item
    letters = list(item.options)
    moved = {letter: letters[(place + shift) % len(letters)] for place, letter in enumerate(letters)}
    texts = {moved[letter]: text for letter, text in item.options.items()}
    options = {letter: texts[letter] for letter in letters}
    index = int(item.item_id) + shift * PASS_STRIDE
    update = {
        "item_id": str(index),
        "options": options,
        "reference": tuple(moved[letter] for letter in item.reference),
        "prompt": write_prompt(variant, item.question, options, item.fields["hint"], endings),
        "fields": {**item.fields, "index": str(index)},
    }
    return SourceItem(item.model_copy(update=update), entry.row, entry.pictures)


def _pass(answered: Answered) -> Pass:
    item = answered.item
    judgement = answered.judgements[0] if answered.judgements else None
    judged = can_infer(judgement.text.strip(), item.options) if judgement and judgement.text is not None else False
    failure = (judgement.why or "the judge's reply names no option") if judgement and not judged else ""
    return Pass(
        index=int(item.item_id),
        answer=item.reference[0],
        options=item.options,
        text=answered.text,
        category=item.fields["category"],
        l2_category=item.fields["l2-category"],
        judged=judged or None,
        why_unscored=answered.failure or failure,
        image=cluster_of(item),
    )


def _build_task(name: str, title: str, example: str, endings: Mapping[str, str], *, is_chinese: bool) -> Task:
    return Task(
        name=name,
        title=title,
        needs=f"the TSV file, as {example}; pictures are in it",
        variants={
            "llava": "LLaVA-1.5's prompt, CircularEval, the first pass as vanilla beside it",
            _VANILLA: "LLaVA-1.5's prompt, every question once",
            "vlmevalkit": "VLMEvalKit's default prompt, CircularEval",
            "lmms-eval": "lmms-eval's prompt, CircularEval",
        },
        open_rows=partial(_open_rows, is_chinese=is_chinese),
        read_row=partial(_read_row, endings=endings),
        arrange=partial(_arrange, endings=endings),
        score=_score,
        judge_requests=_judge_requests,
        submission=SUBMISSION,
    )


_SELECT = "Please select the correct answer from the options above."
TASK = _build_task(
    "mmbench",
    "MMBench",
    "mmbench_dev_20230712.tsv",
    {"": LETTER_ANSWER, "vlmevalkit": _SELECT},
    is_chinese=False,
)
TASK_CN = _build_task(
    "mmbench-cn",
    "MMBench-CN (also CCBench)",
    "mmbench_dev_cn_20231003.tsv",
    {"": CHINESE_LETTER_ANSWER, "vlmevalkit": _SELECT, "lmms-eval": _LMMS_CHINESE},
    is_chinese=True,
)
