"""Ids and labels against LLaVA's own code; benchmarks/golden_llava_labels.py wrote what is expected."""

import json
from pathlib import Path
from typing import Any

import pytest
from transformers import LlamaTokenizer

from stablellava.core.draft import Turn
from stablellava.model.chat_template import CHAT_TEMPLATES, Chat
from stablellava.training.data import TrainingExample
from stablellava.training.labels import encode_example

GOLDEN = Path(__file__).parents[2] / "golden" / "llava_labels.json"
LLAVAS_IMAGE = -200


@pytest.fixture(scope="module")
def golden() -> dict[str, Any]:
    return json.loads(GOLDEN.read_text())


def to_example(row: dict[str, Any], num_turns: int | None) -> TrainingExample:
    turns = tuple(
        Turn(
            speaker="assistant" if place % 2 else "user", text=said, images=(0,) if row["image"] and place == 0 else ()
        )
        for place, said in enumerate(row["turns"][:num_turns])
    )
    return TrainingExample("x", (Path("a.png"),) if row["image"] else (), turns)


@pytest.mark.parametrize("legacy", [True, False])
@pytest.mark.parametrize("template", ["vicuna_v1", "plain", "llama_2"])
def test_ids_and_labels_are_those_of_llava(golden: dict[str, Any], template: str, legacy: bool) -> None:
    merges = [tuple(merge.split(" ")) for merge in golden["merges"]]
    tokenizer = LlamaTokenizer(vocab=golden["vocab"], merges=merges, legacy=legacy, add_bos_token=True)
    tokenizer.update_post_processor()
    tokenizer.add_special_tokens({"additional_special_tokens": ["<image>"]})
    chat = Chat(tokenizer, CHAT_TEMPLATES[template], tokens_per_image=1)
    labels = golden["labels"][f"{template}, {'legacy' if legacy else 'not legacy'}"]
    compared = 0
    for row, expected in zip(golden["rows"], labels, strict=True):
        if expected is None:
            continue
        encoded = encode_example(to_example(row, 2 if template == "plain" else None), chat)
        ids = [LLAVAS_IMAGE if token == chat.image_token_id else token for token in encoded.token_ids.tolist()]
        assert [ids, encoded.labels.tolist()] == expected, row["turns"]
        compared += 1
    assert compared >= 20
