import json
from pathlib import Path
from typing import Any

import pytest

from stablellava.core.errors import RecordError
from stablellava.core.rating import KeyedPair, Rating, RatingKey
from stablellava.store.ratings import append_rating, read_key, read_ratings, write_key

KEY = RatingKey(
    study_id="study",
    seed=0,
    pairs=tuple(KeyedPair(pair_id=name, origin="kept", source="mine", sample_id=name) for name in "ab"),
)


def _line(**changes: Any) -> str:
    row = {"study_id": "study", "pair_id": "a", "rater": "ann", "fits": "yes", "picture_good": None, "comment": ""}
    return json.dumps({**row, **changes}) + "\n"


def test_a_key_is_read_as_it_was_written(tmp_path: Path) -> None:
    write_key(KEY, tmp_path / "new" / "study.key.json")
    assert read_key(tmp_path / "new" / "study.key.json") == KEY


def test_the_later_of_two_lines_counts(tmp_path: Path) -> None:
    path = tmp_path / "ann.jsonl"
    for fits in ("yes", "no"):
        append_rating(path, Rating(study_id="study", pair_id="a", rater="ann", fits=fits))
    assert read_ratings([path], KEY)["ann"]["a"].fits == "no"
    assert len(path.read_bytes().splitlines()) == 2


@pytest.mark.parametrize(
    ("line", "problem"),
    [
        (_line(fits="maybe"), r"line 2: fits: .*'maybe'"),
        (_line(rater=" "), r"line 2: rater: .*' '"),
        (_line(picture_good="perhaps"), r"line 2: picture_good: .*'perhaps'"),
        (_line(mood="fine"), r"line 2: mood: .*'fine'"),
        (_line(study_id="other"), "line 2: study_id 'other', but the key is of 'study'"),
        (_line(pair_id="c"), "line 2: pair_id 'c' is not in the key"),
        ("{fits", "line 2: value: Invalid JSON"),
    ],
)
def test_a_bad_line_is_told_with_file_line_and_value(line: str, problem: str, tmp_path: Path) -> None:
    path = tmp_path / "ann.jsonl"
    path.write_text(_line() + line)
    with pytest.raises(RecordError, match=rf"ann\.jsonl: {problem}"):
        read_ratings([path], KEY)


def test_one_name_in_two_files_is_refused(tmp_path: Path) -> None:
    for name in ("first", "second"):
        (tmp_path / name).write_text(_line())
    with pytest.raises(RecordError, match=r"second: line 1: rater 'ann' has ratings in .*first, too"):
        read_ratings([tmp_path / "first", tmp_path / "second"], KEY)


def test_files_without_ratings_are_refused(tmp_path: Path) -> None:
    (tmp_path / "empty").write_text("\n")
    with pytest.raises(RecordError, match="empty: holds no ratings"):
        read_ratings([tmp_path / "empty"], KEY)
    with pytest.raises(RecordError, match="gone: cannot be read"):
        read_ratings([tmp_path / "gone"], KEY)
