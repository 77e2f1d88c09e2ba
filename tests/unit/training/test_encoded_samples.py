"""Samples come back from the file as they were encoded."""

import pickle
from pathlib import Path

import numpy as np
import pytest

import tokenizer_zoo
from stablellava.core.draft import Turn
from stablellava.model.chat_template import IMAGE_TOKEN, Chat, bind_template
from stablellava.training.data import TrainingExample
from stablellava.training.encoded_samples import EncodedSamples, encode_samples
from stablellava.training.labels import encode_example

EXAMPLES = [
    TrainingExample(
        f"example-{number}",
        (Path(f"{number}.png"),),
        (
            Turn(speaker="user", text="What?", images=(0,)),
            Turn(speaker="assistant", text="A dog. " * (number + 1)),
        ),
        source=number % 2,
    )
    for number in range(5)
]


@pytest.fixture
def chat() -> Chat:
    tokenizer = tokenizer_zoo.build_anew("llama")
    tokenizer.add_special_tokens({"additional_special_tokens": [IMAGE_TOKEN]})
    return Chat(tokenizer, bind_template("vicuna_v1", tokenizer), 3)


def assert_same(kept: EncodedSamples, chat: Chat) -> None:
    expected = [encode_example(example, chat) for example in EXAMPLES]
    assert len(kept) == len(expected)
    assert kept.lengths == [len(example.token_ids) for example in expected]
    for own, other in zip(kept, expected, strict=True):
        assert np.array_equal(own.token_ids, other.token_ids)
        assert np.array_equal(own.labels, other.labels)
        assert own.num_supervised == other.num_supervised
        assert (own.example_id, own.images, own.source) == (other.example_id, other.images, other.source)
    assert kept[-1].example_id == kept[4].example_id == kept[1:5:3][1].example_id


def test_ids_labels_and_pictures_come_back(chat: Chat, tmp_path: Path) -> None:
    kept, dropped = encode_samples(EXAMPLES, chat, 200, tmp_path)
    assert not dropped
    assert_same(kept, chat)
    assert kept.tokens.itemsize == 4
    assert list(tmp_path.iterdir()) == []


def test_a_process_that_is_not_forked_gets_the_tokens_too(chat: Chat, tmp_path: Path) -> None:
    kept, _ = encode_samples(EXAMPLES, chat, 200, tmp_path)
    assert_same(pickle.loads(pickle.dumps(kept)), chat)


def test_none_that_can_be_learned_from_is_no_sample(chat: Chat, tmp_path: Path) -> None:
    kept, dropped = encode_samples(EXAMPLES, chat, 3, tmp_path)
    assert len(kept) == 0 and not kept
    assert [one.reason for one in dropped] == ["too_long"] * 5
    with pytest.raises(IndexError):
        kept[0]
