import json
from collections import Counter
from pathlib import Path

import pytest
from PIL import Image

from stablellava.core.errors import ConfigError, RecordError
from stablellava.store.images import image_path
from stablellava.store.layout import RunLayout
from stablellava.store.shards import read_samples
from stablellava.studies.pair_sampling import OtherSource, draw_study, sample_evenly


def _write_llava(folder: Path, num: int, image: str = "photos/{}.jpg") -> Path:
    (folder / "photos").mkdir(parents=True)
    rows = []
    for number in range(num):
        Image.new("RGB", (6, 6), (number, 0, 0)).save(folder / "photos" / f"{number}.jpg")
        turns = [{"from": "human", "value": "<image>\nWhat?"}, {"from": "gpt", "value": f"Photo {number}."}]
        rows.append({"id": str(number), "image": image.format(number), "conversations": turns})
    path = folder / "real.json"
    path.write_text(json.dumps(rows))
    return path


def test_pairs_are_drawn_evenly_and_the_same_for_the_same_seed(painted_run: RunLayout) -> None:
    study = draw_study(painted_run, 9, seed=3)
    assert Counter(pair.capability for pair in study.key.pairs) == {"animal": 3, "food": 3, "plant": 3}
    assert study == draw_study(painted_run, 9, seed=3)
    assert study.key.study_id != draw_study(painted_run, 9, seed=4).key.study_id


def test_small_groups_leave_their_places_to_others() -> None:
    entries = ["a1", "b1", "b2", "b3", "b4", "c1", "c2"]
    drawn = sample_evenly(entries, 6, 0, lambda entry: entry[0], str)
    assert Counter(entry[0] for entry in drawn) == {"a": 1, "b": 3, "c": 2}
    assert sample_evenly(entries, 0, 0, lambda entry: entry[0], str) == []


def test_planted_pairs_show_the_pictures_of_another_keyword(painted_run: RunLayout) -> None:
    study = draw_study(painted_run, 8, num_planted=4)
    own = {sample.sample_id: sample for sample in read_samples(painted_run.data_dir)}
    assert Counter(pair.origin for pair in study.key.pairs) == {"kept": 8, "planted": 4}
    for keyed, shown in zip(study.key.pairs, study.pairs, strict=True):
        sample = own[keyed.sample_id]
        is_own = shown.pictures == (image_path(painted_run.data_dir, sample.paintings[0].sha256),)
        assert is_own == (keyed.origin == "kept")
        assert shown.turns == sample.draft.turns
        assert bool(keyed.said) == is_own


def test_refused_pairs_are_those_that_were_painted(painted_run: RunLayout) -> None:
    study = draw_study(painted_run, 3, num_refused=100)
    refused = [pair for pair in study.key.pairs if pair.origin == "refused"]
    assert len(refused) == 6
    assert {(one.score, one.kept) for pair in refused for one in pair.said} == {(0.2, False)}


def test_another_run_and_real_photos_are_mixed_in(painted_run: RunLayout, tmp_path: Path) -> None:
    others = [OtherSource(painted_run.root), OtherSource(_write_llava(tmp_path / "coco", 5))]
    study = draw_study(painted_run, 3, others=others)
    sources = Counter((pair.origin, pair.source) for pair in study.key.pairs)
    assert sources == {("kept", "mine"): 3, ("other", str(painted_run.root)): 3, ("other", "real.json"): 3}
    assert [pair.pair_id for pair in study.pairs] == [pair.pair_id for pair in study.key.pairs]


def test_a_source_named_twice_is_refused(painted_run: RunLayout, tmp_path: Path) -> None:
    other = OtherSource(_write_llava(tmp_path / "coco", 2))
    with pytest.raises(ConfigError, match=r"real\.json is named twice"):
        draw_study(painted_run, 2, others=[other, other, other])


def test_rows_that_leave_their_folder_or_have_no_pictures_are_refused(painted_run: RunLayout, tmp_path: Path) -> None:
    with pytest.raises(RecordError, match=r"row 1: image '\.\./\.\./etc/passwd' leaves"):
        draw_study(painted_run, 1, others=[OtherSource(_write_llava(tmp_path / "evil", 1, "../../etc/passwd"))])
    released = tmp_path / "animal.json"
    released.write_text(json.dumps([{"prompt": "((cat))", "question": "<image> What?", "answer": "A cat."}]))
    with pytest.raises(RecordError, match="no rows with pictures"):
        draw_study(painted_run, 1, others=[OtherSource(released)])
