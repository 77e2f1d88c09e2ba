"""Reading capabilities: what works, and what a user is told when it does not."""

from pathlib import Path

import pytest
import yaml

from stablellava.capabilities import load_capability
from stablellava.core.errors import ConfigError

GOOD_FILES = {
    "capability.yaml": {
        "name": "bridge",
        "title": "Bridges",
        "group": "man-made",
        "brief": "Pictures of one bridge.",
        "cautions": ["Show the whole bridge."],
        "answer_form": "One plain sentence.",
        "paper": "none",
        "settings": ["river", "sea"],
        "visual_features": ["soft light"],
    },
    "keywords.yaml": [{"name": "arch bridge", "group": "stone"}, {"name": "rope bridge", "group": "rope"}],
    "exemplars.yaml": {
        "prompt_exemplars": [{"keyword": "arch bridge", "texts": ["arch bridge, by the river, soft light"]}],
        "dialogue_exemplars": [
            {"prompts": ["rope bridge, by the river"], "turns": ["What is this?", "A rope bridge by the river."]}
        ],
    },
    "questions.yaml": {
        "description_questions": ["Which bridge is this?"],
        "evaluation_forms": [{"kind": "wh", "question": "What kind of bridge is this?"}],
    },
    "grammar.yaml": {"origin": ["This is a {keyword}."]},
}


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    for file_name, content in GOOD_FILES.items():
        (tmp_path / file_name).write_text(yaml.safe_dump(content, sort_keys=False), encoding="utf-8")
    return tmp_path


def change(folder: Path, file_name: str, old: str, new: str) -> None:
    path = folder / file_name
    text = path.read_text(encoding="utf-8")
    assert old in text
    path.write_text(text.replace(old, new), encoding="utf-8")


def complaint_about(folder: Path) -> str:
    with pytest.raises(ConfigError) as caught:
        load_capability(folder)
    return str(caught.value)


def test_a_folder_of_ones_own_loads_by_path_and_by_string(folder: Path) -> None:
    capability = load_capability(folder)
    assert capability.name == "bridge"
    assert capability.grammar == {"origin": ("This is a {keyword}.",)}
    assert load_capability(str(folder)) == capability


def test_a_folder_named_without_its_path_is_answered_with_how_to_name_it(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(folder.parent)
    with pytest.raises(ConfigError, match=rf"of your own, write '\./{folder.name}'"):
        load_capability(folder.name)


def test_a_name_that_leads_out_of_the_run_is_refused(folder: Path) -> None:
    change(folder, "capability.yaml", "name: bridge", "name: ../../bridge")
    assert "capability.yaml: name '../../bridge' has other characters than letters" in complaint_about(folder)


def test_a_changed_folder_is_read_anew(folder: Path) -> None:
    load_capability(folder)
    change(folder, "capability.yaml", "Bridges", "Viaducts")
    assert load_capability(folder).title == "Viaducts"


def test_a_built_in_capability_is_read_once() -> None:
    assert load_capability("animal") is load_capability("animal")


def test_an_unknown_name_offers_the_nearest() -> None:
    with pytest.raises(ConfigError, match=r"no capability named 'anmial'\. Did you mean 'animal'\?"):
        load_capability("anmial")


def test_a_missing_folder_is_named_with_what_belongs_in_it(tmp_path: Path) -> None:
    message = complaint_about(tmp_path / "nowhere")
    assert "nowhere" in message
    assert "keywords.yaml" in message


@pytest.mark.parametrize("file_name", GOOD_FILES)
def test_a_missing_file_is_named(folder: Path, file_name: str) -> None:
    (folder / file_name).unlink()
    assert f"{folder / file_name}: file is missing" in complaint_about(folder)


@pytest.mark.parametrize("file_name", GOOD_FILES)
def test_broken_yaml_is_reported_with_file_and_line(folder: Path, file_name: str) -> None:
    path = folder / file_name
    num_lines = len(path.read_text(encoding="utf-8").splitlines())
    with path.open("a", encoding="utf-8") as file:
        file.write("broken: [one, two\n")
    assert any(f"{path}:{line}:" in complaint_about(folder) for line in (num_lines + 1, num_lines + 2))


def test_a_key_given_twice_is_reported_with_its_line(folder: Path) -> None:
    path = folder / "grammar.yaml"
    path.write_text("origin: [one]\nanswer: [two]\norigin: [three]\n", encoding="utf-8")
    assert f"{path}:3:1: not valid YAML: the key 'origin' stands twice" in complaint_about(folder)


def test_a_file_that_is_not_utf8_is_reported(folder: Path) -> None:
    (folder / "keywords.yaml").write_bytes(b"- {name: caf\xe9}\n")
    assert "keywords.yaml: byte 12 is not UTF-8" in complaint_about(folder)


def test_an_unknown_key_of_a_file_offers_the_nearest(folder: Path) -> None:
    change(folder, "capability.yaml", "cautions:", "caution:")
    assert "capability.yaml: unknown key 'caution'. Did you mean 'cautions'?" in complaint_about(folder)


def test_an_unknown_key_of_a_keyword_names_keyword_and_nearest_key(folder: Path) -> None:
    change(folder, "keywords.yaml", "group: rope", "synonym: [x]")
    message = complaint_about(folder)
    assert "keywords.yaml: keywords.1.synonym" in message
    assert "in keyword 'rope bridge'. Did you mean 'synonyms'?" in message


def test_a_word_that_yaml_reads_as_a_truth_value_is_refused(folder: Path) -> None:
    change(folder, "questions.yaml", "- Which bridge is this?", "- yes")
    assert "questions.yaml: description_questions.0" in complaint_about(folder)


def test_a_missing_field_is_reported_in_its_file(folder: Path) -> None:
    change(folder, "capability.yaml", "title: Bridges\n", "")
    assert "capability.yaml: title: Field required" in complaint_about(folder)


def test_an_empty_file_is_reported_with_the_keys_it_should_hold(folder: Path) -> None:
    (folder / "exemplars.yaml").write_text("", encoding="utf-8")
    assert "exemplars.yaml: expected the keys prompt_exemplars, dialogue_exemplars" in complaint_about(folder)


def test_a_keyword_listed_twice_is_refused(folder: Path) -> None:
    change(folder, "keywords.yaml", "rope bridge", "arch bridge")
    assert complaint_about(folder) == f"{folder}: capability 'bridge' lists keywords twice: arch bridge."


def test_an_unknown_place_offers_the_nearest(folder: Path) -> None:
    change(folder, "capability.yaml", "- river", "- rivers")
    assert "capability.yaml: settings: no place named 'rivers'. Did you mean 'river'?" in complaint_about(folder)


def test_an_unknown_place_of_a_keyword_names_the_keyword(folder: Path) -> None:
    change(folder, "keywords.yaml", "group: rope", "settings: [jungel]")
    assert "keyword 'rope bridge': no place named 'jungel'. Did you mean 'jungle'?" in complaint_about(folder)


def test_things_as_settings_need_not_be_places(folder: Path) -> None:
    change(folder, "capability.yaml", "- river", "- kite")
    change(folder, "capability.yaml", "name: bridge", "name: bridge\nsetting_kind: thing")
    assert load_capability(folder).settings == ("kite", "sea")


def test_an_exemplar_of_no_keyword_is_refused(folder: Path) -> None:
    change(folder, "exemplars.yaml", "keyword: arch bridge", "keyword: arch bridges")
    assert "exemplars.yaml: exemplar of no keyword: 'arch bridges'. Did you mean 'arch bridge'?" in complaint_about(
        folder
    )


def test_a_dialogue_that_ends_with_the_user_is_refused(folder: Path) -> None:
    change(folder, "exemplars.yaml", "- A rope bridge by the river.", "- A rope bridge.\n  - Where?")
    assert "need pairs of user and assistant" in complaint_about(folder)


def test_an_unknown_slot_offers_the_nearest(folder: Path) -> None:
    change(folder, "questions.yaml", "What kind of bridge is this?", "Is this a {keywrod}?")
    assert "unknown slot {keywrod}. Did you mean 'keyword'?" in complaint_about(folder)


@pytest.mark.parametrize(
    ("kind", "question"), [("either_or", "Is this a {first}?"), ("wh", "Is this a {first} or a {second}?")]
)
def test_first_and_second_belong_to_either_or_forms(folder: Path, kind: str, question: str) -> None:
    change(folder, "questions.yaml", "What kind of bridge is this?", question)
    change(folder, "questions.yaml", "kind: wh", f"kind: {kind}")
    assert f"is a {kind} form" in complaint_about(folder)


def test_multi_image_keywords_need_a_part_for_every_picture(folder: Path) -> None:
    change(folder, "capability.yaml", "name: bridge", "name: bridge\nmin_images: 2\nmax_images: 2")
    assert "keyword 'arch bridge' has 0 parts, one per picture: give 2 to 2." in complaint_about(folder)
