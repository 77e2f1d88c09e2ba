"""From an answer to right or wrong.

Paper: 2308.10253v1, section 4 (reference keywords matched directly; 1 or 0 per question).
Departs: yes/no and either-or answers are parsed strictly instead of searched for keywords, and a
keyword that the answer denies ("not a dog") does not count.
"""

from collections.abc import Iterable

from stablellava.core.score import Answer, EvalItem, EvalLogEntry, ItemScore
from stablellava.evaluation.parsing import find_affirmed, parse_choice, parse_yes_no

UNPARSED = "unparsed"
"""``why`` of an answer that was scored 0 because nothing could be read out of it."""


def score_answer(item: EvalItem, answer: Answer) -> ItemScore:
    """Return 1.0 or 0.0; a text that cannot be parsed is wrong and says so in ``why``."""
    if item.form == "yes_no":
        parsed = parse_yes_no(answer.text)
        return _scored(item, parsed, is_right=parsed in item.accepted)
    if item.form == "either_or":
        side = parse_choice(answer.text, item.accepted, item.rejected)
        named = {"first": item.accepted[0], "second": item.rejected[0], None: None}[side]
        return _scored(item, named, is_right=side == "first")
    named = find_affirmed(answer.text, item.accepted)
    if named is None and answer.text.strip():
        return ItemScore(item_id=item.item_id, value=0.0)
    return _scored(item, named, is_right=named is not None)


def unscored(item: EvalItem, why: str) -> ItemScore:
    """Return the score of an item whose answer could not be obtained."""
    return ItemScore(item_id=item.item_id, value=None, why=why)


def rescore_entries(entries: Iterable[EvalLogEntry]) -> tuple[EvalLogEntry, ...]:
    """Score stored answers again; items that never got an answer stay unscored."""
    return tuple(
        entry
        if entry.score.value is None
        else entry.model_copy(update={"score": score_answer(entry.item, entry.answer)})
        for entry in entries
    )


def _scored(item: EvalItem, parsed: str | None, *, is_right: bool) -> ItemScore:
    if parsed is None:
        return ItemScore(item_id=item.item_id, value=0.0, why=UNPARSED)
    return ItemScore(item_id=item.item_id, value=float(is_right), parsed=parsed)
