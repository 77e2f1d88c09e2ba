import pytest

from stablellava.core.draft import CallStamp, Draft, PaintPrompt
from stablellava.core.errors import RecordError
from stablellava.core.sample import Painting, Sample
from stablellava.core.score import EvalItem
from stablellava.evaluation.contamination import check_contamination, ensure_clean


def _sample(keyword: str, setting: str, sha256: str = "1" * 64) -> Sample:
    stamp = CallStamp(backend="test")
    draft = Draft(
        draft_id="d", capability="animal", keyword=keyword, setting=setting, prompts=(PaintPrompt(text=keyword),),
        turns=(), stamp=stamp,
    )  # fmt: skip
    painting = Painting(
        painting_id="p", sha256=sha256, width_px=8, height_px=8, seed=1, perceptual_hash="0" * 16, drawn=None,
        stamp=stamp,
    )  # fmt: skip
    return Sample(sample_id="s", draft=draft, paintings=(painting,), verdicts=())


def _item(keyword: str, setting: str, sha256: str = "2" * 64, capability: str = "animal") -> EvalItem:
    return EvalItem(
        item_id="i", capability=capability, images=("a.png",), images_sha256=(sha256,), question="?",
        accepted=("cat",), keyword=keyword, setting=setting,
    )  # fmt: skip


def test_disjoint_combinations_and_pictures_are_clean() -> None:
    report = check_contamination([_item("cat", "beach")], [_sample("cat", "forest"), _sample("dog", "beach")])
    assert report.is_clean
    assert (report.num_items, report.num_samples) == (1, 2)
    ensure_clean(report)


def test_a_shared_combination_is_found_and_named() -> None:
    report = check_contamination([_item("cat", "beach")], [_sample("cat", "beach")])
    assert report.combinations == (("animal", "cat", "beach"),)
    with pytest.raises(RecordError, match=r"cat / beach \(animal\)"):
        ensure_clean(report)


def test_the_same_words_in_another_capability_are_another_combination() -> None:
    assert check_contamination([_item("cat", "beach", capability="abnormal")], [_sample("cat", "beach")]).is_clean


def test_a_shared_picture_is_found_even_for_photos_without_keyword() -> None:
    report = check_contamination([_item("", "", "3" * 64)], [_sample("", "", "3" * 64)])
    assert report.images_sha256 == ("3" * 64,)
    assert report.combinations == ()
    assert not report.is_clean
