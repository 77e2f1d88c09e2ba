from pathlib import Path

import tiny_vlm
from stablellava.core.draft import Turn
from stablellava.training.data import TrainingExample, delay_description, load_examples, shape_example


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
