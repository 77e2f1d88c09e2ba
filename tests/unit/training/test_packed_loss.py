"""However samples are laid out, the loss and its gradients are those of the samples alone."""

from collections.abc import Iterator
from pathlib import Path

import pytest
import torch

import tiny_vlm
from stablellava.config.training import SpeedSettings
from stablellava.core.errors import ConfigError
from stablellava.model.assembling import Vlm, assemble
from stablellava.model.feature_cache import FeatureCache
from stablellava.model.packed_attention import attend_within_segments
from stablellava.model.vlm import AnswerLoss
from stablellava.training.collating import CachedPatches, DecodedPictures, PackingCollator, PaddingCollator
from stablellava.training.data import TrainingExample
from stablellava.training.kernels import apply_kernels, check_parity, choose_attention, use_kernels
from stablellava.training.labels import EncodedExample, encode_example

PAD = 2
LAYOUTS = ["padded", "segments", "block_mask", "short", "pixels", "full head", "checkpointed", "checkpointed short"]
TOTAL = torch.tensor(50)


@pytest.fixture(scope="module")
def language_model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tiny_vlm.write_language_model(tmp_path_factory.mktemp("lm"))


@pytest.fixture
def vlm(language_model: Path) -> Vlm:
    vlm = assemble(tiny_vlm.tiny_settings(language_model), seed=0)
    vlm.model.model.vision_tower.requires_grad_(False)
    return vlm


@pytest.fixture
def cache(vlm: Vlm) -> FeatureCache:
    return FeatureCache(None, vlm.model, vlm.processor.image_processor)


@pytest.fixture
def examples(vlm: Vlm, cache: FeatureCache, tmp_path: Path) -> list[EncodedExample]:
    shown = [(1, "A green square."), (0, "Nothing at all to see here."), (2, "Green."), (1, "It is blue, I think.")]
    dialogues = []
    for number, (num_images, answer) in enumerate(shown):
        images = tuple(tiny_vlm.write_square(tmp_path, "green", seed) for seed in range(num_images))
        turns = (
            tiny_vlm.Turn(speaker="user", text="What is it?", images=tuple(range(num_images))),
            tiny_vlm.Turn(speaker="assistant", text=answer),
        )
        dialogues.append(encode_example(TrainingExample(f"sample {number}", images, turns), vlm.chat))
    cache.compute([path for example in dialogues for path in example.images])
    return dialogues


def gradients_of(vlm: Vlm, loss: torch.Tensor) -> dict[str, torch.Tensor]:
    vlm.model.zero_grad()
    loss.backward()
    return {name: p.grad.clone() for name, p in vlm.model.named_parameters() if p.grad is not None}


def alone(vlm: Vlm, cache: FeatureCache, examples: list[EncodedExample]) -> torch.Tensor:
    collator = PaddingCollator(CachedPatches(cache), PAD)
    losses = [AnswerLoss(vlm.model)(**collator([example]), num_supervised=TOTAL) for example in examples]
    return torch.stack(losses).sum()


@pytest.mark.parametrize("layout", LAYOUTS)
def test_loss_and_gradients_are_those_of_the_samples_alone(
    vlm: Vlm, cache: FeatureCache, examples: list[EncodedExample], layout: str
) -> None:
    expected = alone(vlm, cache, examples)
    wanted = gradients_of(vlm, expected)
    pictures = CachedPatches(cache)
    if layout == "pixels":
        pictures = DecodedPictures(vlm.processor.image_processor, 64)
    attention, is_short = "block_mask" if layout == "block_mask" else "segments", "short" in layout
    speed = SpeedSettings(
        packing=layout != "padded",
        short_last_layer=is_short,
        answers_only=layout != "full head",
        gradient_checkpointing="checkpointed" in layout,
    )
    row_length = 90 if layout == "block_mask" else None
    collator = PackingCollator(pictures, PAD, row_length, names_answer_places=is_short)
    if layout == "padded":
        collator = PaddingCollator(pictures, PAD)
    loss = AnswerLoss(vlm.model, answers_only=speed.answers_only)
    vlm.model.train()
    with use_kernels(vlm.model, speed, attention):
        apply_kernels(loss, speed, {})
        found = loss(**collator(examples), num_supervised=TOTAL)
        got = gradients_of(vlm, found)
    assert found.item() == pytest.approx(expected.item(), abs=1e-5)
    assert got.keys() == wanted.keys()
    for name, gradient in wanted.items():
        assert torch.allclose(got[name], gradient, atol=2e-5, rtol=1e-3), name


@pytest.mark.parametrize("attention", ["segments", "block_mask"])
def test_what_one_packed_sample_says_does_not_reach_another(
    vlm: Vlm, cache: FeatureCache, examples: list[EncodedExample], attention: str
) -> None:
    is_short = attention == "segments"
    collator = PackingCollator(CachedPatches(cache), PAD, None if is_short else 200, names_answer_places=is_short)
    others = [examples[0], examples[2], examples[3]]
    chatter = EncodedExample("chatter", examples[1].token_ids.copy(), examples[1].labels * 0 - 100, ())
    changed = EncodedExample("changed", (chatter.token_ids * 7) % 200 + 3, chatter.labels, ())
    losses = []
    with torch.no_grad(), use_kernels(vlm.model, SpeedSettings(), attention):
        for guest in (chatter, changed):
            batch = collator([others[0], guest, *others[1:]])
            losses.append(AnswerLoss(vlm.model)(**batch, num_supervised=TOTAL).item())
    assert losses[0] == losses[1] == pytest.approx(alone(vlm, cache, others).item(), abs=1e-5)


@pytest.mark.parametrize("with_pixels", [False, True])
def test_a_batch_without_samples_or_pictures_runs_every_part_and_teaches_nothing(
    vlm: Vlm, cache: FeatureCache, with_pixels: bool
) -> None:
    pictures = DecodedPictures(vlm.processor.image_processor, 64) if with_pixels else CachedPatches(cache)
    batch = PackingCollator(pictures, PAD, names_answer_places=True)([])
    with use_kernels(vlm.model, SpeedSettings(), "segments"):
        loss = AnswerLoss(vlm.model)(**batch, num_supervised=TOTAL)
    gradients = gradients_of(vlm, loss)
    trained = {name for name, parameter in vlm.model.named_parameters() if parameter.requires_grad}
    assert loss.item() == 0.0
    assert gradients.keys() == trained
    assert not any(gradient.any() for gradient in gradients.values())


@pytest.fixture
def module() -> Iterator[torch.nn.Module]:
    torch.manual_seed(0)
    module = torch.nn.Module()
    module.is_causal = True
    yield module


def test_a_window_is_kept_inside_each_segment(module: torch.nn.Module) -> None:
    query, key, value = torch.randn(3, 1, 2, 9, 4)
    windowed, _ = attend_within_segments(module, query, key, value, None, [4, 5], sliding_window=2)
    for start, end in ((0, 4), (4, 9)):
        for place in range(start, end):
            seen = slice(max(place - 1, start), place + 1)
            scores = (query[:, :, place : place + 1] @ key[:, :, seen].mT) / 2
            expected = (scores.softmax(-1) @ value[:, :, seen]).transpose(1, 2)
            assert torch.allclose(windowed[:, place : place + 1], expected, atol=1e-6)


def test_attention_that_a_causal_pass_cannot_do_is_refused(module: torch.nn.Module) -> None:
    query = torch.randn(1, 2, 3, 4)
    with pytest.raises(ValueError, match=r"softcap: set training\.speed\.attention=block_mask"):
        attend_within_segments(module, query, query, query, None, [3], softcap=30.0)


def test_compiling_masks_and_everything_else_passes_per_sample() -> None:
    assert choose_attention(SpeedSettings(), "float32") == "segments"
    assert choose_attention(SpeedSettings(compile=True), "float32") == "block_mask"
    with pytest.raises(ConfigError, match="attention=block_mask"):
        choose_attention(SpeedSettings(compile=True, attention="segments"), "float32")


@pytest.mark.parametrize("after", [2.001, float("nan")])
def test_kernels_that_change_the_loss_are_refused_by_name(after: float) -> None:
    check_parity("liger", 2.0, 2.0001)
    with pytest.raises(ConfigError, match=r"training\.speed\.liger changes the first loss from 2\.000000"):
        check_parity("liger", 2.0, after)
