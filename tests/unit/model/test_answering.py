import dataclasses
import itertools
from pathlib import Path

import pytest
import torch
from PIL import Image

import tiny_vlm
from stablellava.backends.protocols import StreamingAnswerer
from stablellava.core.draft import Turn
from stablellava.core.errors import ConfigError, RecordError
from stablellava.core.ids import hash_id
from stablellava.core.score import EvalItem
from stablellava.evaluation.benchmarks.base import LossAnswerer
from stablellava.model.answering import LocalAnswerer
from stablellava.model.assembling import Vlm, assemble
from stablellava.model.checkpoints import load_vlm
from stablellava.model.feature_cache import FeatureCache
from stablellava.model.generating import GreedyDecoder, Prompt
from stablellava.model.prompting import load_checkpoint

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
    prompts = [answer.prompt for answer in LocalAnswerer(checkpoint, max_new_tokens=12).answer(asked, str(folder))]
    vlm = load_vlm(checkpoint)
    whole = [generate_with_the_library(vlm, item, folder, text) for item, text in zip(asked, prompts, strict=True)]
    stop = whole[0][4]
    loaded = dataclasses.replace(load_checkpoint(checkpoint), stop_token_ids=frozenset({stop}))
    features = FeatureCache(None, loaded.model, loaded.image_processor)
    features.compute(folder / name for item in asked for name in item.images)
    turns = [[Turn(speaker="user", text=item.question, images=tuple(range(len(item.images))))] for item in asked]
    batch = [
        Prompt(tuple(loaded.prompter.prompt(turn)), tuple(folder / name for name in item.images))
        for turn, item in zip(turns, asked, strict=True)
    ]
    expected = [ids[: ids.index(stop)] if stop in ids else ids for ids in whole]
    assert GreedyDecoder(loaded, features, max_new_tokens=12).generate(batch) == expected
    assert len(set(map(len, expected))) > 1


@pytest.fixture(scope="module")
def many_items(items: tuple[Path, list[EvalItem]]) -> list[EvalItem]:
    """200 questions about few pictures and pairs of them, so that most share a beginning with others."""
    folder, _ = items
    names = sorted(path.name for path in folder.iterdir())
    shown = [*((name,) for name in names), *itertools.permutations(names, 2), ()]
    words = ("Which color", "And what", "Why", "Is it so that this", "Tell me how")
    return [
        EvalItem(
            item_id=f"q{i}",
            capability="color",
            images=shown[i % len(shown)],
            question=f"{words[i % len(words)]} {'really ' * (i % 7)}{i}?",
            accepted=("red",),
        )
        for i in range(200)
    ]


def test_answers_are_the_same_at_any_batch_size_and_in_any_order(
    checkpoint: Path, items: tuple[Path, list[EvalItem]], many_items: list[EvalItem]
) -> None:
    folder, _ = items
    features = folder.parent / "features"
    answered = {}
    for batch_size in (1, 3, 8):
        answerer = LocalAnswerer(checkpoint, max_new_tokens=6, batch_size=batch_size, feature_dir=features)
        answered[batch_size] = answerer.answer(many_items, str(folder))
    shuffled = sorted(many_items, key=lambda item: hash_id("order", item.item_id))
    answerer = LocalAnswerer(checkpoint, max_new_tokens=6, batch_size=8, feature_dir=features)
    in_any_order = {answer.item_id: answer for answer in answerer.answer_each(shuffled, str(folder))}
    assert answered[1] == answered[3] == answered[8] == [in_any_order[item.item_id] for item in many_items]
    assert len({answer.text for answer in answered[1]}) > 20


def test_tokens_that_are_equally_likely_are_decided_alone_and_the_same_in_any_batch(
    tmp_path: Path, checkpoint: Path, items: tuple[Path, list[EvalItem]], many_items: list[EvalItem]
) -> None:
    vlm = load_vlm(checkpoint)
    with torch.no_grad():
        embeddings = vlm.model.get_input_embeddings().weight
        # Every second token is a twin of the one before it: each choice is between two that are exactly equal.
        embeddings[4::2] = embeddings[3:-1:2][: len(embeddings[4::2])]
    vlm.save(tmp_path / "twins")
    folder, _ = items
    answerers = [LocalAnswerer(tmp_path / "twins", max_new_tokens=4, batch_size=size) for size in (1, 16)]
    one_by_one, together = (answerer.answer(many_items[:40], str(folder)) for answerer in answerers)
    assert one_by_one == together
    assert answerers[1].num_settled > 40


def test_losses_of_options_are_the_librarys(
    checkpoint: Path, items: tuple[Path, list[EvalItem]], many_items: list[EvalItem]
) -> None:
    folder, _ = items
    item, options = many_items[1], ("red", "a green square", "it")
    answerer = LocalAnswerer(checkpoint)
    assert isinstance(answerer, LossAnswerer)
    (losses,) = answerer.option_losses([item], [options], str(folder))
    vlm = load_vlm(checkpoint)
    turn = Turn(speaker="user", text=item.question, images=tuple(range(len(item.images))))
    text = vlm.chat.prompt_text([turn])
    images = [Image.open(folder / name) for name in item.images]
    for option, loss in zip(options, losses, strict=True):
        inputs = vlm.processor(images=images, text=text + option, return_tensors="pt")
        labels = inputs["input_ids"].clone()
        labels[:, : len(vlm.chat.prompt([turn]))] = -100
        assert loss == pytest.approx(vlm.model(**inputs, labels=labels).loss.item(), abs=1e-4)
    alone = answerer.option_losses([many_items[5], item], [options, options], str(folder))[1]
    assert alone == losses


def test_it_is_an_answerer_whose_fingerprint_follows_weights_and_options(checkpoint: Path) -> None:
    first, again, longer = (LocalAnswerer(checkpoint, max_new_tokens=n) for n in (4, 4, 5))
    assert isinstance(first, StreamingAnswerer)
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


@pytest.mark.parametrize("device", ["abacus", "cuda:99"])
def test_a_device_that_is_not_there_is_refused(checkpoint: Path, device: str) -> None:
    with pytest.raises(ConfigError, match=f"device='{device}' cannot be used: .*; cpu always can"):
        LocalAnswerer(checkpoint, device=device)
