import json
from pathlib import Path

import pytest

import tiny_vlm
from broken_rows import good_row, say, write_pictures
from stablellava.config.training import SourceSettings, StageConfig
from stablellava.core.errors import ConfigError
from stablellava.training.data import delay_description, load_examples
from stablellava.training.stage_data import StageData, load_stage_data


def stage(*sources: SourceSettings, **changes: object) -> StageConfig:
    return StageConfig(data="dialogues", learning_rate=1e-3, sources=sources, **changes)


def load(tmp_path: Path, *sources: SourceSettings, **changes: object) -> StageData:
    return load_stage_data(stage(*sources, **changes), tmp_path / "run" / "data", tmp_path / "report")


@pytest.fixture
def rows(tmp_path: Path) -> SourceSettings:
    write_pictures(tmp_path / "images")
    (tmp_path / "rows.json").write_text(json.dumps([good_row(0), "broken", good_row(1), good_row(2)]))
    return SourceSettings(path=str(tmp_path / "rows.json"), images=str(tmp_path / "images"))


def test_without_sources_a_stage_learns_from_the_runs_own_samples(tmp_path: Path) -> None:
    data_dir = tmp_path / "run" / "data"
    tiny_vlm.write_samples(data_dir, 4)
    found = load(tmp_path, delayed_description_share=1.0)
    assert list(found.examples) == [delay_description(own, 1.0) for own in load_examples(data_dir, "dialogues")]
    assert not (tmp_path / "report").exists()


def test_examples_of_all_sources_stand_one_after_the_other_without_the_bad_rows(
    tmp_path: Path, rows: SourceSettings
) -> None:
    tiny_vlm.write_samples(tmp_path / "run" / "data", 2)
    examples = load(tmp_path, rows, SourceSettings()).examples
    assert len(examples) == 5
    assert [example.source for example in examples] == [0, 0, 0, 1, 1]
    assert [example.example_id for example in examples] == ["0", "000000000001", "2", "sample-0", "sample-1"]
    assert examples[-1] == list(examples)[4]
    assert [example.example_id for example in examples[1:3]] == ["000000000001", "2"]
    with pytest.raises(IndexError):
        examples[5]


def test_each_source_may_give_its_first_exchange_or_all_of_it(tmp_path: Path, rows: SourceSettings) -> None:
    whole = load(tmp_path, rows).examples
    first = load(tmp_path, rows.model_copy(update={"data": "descriptions"})).examples
    assert [len(example.turns) for example in whole] == [2, 4, 2]
    assert [len(example.turns) for example in first] == [2, 2, 2]


def test_a_source_is_checked_once_while_its_files_stay(tmp_path: Path, rows: SourceSettings) -> None:
    assert [report.num_good for report in load(tmp_path, rows).reports] == [3]
    told: list[int] = []
    arguments = (stage(rows), tmp_path / "run" / "data", tmp_path / "report", True, 1)
    load_stage_data(*arguments, lambda name, done, total: told.append(done))
    assert told == []
    (tmp_path / "rows.json").write_text(json.dumps([{"conversations": say("Q", "A")}]))
    found = load_stage_data(*arguments, lambda name, done, total: told.append(done))
    assert (told, len(found.examples)) == ([1], 1)


def test_pictures_that_were_put_in_place_since_the_check_are_used(tmp_path: Path, rows: SourceSettings) -> None:
    whole = (tmp_path / "images" / "rgb.png").read_bytes()
    (tmp_path / "images" / "rgb.png").write_bytes(whole[: len(whole) // 2])
    assert [report.num_good for report in load(tmp_path, rows).reports] == [1]
    (tmp_path / "images" / "rgb.png").write_bytes(whole)
    assert [report.num_good for report in load(tmp_path, rows).reports] == [3]


def test_another_folder_of_pictures_is_looked_into(tmp_path: Path, rows: SourceSettings) -> None:
    (tmp_path / "elsewhere").mkdir()
    wrong = rows.model_copy(update={"images": str(tmp_path / "elsewhere")})
    found = [load(tmp_path, source).reports[0].num_good for source in (wrong, rows, wrong)]
    assert found == [1, 3, 1]


def test_a_number_that_no_source_would_heed_is_refused(tmp_path: Path, rows: SourceSettings) -> None:
    with pytest.raises(ConfigError, match="num_samples=800 of a stage counts only where its sources have shares"):
        load(tmp_path, rows, SourceSettings(epochs=2), num_samples=800)
