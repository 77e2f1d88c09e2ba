import pytest
from pydantic import ValidationError

from stablellava.core.capability import Keyword
from stablellava.core.draft import PaintPrompt, Turn
from stablellava.core.errors import RecordError


def test_a_record_is_read_back_equal_and_writes_the_same_bytes() -> None:
    turn = Turn(speaker="user", text="caf\u00e9?", images=(0,))

    assert Turn.from_json(turn.to_json()) == turn
    assert turn.to_json() == '{"images":[0],"speaker":"user","text":"caf\u00e9?"}'.encode()


def test_a_record_cannot_be_changed() -> None:
    with pytest.raises(ValidationError):
        Turn(speaker="user", text="a").text = "b"  # type: ignore[misc]


@pytest.mark.parametrize(
    ("data", "named"),
    [
        (b'{"speaker":"user","text":"a","extra":1}', "extra"),
        (b'{"speaker":"nobody","text":"a"}', "nobody"),
        (b'{"speaker":"user"}', "text"),
        (b"{", "JSON"),
    ],
)
def test_a_bad_row_is_refused_with_its_place_and_its_fault(data: bytes, named: str) -> None:
    with pytest.raises(RecordError, match=r"rows\.jsonl:3: .*") as caught:
        Turn.from_json(data, where="rows.jsonl:3")

    assert named in str(caught.value)


def test_emphasis_is_shown_in_double_brackets() -> None:
    prompt = PaintPrompt(text="red car, in the desert", emphasis=(("red car", 1.2),))

    assert prompt.bracketed == "((red car)), in the desert"


def test_a_thing_answers_with_its_synonyms_and_an_attribute_does_not() -> None:
    thing = Keyword(name="sofa", synonyms=("couch",), accepted=("settee", "sofa"))
    attribute = Keyword(name="red car", synonyms=("scarlet car",), subject="car", answer="red", accepted=("crimson",))

    assert thing.accepted_answers == ("sofa", "couch", "settee")
    assert attribute.accepted_answers == ("red", "crimson")
