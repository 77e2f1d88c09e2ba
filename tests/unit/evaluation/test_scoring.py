import pytest

from stablellava.core.capability import FormKind
from stablellava.core.score import Answer, EvalItem, EvalLogEntry
from stablellava.evaluation.scoring import UNPARSED, rescore_entries, score_answer, unscored


def _item(form: FormKind, accepted: tuple[str, ...], rejected: tuple[str, ...] = ()) -> EvalItem:
    return EvalItem(
        item_id="i", capability="animal", images=("a.png",), question="?", form=form, accepted=accepted,
        rejected=rejected,
    )  # fmt: skip


def _answer(text: str) -> Answer:
    return Answer(item_id="i", prompt="?", text=text)


@pytest.mark.parametrize(
    ("text", "value", "parsed"),
    [("Two kittens.", 1.0, "kitten"), ("A scarf", 0.0, ""), ("a dog", 0.0, ""), ("not a cat", 0.0, "")],
)
def test_wh_answers_are_right_when_they_name_an_accepted_word(text: str, value: float, parsed: str) -> None:
    score = score_answer(_item("wh", ("cat", "kitten")), _answer(text))
    assert (score.value, score.parsed, score.why) == (value, parsed, "")


@pytest.mark.parametrize(
    ("text", "value", "why"),
    [("Yes.", 1.0, ""), ("No.", 0.0, ""), ("maybe", 0.0, UNPARSED), ("yes and no", 0.0, UNPARSED)],
)
def test_yes_no_answers_that_cannot_be_read_are_wrong_and_say_so(text: str, value: float, why: str) -> None:
    score = score_answer(_item("yes_no", ("yes",)), _answer(text))
    assert (score.value, score.why) == (value, why)


@pytest.mark.parametrize(
    ("text", "value", "why"),
    [("It is red", 1.0, ""), ("blue", 0.0, ""), ("red or blue", 0.0, UNPARSED), ("green", 0.0, UNPARSED)],
)
def test_either_or_answers_must_name_exactly_one_side(text: str, value: float, why: str) -> None:
    score = score_answer(_item("either_or", ("red",), ("blue",)), _answer(text))
    assert (score.value, score.why) == (value, why)


def test_an_empty_answer_is_unparsed() -> None:
    assert score_answer(_item("wh", ("cat",)), _answer(" ")).why == UNPARSED


def test_rescoring_applies_the_present_rules_and_leaves_failures_unscored() -> None:
    item = _item("wh", ("cat",))
    stale = score_answer(item, _answer("a dog"))
    entries = (
        EvalLogEntry(item=item, answer=_answer("a cat"), score=stale),
        EvalLogEntry(item=item, answer=_answer(""), score=unscored(item, "timed out")),
    )
    first, second = rescore_entries(entries)
    assert first.score.value == 1.0
    assert (second.score.value, second.score.why) == (None, "timed out")
