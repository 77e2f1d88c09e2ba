import io
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from stablellava.core.draft import CallStamp, Draft, PaintPrompt, Turn
from stablellava.core.errors import RecordError
from stablellava.core.sample import Painting, Sample
from stablellava.core.score import EvalItem, TaskItem
from stablellava.evaluation.contamination import check_contamination, ensure_clean
from stablellava.store.images import decode_picture, store_image


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


def _task_item(question: str, item_id: str = "i", images: tuple[str, ...] = (), unit: str = "") -> TaskItem:
    return TaskItem(item_id=item_id, form="choice", prompt=question, question=question, images=images, unit=unit)


def _asking(question: str) -> Sample:
    sample = _sample("cat", "beach")
    turns = (Turn(speaker="user", text=question), Turn(speaker="assistant", text="Yes."))
    return sample.model_copy(update={"draft": sample.draft.model_copy(update={"turns": turns})})


def test_a_question_of_one_item_that_training_asks_in_the_same_words_is_found() -> None:
    trained = [_asking("<image>\nWhich of the two harbors lies further north?")]
    item = _task_item("Which of the two harbors lies further NORTH")
    report = check_contamination([item, _task_item("Why?", "other")], trained)
    assert (report.questions, report.item_ids) == ((item.question,), ("i",))
    assert "1 of 2 items share 1 questions" in report.words
    with pytest.raises(RecordError, match=r"1 questions of the evaluation.*further NORTH"):
        ensure_clean(report)


def test_short_questions_and_those_of_many_items_are_nobodys() -> None:
    long = "Is there a dog somewhere in the image?"
    trained = [_asking("What is this?"), _asking(long)]
    items = [_task_item("What is this?", "1"), _task_item(long, "2"), _task_item(long, "3")]
    assert check_contamination(items, trained).is_clean
    passes = [_task_item(long, f"4-{i}", unit="4") for i in range(4)]
    assert check_contamination(passes, trained).item_ids == ("4-0", "4-1", "4-2", "4-3")


def test_a_question_that_many_samples_ask_is_a_stock_one() -> None:
    stock = "What animal is shown in the picture?"
    assert not check_contamination([_task_item(stock)], [_asking(stock)] * 10).is_clean
    assert check_contamination([_task_item(stock)], [_asking(stock)] * 11).is_clean


def test_a_picture_that_was_scaled_and_encoded_anew_is_found_and_another_is_not(tmp_path: Path) -> None:
    rng = np.random.default_rng(0)
    coarse = [rng.integers(0, 255, (6, 6, 3), dtype=np.uint8) for _ in range(2)]
    trained, other = (Image.fromarray(pixels).resize((96, 96), Image.Resampling.BICUBIC) for pixels in coarse)
    buffer = io.BytesIO()
    trained.save(buffer, "PNG")
    picture = decode_picture(buffer.getvalue(), "test")
    store_image(tmp_path / "data", buffer.getvalue(), picture)
    (tmp_path / "suite").mkdir()
    trained.resize((64, 64)).save(tmp_path / "suite" / "again.jpg", quality=80)
    other.save(tmp_path / "suite" / "other.png")
    sample = _sample("", "", picture.sha256)
    painting = sample.paintings[0].model_copy(update={"perceptual_hash": picture.perceptual_hash})
    report = check_contamination(
        [_task_item("Why?", "1", ("again.jpg",)), _task_item("Why?", "2", ("other.png",))],
        [sample.model_copy(update={"paintings": (painting,)})],
        image_dir=tmp_path / "suite",
        data_dir=tmp_path / "data",
    )
    assert report.near_images == (("again.jpg", picture.sha256),)
    assert (report.item_ids, report.images_sha256, report.looked_at_pictures) == (("1",), (), True)


def test_combinations_of_capability_tasks_are_compared_too() -> None:
    item = _task_item("Why?").model_copy(update={"group": "animal", "fields": {"keyword": "cat", "setting": "beach"}})
    assert check_contamination([item], [_sample("cat", "beach")]).combinations == (("animal", "cat", "beach"),)
    assert "None of 1 items is among 1 training samples" in check_contamination([item], [_sample("dog", "sea")]).words
