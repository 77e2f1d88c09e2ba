import os
import pickle
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
import torch

import tiny_towers
import tiny_vlm
from stablellava.core.errors import ConfigError, RecordError
from stablellava.model.assembling import Vlm, assemble
from stablellava.model.checkpoints import load_vlm
from stablellava.model.feature_cache import FeatureCache
from stablellava.model.vlm import select_patches


@pytest.fixture(scope="module")
def vlm(tmp_path_factory: pytest.TempPathFactory) -> Vlm:
    folder = tiny_vlm.write_language_model(tmp_path_factory.mktemp("lm"))
    return assemble(tiny_vlm.tiny_settings(folder), seed=0)


def open_cache(vlm: Vlm, folder: Path) -> FeatureCache:
    return FeatureCache(folder / "features", vlm.model, vlm.processor.image_processor)


def test_features_are_the_towers_own_and_computed_once(vlm: Vlm, tmp_path: Path) -> None:
    images = [tiny_vlm.write_square(tmp_path, name) for name in ("red", "green", "blue")]
    assert open_cache(vlm, tmp_path).compute([*images, images[0]]) == 3
    reopened = open_cache(vlm, tmp_path)
    assert reopened.compute(images) == 0
    pictures = [tiny_vlm.Image.open(path) for path in images]
    pixels = vlm.processor.image_processor(images=pictures, return_tensors="pt")["pixel_values"]
    with torch.inference_mode():
        expected = select_patches(vlm.model, pixels)
    assert torch.allclose(reopened.gather(images), expected, atol=1e-4)
    assert reopened.bytes_per_image * 3 == expected.numel() * 4


def test_a_saved_model_finds_the_features_of_the_one_it_was_saved_from(vlm: Vlm, tmp_path: Path) -> None:
    image = tiny_vlm.write_square(tmp_path, "red")
    assert open_cache(vlm, tmp_path).compute([image]) == 1
    vlm.save(tmp_path / "saved")
    assert open_cache(load_vlm(tmp_path / "saved"), tmp_path).compute([image]) == 0


def test_a_picture_has_the_same_features_whatever_was_computed_with_it(vlm: Vlm, tmp_path: Path) -> None:
    red, green = (tiny_vlm.write_square(tmp_path, name) for name in ("red", "green"))
    alone, together = (FeatureCache(tmp_path / at, vlm.model, vlm.processor.image_processor) for at in ("a", "b"))
    alone.compute([red])
    together.compute([green, red])
    assert torch.equal(alone.gather([red]), together.gather([red]))


def test_features_are_the_same_bits_on_any_number_of_threads(vlm: Vlm, tmp_path: Path) -> None:
    images = [tiny_vlm.write_square(tmp_path, "red", seed) for seed in range(40)]
    before = torch.get_num_threads()
    found = []
    for num_threads in (1, 4):
        torch.set_num_threads(num_threads)
        cache = FeatureCache(tmp_path / str(num_threads), vlm.model, vlm.processor.image_processor)
        assert cache.compute(images) == 40
        found.append(cache.gather(images))
    torch.set_num_threads(before)
    assert torch.equal(*found)


def test_pictures_that_another_process_read_need_not_be_read_again(vlm: Vlm, tmp_path: Path) -> None:
    images = [tiny_vlm.write_square(tmp_path, name) for name in ("red", "green")]
    here, there = open_cache(vlm, tmp_path), open_cache(vlm, tmp_path)
    here.compute(images)
    there.digest_of |= here.digest_of
    there.refresh()
    for image in images:
        image.unlink()
    assert torch.equal(there.gather(images), here.gather(images))


@pytest.mark.parametrize("on_disk", [True, False])
def test_another_process_is_given_what_it_takes_to_gather_and_no_model(vlm: Vlm, tmp_path: Path, on_disk: bool) -> None:
    images = [tiny_vlm.write_square(tmp_path, name) for name in ("red", "green")]
    folder = tmp_path / "features" if on_disk else None
    cache = FeatureCache(folder, vlm.model, vlm.processor.image_processor)
    cache.compute(images)
    sent = pickle.dumps(cache)
    assert len(sent) < (10_000 if on_disk else 2 * cache.bytes_per_image + 10_000)
    assert torch.equal(pickle.loads(sent).gather(images), cache.gather(images))


def test_a_changed_picture_is_another_picture(vlm: Vlm, tmp_path: Path) -> None:
    image = tiny_vlm.write_square(tmp_path, "red")
    open_cache(vlm, tmp_path).compute([image])
    image.write_bytes(tiny_vlm.paint_square("blue", 0))
    assert open_cache(vlm, tmp_path).compute([image]) == 1


def test_a_shard_without_its_index_is_computed_again(vlm: Vlm, tmp_path: Path) -> None:
    image = tiny_vlm.write_square(tmp_path, "red")
    cache = open_cache(vlm, tmp_path)
    cache.compute([image])
    for index in (tmp_path / "features").rglob("*.json"):
        index.unlink()
    assert open_cache(vlm, tmp_path).compute([image]) == 1


@pytest.mark.parametrize("content", [b"", b"\x89PNG\r\n\x1a\n broken", b"hello"])
def test_a_broken_picture_is_named(vlm: Vlm, tmp_path: Path, content: bytes) -> None:
    path = tmp_path / "broken.png"
    path.write_bytes(content)
    with pytest.raises(RecordError, match=r"broken\.png cannot be read"):
        open_cache(vlm, tmp_path).compute([path])


def test_a_missing_picture_is_named(vlm: Vlm, tmp_path: Path) -> None:
    with pytest.raises(RecordError, match=r"gone\.png cannot be read"):
        open_cache(vlm, tmp_path).compute([tmp_path / "gone.png"])


def test_pictures_decoded_by_other_processes_have_the_same_features(vlm: Vlm, tmp_path: Path) -> None:
    images = [tiny_vlm.write_square(tmp_path, "red", seed) for seed in range(20)]
    here, workers = (FeatureCache(tmp_path / at, vlm.model, vlm.processor.image_processor) for at in ("a", "b"))
    here.compute(images)
    assert workers.compute(images, num_workers=2) == 20
    assert torch.equal(here.gather(images), workers.gather(images))


def test_a_broken_picture_is_named_by_other_processes_too(vlm: Vlm, tmp_path: Path) -> None:
    path = tmp_path / "broken.png"
    path.write_bytes(b"hello")
    with pytest.raises(RecordError, match=r"^image \S*broken\.png"):
        open_cache(vlm, tmp_path).compute([path], num_workers=1)


def test_room_is_made_by_deleting_what_was_longest_unused(vlm: Vlm, tmp_path: Path) -> None:
    cache = open_cache(vlm, tmp_path)
    groups = [[tiny_vlm.write_square(tmp_path, color, seed) for seed in range(2)] for color in ("red", "green", "blue")]
    for age, group in enumerate(groups):
        before = set((tmp_path / "features").rglob("*.json"))
        cache.compute(group)
        (new,) = set((tmp_path / "features").rglob("*.json")) - before
        os.utime(new, (age, age))
    old, used, _ = groups
    coming = [tiny_vlm.write_square(tmp_path, "red", seed) for seed in (7, 8)]
    assert cache.make_room([*used, *coming], 6.9 * cache.bytes_per_image) > 0
    assert cache.compute([*used, *groups[2]]) == 0
    assert cache.compute(old) == 2


def test_features_that_cannot_fit_are_refused_with_their_size(vlm: Vlm, tmp_path: Path) -> None:
    cache = open_cache(vlm, tmp_path)
    images = [tiny_vlm.write_square(tmp_path, "red", seed) for seed in range(3)]
    with pytest.raises(ConfigError, match=r"max_cache_gb=1e-06: the features of 3 pictures take .* GB; allow as much"):
        cache.make_room(images, 1e3)


def test_an_interrupt_that_somebody_holds_leaves_the_tower_and_the_threads_as_they_were(tmp_path: Path) -> None:
    tower = tiny_towers.write_tower(tmp_path / "tower", "clip")
    changes = {"tower": str(tower), "image_size_px": tiny_towers.IMAGE_SIZE_PX}
    settings = tiny_vlm.tiny_settings(tiny_vlm.write_language_model(tmp_path / "lm"), **changes)
    clip = assemble(settings, seed=0)
    images = [tiny_vlm.write_square(tmp_path, "red", seed) for seed in range(40)]

    def interrupt(done: int, total: int) -> None:
        raise KeyboardInterrupt

    before = torch.get_num_threads()
    torch.set_num_threads(3)
    with pytest.raises(KeyboardInterrupt) as held:
        FeatureCache(None, clip.model, clip.processor.image_processor).compute(images, interrupt)
    with ThreadPoolExecutor(1) as pool:
        num_threads = pool.submit(torch.get_num_threads).result()
    torch.set_num_threads(before)
    assert num_threads == 3
    again, fresh = (
        FeatureCache(None, made.model, made.processor.image_processor) for made in (clip, assemble(settings, seed=0))
    )
    for cache in (again, fresh):
        cache.compute(images)
    assert torch.equal(again.gather(images), fresh.gather(images))
    assert held.traceback
