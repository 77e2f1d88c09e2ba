from pathlib import Path

import numpy as np
import pytest

from stablellava.core.errors import ConfigError
from stablellava.training.encoded_samples import EncodedSamples
from stablellava.training.holding_out import split_held_out
from stablellava.training.labels import EncodedExample

Row = tuple[str, str, tuple[int, ...]]
"""Id, picture and tokens; without a picture "" ."""


def encode(*rows: Row) -> EncodedSamples:
    kept = EncodedSamples()
    for name, picture, tokens in rows:
        ids = np.array(tokens, dtype=np.int64)
        kept.note(EncodedExample(name, ids, ids, (Path(picture),) if picture else ()))
    kept.take_tokens(np.array([token for _, _, tokens in rows for token in tokens], dtype=np.int32))
    return kept


def test_a_row_that_stands_in_two_sources_is_not_learned_from_if_it_is_measured_on() -> None:
    rows: list[Row] = [(f"r{number}", f"a/{number}.png", (number, 1)) for number in range(20)]
    again: list[Row] = [(name, picture.replace("a/", "b/"), tokens) for name, picture, tokens in rows]
    encoded = encode(*rows, *again)
    held_out, taught = split_held_out(encoded, 5)
    assert len(held_out) == 5
    assert not {encoded.example_ids[index] for index in held_out} & {encoded.example_ids[index] for index in taught}


def test_another_dialogue_of_one_id_about_one_picture_is_left_out_too() -> None:
    encoded = encode(*[("coco/1", "1.png", (number,)) for number in range(3)], ("coco/2", "2.png", (9,)))
    held_out, taught = split_held_out(encoded, 1)
    assert {encoded.example_ids[index] for index in held_out}.isdisjoint(encoded.example_ids[index] for index in taught)


def test_rows_that_only_happen_to_have_one_id_are_kept_to_learn_from() -> None:
    encoded = encode(
        *[("0", f"{number}.png", (number,)) for number in range(4)], *[("0", "", (9 + n,)) for n in range(4)]
    )
    held_out, taught = split_held_out(encoded, 2)
    assert sorted([*held_out, *taught]) == list(range(8))


def test_nothing_left_to_learn_from_is_refused() -> None:
    with pytest.raises(ConfigError, match="held_out_samples=1: there are 2 samples, and some have to be left"):
        split_held_out(encode(("a", "a.png", (1,)), ("a", "a.png", (1,))), 1)
    assert split_held_out(encode(("a", "a.png", (1,))), 0)[1].tolist() == [0]
