"""MMBench: matching of letters and option texts, circular and vanilla scores.

Matching follows current VLMEvalKit, which is the benchmark's own tool.
"""

import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from string import ascii_uppercase
from typing import Literal

from stablellava.core.errors import RecordError
from stablellava.core.ids import seed_from
from stablellava.core.score import ItemScore, TaskReport
from stablellava.evaluation.official.aggregating import GroupedScore, report_means
from stablellava.evaluation.scoring import UNPARSED

NO_OPTION = "Z"
"""The letter that stands for "none of the options"."""
PASS_STRIDE = 1_000_000
"""Pass i of the question with index b has index b + i * PASS_STRIDE."""

L2_ABBREVIATIONS = {
    "coarse_perception": "CP",
    "finegrained_perception (instance-level)": "FP-S",
    "finegrained_perception (cross-instance)": "FP-C",
    "logic_reasoning": "LR",
    "relation_reasoning": "RR",
    "attribute_reasoning": "AR",
}

_FAILED_CALL = "Failed to obtain answer via API"
_REFUSALS = (
    "Sorry, I can't help with images of people yet.",
    "I can't process this file.",
    "I'm sorry, but without the image provided",
    "Cannot determine the answer",
)
_SEPARATORS = str.maketrans(dict.fromkeys(".()[],:;!*#{}", " "))
_ANSWER_IS = re.compile(r"(?:correct\s+)?answer\s+is\s+\**([ABCD])\**", re.IGNORECASE)
_NUM_LAST_TOKENS = 4


@dataclass(frozen=True)
class Pass:
    """One row: a question with its options in one order, and what was answered."""

    index: int
    answer: str
    """Letter of the right option in this order."""
    options: Mapping[str, str]
    text: str | None
    """What the model said; None when it could not be asked."""
    category: str = ""
    l2_category: str = ""
    judged: str | None = None
    """A judge's letter (NO_OPTION for none), used where the rules find no option; None without a judge."""
    why_unscored: str = ""
    """Why there is no text, or no judgement where one was needed."""
    is_drawn: bool = False
    """The letter under ``judged`` was drawn, see ``draw_unmatched``."""
    image: str = ""
    """Questions on one image are resampled together."""


def can_infer_option(answer: str, choices: Iterable[str]) -> str | Literal[False]:
    """Return the letter an answer gives, NO_OPTION for a refusal, False if neither can be told."""
    letters = tuple(choices)
    if _FAILED_CALL in answer:
        return False
    if any(refusal in answer for refusal in _REFUSALS):
        return NO_OPTION
    tokens = answer.translate(_SEPARATORS).split()
    named = [letter for letter in letters if letter in tokens]
    if len(named) == 1:
        # The first mention decides: a letter that opens a long answer is no match.
        if tokens.index(named[0]) >= len(tokens) - _NUM_LAST_TOKENS:
            return named[0]
    elif not named and NO_OPTION in tokens:
        return NO_OPTION
    match = _ANSWER_IS.search(answer)
    if match and match[1].upper() in letters:
        return match[1].upper()
    return False


def can_infer_text(answer: str, choices: Mapping[str, object]) -> str | Literal[False]:
    """Return the letter of the only option whose text the answer contains, else False.

    Answers longer than twice all options together are not searched.
    """
    lowered = answer.lower()
    if len(lowered) > 2 * sum(len(str(text)) for text in choices.values()):
        return False
    named = [letter for letter, text in choices.items() if str(text).lower() in lowered]
    return named[0] if len(named) == 1 else False


def can_infer(answer: object, choices: Mapping[str, object]) -> str | Literal[False]:
    """Return the option letter an answer gives by letter or by text, NO_OPTION for a refusal, else False."""
    text = str(answer)
    return can_infer_option(text, choices) or can_infer_text(text, choices)


def build_choices(item: Mapping[str, object]) -> dict[str, object]:
    """Return the options of a row by letter; None and NaN are no options, the text "nan" is one."""
    return {letter: item[letter] for letter in ascii_uppercase if letter in item and not _is_missing(item[letter])}


def prefetch_answer(item: Mapping[str, object]) -> str | Literal[False]:
    """Return what ``can_infer`` finds in a row's ``prediction``, with the row's own options."""
    return can_infer(item["prediction"], build_choices(item))


def score_pass(row: Pass) -> ItemScore:
    """Return whether one pass is right; without a judge, what the rules cannot match is wrong."""
    item_id = str(row.index)
    if row.text is None:
        return ItemScore(item_id=item_id, value=None, why=row.why_unscored or "no answer")
    letter = can_infer(row.text.strip(), row.options)
    if not letter and row.judged is None:
        if row.why_unscored:
            return ItemScore(item_id=item_id, value=None, why=row.why_unscored)
        return ItemScore(item_id=item_id, value=0.0, why=UNPARSED)
    parsed = letter or row.judged or ""
    why = UNPARSED if row.is_drawn else ""
    return ItemScore(item_id=item_id, value=float(parsed == row.answer), parsed=parsed, why=why)


def draw_unmatched(rows: Sequence[Pass]) -> tuple[Pass, ...]:
    """Return the rows with a drawn letter where a judge was asked and none could be told, as the official tool has it.

    Departs: that tool draws anew every time; here the row's index seeds the draw among its options and NO_OPTION.
    """
    return tuple(_draw(row) if _is_unmatched(row) else row for row in rows)


def score_vanilla(rows: Sequence[Pass]) -> tuple[GroupedScore, ...]:
    """Return the scores of the first passes alone."""
    return tuple(GroupedScore(score_pass(row), _groups(row), row.image) for row in rows if row.index < PASS_STRIDE)


def score_circular(rows: Sequence[Pass]) -> tuple[GroupedScore, ...]:
    """Return a score per question: right if every pass is.

    One wrong pass decides, even beside an unscored one; with none wrong and one unscored the question is
    unscored.

    Raises: RecordError for a repeated index, or a question without its first pass.
    """
    questions: dict[int, dict[int, Pass]] = {}
    for row in rows:
        passes = questions.setdefault(row.index % PASS_STRIDE, {})
        if row.index in passes:
            raise RecordError(f"MMBench index {row.index} occurs twice; each pass has an index of its own")
        passes[row.index] = row
    for base, passes in questions.items():
        if base not in passes:
            raise RecordError(f"MMBench question {base} lacks its first pass, the row with index {base}")
    return tuple(
        GroupedScore(_join_passes(base, passes.values()), _groups(passes[base]), passes[base].image)
        for base, passes in questions.items()
    )


def report_mmbench(name: str, scores: Sequence[GroupedScore]) -> tuple[TaskReport, ...]:
    """Return the micro mean, overall, per ability (``L2/CP``, ...) and per sub-ability (``L3/...``)."""
    return report_means(name, scores)


def report_with_chance(name: str, rows: Sequence[Pass], *, is_circular: bool) -> tuple[TaskReport, ...]:
    """Return the overall figure with drawn letters; none if nothing was drawn.

    ``num_unparsed`` counts the questions that a drawn letter decided on.
    """
    drawn = draw_unmatched(rows)
    if not any(row.is_drawn for row in drawn):
        return ()
    scores = score_circular(drawn) if is_circular else score_vanilla(drawn)
    return report_mmbench(f"{name}/with_chance", scores)[:1]


def _is_unmatched(row: Pass) -> bool:
    asked_in_vain = row.text is not None and row.judged is None and bool(row.why_unscored)
    return asked_in_vain and not can_infer(str(row.text).strip(), row.options)


def _draw(row: Pass) -> Pass:
    letters = [*row.options, NO_OPTION]
    return replace(row, judged=letters[seed_from("mmbench", row.index) % len(letters)], is_drawn=True)


def _join_passes(base: int, passes: Iterable[Pass]) -> ItemScore:
    scores = [score_pass(row) for row in passes]
    parsed = " ".join(score.parsed or "-" for score in scores)
    wrong = [score for score in scores if score.value == 0]
    open_scores = [score for score in scores if score.value is None]
    if wrong:
        # An unread pass is to blame only where no pass was read as wrong.
        return ItemScore(
            item_id=str(base), value=0.0, parsed=parsed, why=UNPARSED if all(w.why == UNPARSED for w in wrong) else ""
        )
    if open_scores:
        return ItemScore(item_id=str(base), value=None, parsed=parsed, why=open_scores[0].why)
    is_luck = any(score.why == UNPARSED for score in scores)
    return ItemScore(item_id=str(base), value=1.0, parsed=parsed, why=UNPARSED if is_luck else "")


def _groups(row: Pass) -> tuple[str, ...]:
    level_two = f"L2/{L2_ABBREVIATIONS.get(row.l2_category, row.l2_category)}" if row.l2_category else ""
    return tuple(group for group in (level_two, f"L3/{row.category}" if row.category else "") if group)


def _is_missing(cell: object) -> bool:
    # NaN is the one value that differs from itself.
    return cell is None or cell != cell
