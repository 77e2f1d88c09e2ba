import json
from pathlib import Path

import pytest

import broken_rows
from stablellava.config.training import SourceSettings
from stablellava.core.errors import RecordError
from stablellava.store.image_refs import load_rgb
from stablellava.store.images import PictureRefused
from stablellava.training.sources.checking import check_source
from stablellava.training.sources.source import open_source


@pytest.fixture(scope="module")
def broken(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, dict[int, str]]:
    folder = tmp_path_factory.mktemp("broken")
    broken_rows.write_pictures(folder / "images")
    return folder, broken_rows.write_rows(folder / "rows.json", per_kind=3)


def open_json(folder: Path, name: str = "rows.json") -> object:
    return open_source(SourceSettings(path=str(folder / name), images=str(folder / "images")), name)


@pytest.mark.parametrize("num_workers", [1, 4])
def test_every_broken_row_is_listed_with_its_reason_and_all_others_are_kept(
    broken: tuple[Path, dict[int, str]], num_workers: int
) -> None:
    folder, expected = broken
    source = open_json(folder)
    report = check_source(source, num_workers=num_workers)
    assert {row.row: row.reason for row in report.bad} == expected
    assert {row.file for row in report.bad} == {str(folder / "rows.json")}
    assert all(row.detail for row in report.bad)
    assert (report.num_rows, report.num_good) == (300, 300 - len(expected))
    assert sum(report.reasons.values()) == len(expected) == 3 * len(broken_rows.BROKEN)
    kept = [source.read(place) for place in report.good_rows.tolist()]
    assert len(kept) == report.num_good
    for row in kept:
        for image in row.example.images:
            assert load_rgb(image).mode == "RGB"


def test_oddities_that_were_put_right_are_counted(broken: tuple[Path, dict[int, str]]) -> None:
    notes = check_source(open_json(broken[0])).notes
    assert {"single_image", "text_only", "multi_image", "literal_tag", "repeated_tag"} < notes.keys()
    assert {"system_message", "opening_answer_skipped", "repeated_id"} < notes.keys()


def test_without_decoding_only_pictures_that_are_not_there_are_found(broken: tuple[Path, dict[int, str]]) -> None:
    report = check_source(open_json(broken[0]), decode=False)
    assert "image_missing" in report.reasons
    assert not {"image_unreadable", "image_truncated", "image_too_large"} & report.reasons.keys()


def test_a_report_is_one_json_record_that_says_the_value(broken: tuple[Path, dict[int, str]]) -> None:
    report = check_source(open_json(broken[0]))
    row = next(row for row in json.loads(report.to_json())["bad"] if row["reason"] == "unknown_speaker")
    assert row["value"] == "bot"
    assert "'from' has to be one of human, user, gpt" in row["detail"]


def test_a_changed_file_is_another_source_to_the_report(tmp_path: Path) -> None:
    broken_rows.write_pictures(tmp_path / "images")
    path = tmp_path / "rows.json"
    path.write_text(json.dumps([broken_rows.good_row(0)]))
    before = check_source(open_json(tmp_path))
    path.write_text(json.dumps([broken_rows.good_row(0), broken_rows.good_row(1)]))
    assert check_source(open_json(tmp_path)).identity != before.identity


def test_a_picture_that_vanishes_after_the_check_is_named(tmp_path: Path) -> None:
    broken_rows.write_pictures(tmp_path / "images")
    (tmp_path / "rows.json").write_text(json.dumps([broken_rows.good_row(0)]))
    image = open_json(tmp_path).read(0).example.images[0]
    image.unlink()
    with pytest.raises(PictureRefused, match="not there any more") as caught:
        load_rgb(image)
    assert isinstance(caught.value, RecordError)
