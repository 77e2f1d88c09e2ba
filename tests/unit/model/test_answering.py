from pathlib import Path

import pytest
import torch
from PIL import Image

import tiny_vlm
from stablellava.backends.protocols import Answerer
from stablellava.core.draft import Turn
from stablellava.core.errors import ConfigError, RecordError
from stablellava.core.score import EvalItem
from stablellava.model.answering import LocalAnswerer
from stablellava.model.assembling import Vlm, assemble, load_vlm

QUESTIONS = ("Which color?", "What is it, and where would you say that it stands?", "Why?", "Really, is it so?")


@pytest.fixture(scope="module")
def checkpoint(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("vlm")
    vlm = assemble(tiny_vlm.tiny_settings(tiny_vlm.write_language_model(folder / "lm")), seed=0)
    torch.manual_seed(4)
    for name, parameter in vlm.model.named_parameters():
        # An untrained model repeats one token whatever it sees; larger weights make it say something.
        if "vision_tower" not in name and parameter.dim() > 1:
            parameter.data += torch.randn_like(parameter) * 0.3
    vlm.save(folder / "model")
    return folder / "model"


@pytest.fixture(scope="module")
def items(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, list[EvalItem]]:
    folder = tmp_path_factory.mktemp("images")
    names = [tiny_vlm.write_square(folder, color).name for color in tiny_vlm.COLORS]
    chosen = [names[:1], names[1:2], names[1:], []]
    return folder, [
        EvalItem(item_id=str(i), capability="color", images=tuple(images), question=question, accepted=("red",))
        for i, (question, images) in enumerate(zip(QUESTIONS, chosen, strict=True))
    ]


def test_answers_do_not_depend_on_the_batch(checkpoint: Path, items: tuple[Path, list[EvalItem]]) -> None:
    folder, asked = items
    together = LocalAnswerer(checkpoint, max_new_tokens=12, batch_size=4).answer(asked, str(folder))
    one_by_one = LocalAnswerer(checkpoint, max_new_tokens=12, batch_size=1).answer(asked[::-1], str(folder))[::-1]
    assert together == one_by_one
    assert len({answer.text for answer in together}) > 1
    assert [answer.item_id for answer in together] == ["0", "1", "2", "3"]


def generate_with_the_library(vlm: Vlm, item: EvalItem, folder: Path, prompt: str) -> list[int]:
    images = [Image.open(folder / name) for name in item.images] or None
    inputs = vlm.processor(images=images, text=prompt, return_tensors="pt")
    ids: torch.Tensor = vlm.model.generate(**inputs, max_new_tokens=12, do_sample=False)
    return ids[0, inputs["input_ids"].shape[1] :].tolist()


def test_answers_are_those_of_the_librarys_greedy_generate(
    checkpoint: Path, items: tuple[Path, list[EvalItem]]
) -> None:
    folder, asked = items
    vlm = load_vlm(checkpoint)
    for item, answer in zip(
        asked, LocalAnswerer(checkpoint, max_new_tokens=12).answer(asked, str(folder)), strict=True
    ):
        ids = generate_with_the_library(vlm, item, folder, answer.prompt)
        assert answer.text == vlm.chat.tokenizer.decode(ids, skip_special_tokens=True).strip()


def test_each_row_stops_at_the_token_that_closes_its_answer(
    checkpoint: Path, items: tuple[Path, list[EvalItem]]
) -> None:
    folder, asked = items
    answerer = LocalAnswerer(checkpoint, max_new_tokens=12)
    prompts = [answer.prompt for answer in answerer.answer(asked, str(folder))]
    vlm = load_vlm(checkpoint)
    whole = [generate_with_the_library(vlm, item, folder, text) for item, text in zip(asked, prompts, strict=True)]
    stop = whole[0][4]
    answerer._vlm.chat.stop_token_id = stop
    expected = [ids.index(stop) if stop in ids else 12 for ids in whole]
    assert [answer.num_tokens for answer in answerer.answer(asked, str(folder))] == expected
    assert len(set(expected)) > 1


def test_it_is_an_answerer_whose_fingerprint_follows_weights_and_options(checkpoint: Path) -> None:
    first, again, longer = (LocalAnswerer(checkpoint, max_new_tokens=n) for n in (4, 4, 5))
    assert isinstance(first, Answerer)
    assert first.fingerprint == again.fingerprint != longer.fingerprint


def test_a_dialogue_goes_on_from_what_was_said(checkpoint: Path, tmp_path: Path) -> None:
    image = tiny_vlm.write_square(tmp_path, "red")
    first = Turn(speaker="user", text="Which color?", images=(0,))
    answerer = LocalAnswerer(checkpoint, feature_dir=tmp_path / "features")
    said = answerer.reply([first], [image])
    follow_up = [first, Turn(speaker="assistant", text=said), Turn(speaker="user", text="Why?")]
    assert answerer.reply(follow_up, [image]) != said
    assert any((tmp_path / "features").rglob("*.npy"))


def test_what_cannot_be_answered_is_refused_clearly(checkpoint: Path, items: tuple[Path, list[EvalItem]]) -> None:
    folder, asked = items
    outside = asked[0].model_copy(update={"images": ("../secret.png",)})
    with pytest.raises(RecordError, match=r"item 0.*leaves"):
        LocalAnswerer(checkpoint).answer([outside], str(folder))
    with pytest.raises(ConfigError, match="max_new_tokens=0"):
        LocalAnswerer(checkpoint, max_new_tokens=0)
