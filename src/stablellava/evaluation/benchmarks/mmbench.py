"""MMBench: every question once per option, with the options shifted (CircularEval), or once (vanilla).

Departs: where the file holds first passes only, the others are made here, shifted to the right by one each.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace

from stablellava.core.score import TaskItem
from stablellava.evaluation.benchmarks.base import (
    LETTER_ANSWER,
    Answered,
    Arranged,
    JudgeRequest,
    Scored,
    Source,
    SourceItem,
    Task,
    ask_choice,
    format_options,
)
from stablellava.evaluation.benchmarks.pictures import Base64Picture
from stablellava.evaluation.benchmarks.rows import Row, show
from stablellava.evaluation.benchmarks.tables import read_tsv
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


def _open_rows(source: Source) -> Iterator[Row]:
    """Yield rows whose image cell is a picture's text; an index of another row is followed."""
    rows = list(read_tsv(source.path))
    pictures = {row.optional("index"): row.optional("image") for row in rows}
    for row in rows:
        image = row.optional("image")
        yield replace(row, cells={**row.cells, "image": pictures.get(image, image)}) if image else row


def _read_row(row: Row, source: Source) -> Sequence[SourceItem]:
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
        prompt=write_prompt(source.variant, row.text("question"), options, fields["hint"]),
        question=row.text("question"),
        options=options,
        reference=(answer,) if answer else (),
        group=L2_ABBREVIATIONS.get(level_two, level_two),
        unit=str(index % PASS_STRIDE),
        fields={**fields, "split": row.optional("split")},
    )
    return (SourceItem(item, row, (Base64Picture(image),)),)


def write_prompt(variant: str, question: str, options: Mapping[str, str], hint: str) -> str:
    """Return what is asked."""
    if variant == "vlmevalkit":
        hinted = f"Hint: {hint}\n" if hint else ""
        listed = format_options(options, "{letter}. {text}")
        ending = "Please select the correct answer from the options above."
        return f"{hinted}Question: {question}\nOptions:\n{listed}\n{ending}"
    if variant == "lmms-eval":
        listed = format_options(options, "{letter}. {text}")
        return f"{hint + ' ' if hint else ''}{question} There are several options:\n{listed}\n{LETTER_ANSWER}"
    return ask_choice(question, options, hint)


def _arrange(items: Sequence[SourceItem], source: Source) -> Arranged:
    """Make the passes that a file of first passes lacks; leave out questions whose passes are not complete."""
    if source.variant == _VANILLA:
        return Arranged(list(items), [])
    questions: dict[str, list[SourceItem]] = {}
    for entry in items:
        questions.setdefault(entry.item.unit, []).append(entry)
    if all(int(entry.item.item_id) < PASS_STRIDE for entry in items):
        made = [_shift(entry, shift, source.variant) for entry in items for shift in range(len(entry.item.options))]
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


def _shift(entry: SourceItem, shift: int, variant: str) -> SourceItem:
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
        "prompt": write_prompt(variant, item.question, options, item.fields["hint"]),
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
    )


TASK = Task(
    name="mmbench",
    title="MMBench (also MMBench-CN, CCBench)",
    needs="the TSV file, as mmbench_dev_20230712.tsv; pictures are in it",
    variants={
        "llava": "LLaVA-1.5's prompt, CircularEval, the first pass as vanilla beside it",
        _VANILLA: "LLaVA-1.5's prompt, every question once",
        "vlmevalkit": "VLMEvalKit's default prompt, CircularEval",
        "lmms-eval": "lmms-eval's prompt, CircularEval",
    },
    open_rows=_open_rows,
    read_row=_read_row,
    arrange=_arrange,
    score=_score,
    judge_requests=_judge_requests,
    submission=SUBMISSION,
)
