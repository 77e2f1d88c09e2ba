import json
from pathlib import Path

import pytest

import tiny_vlm
from stablellava.core.draft import Turn
from stablellava.core.errors import RecordError
from stablellava.training.data import TrainingExample, delay_description, load_examples, read_llava_json, shape_example


def write_rows(tmp_path: Path, rows: object) -> Path:
    path = tmp_path / "rows.json"
    path.write_text(json.dumps(rows), encoding="utf-8")
    return path


def say(*values: str) -> list[dict[str, str]]:
    return [{"from": "gpt" if index % 2 else "human", "value": value} for index, value in enumerate(values)]


def test_samples_come_from_the_store_with_their_pictures(tmp_path: Path) -> None:
    tiny_vlm.write_samples(tmp_path, 3)
    examples = load_examples(tmp_path, "dialogues")
    assert [example.example_id for example in examples] == ["sample-0", "sample-1", "sample-2"]
    assert all(len(example.turns) == 4 and example.images[0].is_file() for example in examples)


def test_descriptions_are_the_first_question_and_answer_with_their_pictures_only() -> None:
    turns = (
        Turn(speaker="user", text="And here?", images=(1,)),
        Turn(speaker="assistant", text="A cat."),
        Turn(speaker="user", text="Here?", images=(0,)),
        Turn(speaker="assistant", text="A dog."),
    )
    example = TrainingExample("x", (Path("dog.png"), Path("cat.png")), turns)
    shaped = shape_example(example, "descriptions")
    assert shaped.images == (Path("cat.png"),)
    assert [(turn.text, turn.images) for turn in shaped.turns] == [("And here?", (0,)), ("A cat.", ())]


def test_a_delayed_description_comes_last_and_the_picture_is_shown_first() -> None:
    turns = (
        Turn(speaker="user", text="Describe it.", images=(0,)),
        Turn(speaker="assistant", text="A dog on the beach."),
        Turn(speaker="user", text="Which animal?"),
        Turn(speaker="assistant", text="A dog."),
    )
    example = TrainingExample("x", (Path("dog.png"),), turns)
    moved = delay_description(example, 1.0)
    assert [turn.text for turn in moved.turns] == ["Which animal?", "A dog.", "Describe it.", "A dog on the beach."]
    assert [turn.images for turn in moved.turns] == [(0,), (), (), ()]
    assert delay_description(example, 0.0) == example


def test_a_description_is_not_delayed_where_it_is_all_there_is_or_pictures_come_later() -> None:
    alone = (Turn(speaker="user", text="Describe it.", images=(0,)), Turn(speaker="assistant", text="A dog."))
    story = (*alone, Turn(speaker="user", text="And then?", images=(1,)), Turn(speaker="assistant", text="A cat."))
    for turns in (alone, story):
        example = TrainingExample("x", (Path("a.png"), Path("b.png")), turns)
        assert delay_description(example, 1.0) == example


def test_about_the_asked_share_of_descriptions_is_delayed() -> None:
    turns = tuple(
        Turn(speaker="assistant" if index % 2 else "user", text=str(index), images=(0,) if index == 0 else ())
        for index in range(4)
    )
    examples = [TrainingExample(str(index), (Path("a.png"),), turns) for index in range(2000)]
    assert 0.56 < sum(delay_description(example, 0.6) != example for example in examples) / 2000 < 0.64


def test_llava_rows_may_have_none_one_or_several_images(tmp_path: Path) -> None:
    for name in ("a.png", "b.png"):
        (tmp_path / name).write_bytes(b"x")
    rows = [
        {"id": 1, "image": "a.png", "conversations": say("<image>\nWhat?", "A.")},
        {"id": "two", "image": ["a.png", "b.png"], "conversations": say("<image>\n<image>\nWhich?", "Both <image>.")},
        {"id": "text", "conversations": say("What does <image> mean?", "A tag.")},
    ]
    one, two, text = read_llava_json(write_rows(tmp_path, rows), tmp_path)
    assert (one.example_id, one.turns[0].text, one.turns[0].images) == ("1", "What?", (0,))
    assert (two.turns[0].images, two.turns[1].text) == ((0, 1), "Both <image>.")
    assert (text.images, text.turns[0].text) == ((), "What does <image> mean?")


@pytest.mark.parametrize(
    ("row", "message"),
    [
        ({"image": "a.png", "conversations": say("What?", "A.")}, "0 <image> tags for 1 images"),
        ({"image": "../a.png", "conversations": say("<image>?", "A.")}, "leaves"),
        ({"image": "gone.png", "conversations": say("<image>?", "A.")}, "is not in"),
        ({"conversations": say("Only a question?")}, "have to alternate"),
        ({"conversations": []}, "have to alternate"),
        ({"conversations": [{"from": "system", "value": "Be nice"}]}, "unknown speaker 'system'"),
        ({"id": 1}, "not a LLaVA row"),
        ("text", "not a LLaVA row"),
    ],
)
def test_a_row_of_another_form_is_refused_with_its_number(tmp_path: Path, row: object, message: str) -> None:
    with pytest.raises(RecordError, match=message) as caught:
        list(read_llava_json(write_rows(tmp_path, [row]), tmp_path))
    assert "row 0" in str(caught.value)


def test_what_is_not_json_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "rows.json"
    path.write_bytes(b"\xff\xfe[")
    with pytest.raises(RecordError, match="cannot be read as JSON"):
        list(read_llava_json(path, tmp_path))
