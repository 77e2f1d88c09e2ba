"""What labels are for: the loss pulls at answers alone, and a trained model ends its answers itself."""

from pathlib import Path

import pytest
import torch

import tiny_vlm
from stablellava.model.answering import LocalAnswerer
from stablellava.model.assembling import Vlm, assemble
from stablellava.model.feature_cache import FeatureCache
from stablellava.model.vlm import IGNORE
from stablellava.training.data import TrainingExample
from stablellava.training.labels import EncodedExample, encode_example

ANSWERS = {"red": "It is red.", "green": "Green!", "blue": "3 blue ones."}


@pytest.fixture(scope="module")
def vlm(tmp_path_factory: pytest.TempPathFactory) -> Vlm:
    folder = tiny_vlm.write_language_model(tmp_path_factory.mktemp("lm"))
    return assemble(tiny_vlm.tiny_settings(folder), seed=0)


def ask(folder: Path, color: str, question: str) -> TrainingExample:
    turns = (
        tiny_vlm.Turn(speaker="user", text=question, images=(0,)),
        tiny_vlm.Turn(speaker="assistant", text=ANSWERS[color]),
    )
    return TrainingExample(question, (tiny_vlm.write_square(folder, color),), turns)


def logits_of(vlm: Vlm, cache: FeatureCache, encoded: EncodedExample) -> torch.Tensor:
    features = vlm.model.model.multi_modal_projector(cache.gather(encoded.images)).flatten(0, 1)
    token_ids = torch.from_numpy(encoded.token_ids)
    embedded = vlm.model.get_input_embeddings()(token_ids).clone()
    embedded[token_ids == vlm.chat.image_token_id] = features
    return vlm.model.lm_head(vlm.model.model.language_model(inputs_embeds=embedded[None]).last_hidden_state)[0]


def test_logits_before_unsupervised_tokens_get_no_gradient(vlm: Vlm, tmp_path: Path) -> None:
    encoded = encode_example(ask(tmp_path, "red", "Which?"), vlm.chat)
    cache = FeatureCache(None, vlm.model, vlm.processor.image_processor)
    cache.compute(encoded.images)
    logits = logits_of(vlm, cache, encoded)
    logits.retain_grad()
    torch.nn.functional.cross_entropy(logits[:-1], torch.from_numpy(encoded.labels[1:]), ignore_index=IGNORE).backward()
    is_learned = torch.from_numpy(encoded.labels[1:] != IGNORE)
    assert (logits.grad[:-1][~is_learned] == 0).all()
    assert (logits.grad[:-1][is_learned].abs().sum(dim=1) > 0).all()


def test_a_model_that_learned_four_samples_by_heart_ends_its_answers(vlm: Vlm, tmp_path: Path) -> None:
    examples = [ask(tmp_path, color, f"{color}?") for color in ANSWERS] + [ask(tmp_path, "red", "Sure?")]
    encoded = [encode_example(example, vlm.chat) for example in examples]
    cache = FeatureCache(None, vlm.model, vlm.processor.image_processor)
    cache.compute([image for example in encoded for image in example.images])
    vlm.model.requires_grad_(True)
    optimizer = torch.optim.AdamW(vlm.model.model.language_model.parameters(), lr=1e-2)
    for _ in range(60):
        losses = [
            torch.nn.functional.cross_entropy(
                logits_of(vlm, cache, example)[:-1], torch.from_numpy(example.labels[1:]), ignore_index=IGNORE
            )
            for example in encoded
        ]
        optimizer.zero_grad()
        torch.stack(losses).mean().backward()
        optimizer.step()
    vlm.save(tmp_path / "model")
    answerer = LocalAnswerer(tmp_path / "model", max_new_tokens=40)
    for example in examples:
        assert answerer.reply(example.turns[:1], example.images) == example.turns[1].text
