from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
import torch

import tiny_towers
import tiny_vlm
from stablellava.model.assembling import Vlm, assemble
from stablellava.model.feature_cache import FeatureCache
from stablellava.model.vlm import IGNORE, AnswerLoss, select_patches
from stablellava.training.collating import CachedPatches, PaddingCollator
from stablellava.training.data import TrainingExample
from stablellava.training.labels import encode_example


@pytest.fixture(scope="module")
def vlm(tmp_path_factory: pytest.TempPathFactory) -> Vlm:
    folder = tiny_vlm.write_language_model(tmp_path_factory.mktemp("lm"))
    return assemble(tiny_vlm.tiny_settings(folder), seed=0)


def dialogue(folder: Path, example_id: str, num_images: int, answer: str) -> TrainingExample:
    images = tuple(tiny_vlm.write_square(folder, "green", seed) for seed in range(num_images))
    turns = (
        tiny_vlm.Turn(speaker="user", text="What is it?", images=tuple(range(num_images))),
        tiny_vlm.Turn(speaker="assistant", text=answer),
        tiny_vlm.Turn(speaker="user", text="And?"),
        tiny_vlm.Turn(speaker="assistant", text="No more."),
    )
    return TrainingExample(example_id, images, turns)


def batch_of(vlm: Vlm, tmp_path: Path) -> tuple[dict[str, torch.Tensor], list[Path]]:
    examples = [
        dialogue(tmp_path, "one", 1, "A green square."),
        dialogue(tmp_path, "text only", 0, "Nothing at all to see here."),
        dialogue(tmp_path, "two", 2, "Green."),
    ]
    encoded = [encode_example(example, vlm.chat) for example in examples]
    images = [path for example in encoded for path in example.images]
    cache = FeatureCache(tmp_path / "features", vlm.model, vlm.processor.image_processor)
    cache.compute(images)
    return PaddingCollator(CachedPatches(cache), pad_token_id=2)(encoded), images


def test_loss_and_gradients_equal_the_librarys_own_forward(vlm: Vlm, tmp_path: Path) -> None:
    batch, images = batch_of(vlm, tmp_path)
    learned = batch["labels"][:, 1:] != IGNORE
    vlm.model.zero_grad()
    ours = AnswerLoss(vlm.model)(**batch, num_supervised=learned.sum())
    ours.backward()
    our_gradients = {name: p.grad.clone() for name, p in vlm.model.named_parameters() if p.grad is not None}

    vlm.model.zero_grad()
    pictures = [tiny_vlm.Image.open(path) for path in images]
    pixels = vlm.processor.image_processor(images=pictures, return_tensors="pt")["pixel_values"]
    lengths = [int(learned[row].nonzero().max()) + 2 for row in range(len(learned))]
    mask = torch.tensor([[1] * n + [0] * (batch["labels"].shape[1] - n) for n in lengths])
    theirs = vlm.model(
        input_ids=batch["token_ids"], attention_mask=mask, pixel_values=pixels, labels=batch["labels"]
    ).loss
    theirs.backward()

    assert ours.item() == pytest.approx(theirs.item(), abs=1e-5)
    for name, gradient in our_gradients.items():
        expected = vlm.model.get_parameter(name).grad
        assert torch.allclose(gradient, expected, atol=1e-5, rtol=1e-3), name


def test_what_one_row_says_does_not_change_another_rows_loss(vlm: Vlm, tmp_path: Path) -> None:
    batch, _ = batch_of(vlm, tmp_path)
    batch["labels"][1:] = IGNORE
    loss = AnswerLoss(vlm.model)
    before = loss(**batch, num_supervised=torch.tensor(1))
    batch["token_ids"][1] = 7
    after = loss(**batch, num_supervised=torch.tensor(1))
    assert torch.equal(before, after)


def test_each_picture_lands_at_its_own_placeholders(vlm: Vlm, tmp_path: Path) -> None:
    batch, _ = batch_of(vlm, tmp_path)
    loss = AnswerLoss(vlm.model)
    batch["labels"][1:] = IGNORE
    before = loss(**batch, num_supervised=torch.tensor(1))
    swapped = batch | {"patches": batch["patches"][[0, 2, 1]]}
    changed = batch | {"patches": batch["patches"][[2, 1, 2]]}
    assert torch.equal(loss(**swapped, num_supervised=torch.tensor(1)), before)
    assert not torch.equal(loss(**changed, num_supervised=torch.tensor(1)), before)


@pytest.mark.parametrize("kind", ["clip", "siglip"])
def test_threads_that_read_a_tower_at_once_see_what_the_library_keeps_of_the_layer(tmp_path: Path, kind: str) -> None:
    tower = tiny_towers.write_tower(tmp_path / "tower", kind)
    language_model = tiny_vlm.write_language_model(tmp_path / "lm")
    settings = tiny_vlm.tiny_settings(language_model, tower=str(tower), image_size_px=tiny_towers.IMAGE_SIZE_PX)
    model = assemble(settings, seed=0).model
    vision_tower = model.model.vision_tower
    pictures = torch.randn(32, 1, 3, tiny_towers.IMAGE_SIZE_PX, tiny_towers.IMAGE_SIZE_PX)
    with ThreadPoolExecutor(4) as pool:
        found = torch.cat(list(pool.map(lambda pixels: select_patches(model, pixels), pictures)))
    with torch.no_grad():
        kept = vision_tower(pictures.flatten(0, 1), output_hidden_states=True).hidden_states[-2]
    expected = kept[:, 1:] if kind == "clip" else kept
    assert torch.allclose(found, expected, atol=1e-5)
    assert len(vision_tower.encoder.layers) == 3
