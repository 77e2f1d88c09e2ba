from pathlib import Path

import pytest

from stablellava.config.loading import dump_config, list_presets, load_config
from stablellava.config.tree import RunConfig
from stablellava.core.errors import ConfigError


def written(folder: Path, text: str) -> Path:
    path = folder / "mine.yaml"
    path.write_text(text, encoding="utf-8")
    return path


def complaint(path: Path | None = None, preset: str | None = None, overrides: tuple[str, ...] = ()) -> str:
    with pytest.raises(ConfigError) as caught:
        load_config(path, preset, overrides)
    return str(caught.value)


def test_no_source_at_all_gives_the_defaults() -> None:
    assert load_config() == RunConfig()


def test_later_layers_win_and_leave_the_rest_of_a_mapping(tmp_path: Path) -> None:
    path = written(tmp_path, "seed: 5\nsynthesis:\n  size_px: 64\n")

    config = load_config(path, "quick", ["synthesis.size_px=96"])

    assert (config.seed, config.synthesis.size_px) == (5, 96)
    assert config.synthesis.shard_size == 4  # from the preset


def test_a_stage_may_be_given_in_part(tmp_path: Path) -> None:
    config = load_config(written(tmp_path, "training:\n  align:\n    batch_size: 3\n"))

    assert config.training.align.batch_size == 3
    assert config.training.align.data == "descriptions"


def test_what_is_dumped_is_read_back_equal(tmp_path: Path) -> None:
    config = load_config(preset="demo", overrides=["training.align.learning_rate=2e-5"])

    assert load_config(written(tmp_path, dump_config(config))) == config


def test_an_override_writes_a_list_with_commas() -> None:
    assert load_config(overrides=["synthesis.capabilities=color,hair"]).synthesis.capabilities == ("color", "hair")


def test_a_number_in_scientific_form_is_a_number() -> None:
    assert load_config(overrides=["training.align.learning_rate=2e-5"]).training.align.learning_rate == 2e-5


def test_an_unknown_preset_is_answered_with_the_nearest() -> None:
    assert "Did you mean 'demo'?" in complaint(preset="deom")


def test_broken_yaml_names_file_line_and_column(tmp_path: Path) -> None:
    path = written(tmp_path, "seed: 1\nsynthesis:\n  capabilities: [color, animal\n")

    assert complaint(path).startswith(f"{path}:4:1: not valid YAML")


def test_an_unknown_key_names_its_line_and_the_nearest_key(tmp_path: Path) -> None:
    path = written(tmp_path, "seed: 1\nsynthesis:\n  size: 64\n")

    message = complaint(path)

    assert message.startswith(f"{path}:3:3: unknown key 'size' under 'synthesis'")
    assert "Did you mean 'size_px'?" in message


def test_a_wrong_type_names_place_setting_value_and_what_works(tmp_path: Path) -> None:
    message = complaint(written(tmp_path, "synthesis:\n  samples_per_capability: many\n"))

    assert "mine.yaml:2:3: synthesis.samples_per_capability='many'" in message
    assert "valid integer" in message
    assert message.endswith("For example synthesis.samples_per_capability=240.")


def test_a_value_in_place_of_a_group_lists_what_the_group_holds() -> None:
    assert "has settings of its own: start, tower" in complaint(overrides=("training.model=big",))


def test_settings_inside_a_list_are_told_as_those_outside() -> None:
    wrong_key = complaint(overrides=("training.align.sources=[{path: a, epoch: 1}]",))
    assert "unknown key 'epoch' under 'training.align.sources.0'. Did you mean 'epochs'?" in wrong_key
    wrong_kind = complaint(overrides=("training.align.sources=a.json",))
    assert "training.align.sources.0='a.json': has settings of its own: path, images, name" in wrong_kind


def test_an_empty_default_is_no_example() -> None:
    assert complaint(overrides=("training.model.start=3",)).endswith("input should be a valid string.")


def test_a_setting_that_contradicts_another_names_the_line_it_was_written_on(tmp_path: Path) -> None:
    path = written(tmp_path, "training:\n  instruct:\n    method: closed_form\n")

    assert complaint(path).startswith(f"{path}:3:5: training.instruct.method: closed_form")


def test_a_key_that_is_set_twice_is_refused(tmp_path: Path) -> None:
    path = written(tmp_path, "seed: 1\nseed: 2\n")

    assert complaint(path) == f"{path}:2:1: 'seed' is set twice, first at {path}:1:1. Keep one."


def test_a_file_that_is_no_mapping_is_refused(tmp_path: Path) -> None:
    assert "settings are 'key: value' lines" in complaint(written(tmp_path, "- 1\n"))


def test_a_file_that_is_not_utf8_names_the_byte(tmp_path: Path) -> None:
    path = tmp_path / "latin.yaml"
    path.write_bytes(b"name: caf\xe9\n")

    assert "byte 9 is not UTF-8" in complaint(path)


def test_a_missing_file_is_named(tmp_path: Path) -> None:
    assert "nothing.yaml" in complaint(tmp_path / "nothing.yaml")


@pytest.mark.parametrize("override", ["seed", "=3"])
def test_an_override_without_key_and_value_shows_the_form(override: str) -> None:
    assert "key.path=value" in complaint(overrides=(override,))


def test_yaml_that_would_run_code_is_only_broken_yaml(tmp_path: Path) -> None:
    path = written(tmp_path, "name: !!python/object/apply:os.getcwd []\n")

    assert "mine.yaml:1:7" in complaint(path)


@pytest.mark.parametrize("name", ["../up", "", "a/b", ".hidden"])
def test_a_name_that_is_no_directory_name_is_refused(name: str) -> None:
    assert "name=" in complaint(overrides=(f"name='{name}'",))


@pytest.mark.parametrize("name", list_presets())
def test_every_preset_is_valid_and_carries_its_own_name(name: str) -> None:
    assert load_config(preset=name).name == name
