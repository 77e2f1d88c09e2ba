"""Rows in the hub's layout, loaded by the library that loads from the hub, read by the tasks."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import datasets
import pytest

import benchmark_files as files
from stablellava.core.errors import BackendFailed, ConfigError
from stablellava.evaluation.benchmarks.hub import SOURCES, fetch_task, parse_spec
from stablellava.evaluation.benchmarks.loading import LoadedTask, load_task
from stablellava.evaluation.benchmarks.registry import find_task

Features = dict[str, Any]
PICTURE = {"bytes": files.draw("teal"), "path": "a.png"}
OTHER = {"bytes": files.draw("navy"), "path": "b.png"}
CHINESE = "\u8fd9\u662f\u4ec0\u4e48"


@pytest.fixture
def publish(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[..., str]:
    """Write splits as a repository on the hub has them; return what names it."""
    monkeypatch.setattr(datasets.config, "HF_DATASETS_CACHE", str(tmp_path / "hf"))

    def write(splits: dict[str, list[dict[str, Any]]], picture: Any = None) -> str:
        folder = tmp_path / "repository"
        for split, rows in splits.items():
            table = datasets.Dataset.from_list(rows).cast_column("image", picture or datasets.Image(decode=False))
            (folder / "data").mkdir(parents=True, exist_ok=True)
            table.to_parquet(str(folder / "data" / f"{split}-00000-of-00001.parquet"))
        return f"{folder}:default"

    return write


def load(task: str, spec: str, tmp_path: Path, variant: str = "") -> LoadedTask:
    return load_task(find_task(task), fetch_task(task, spec), tmp_path / "out", variant=variant)


def test_pope_is_read_with_its_splits(publish: Callable[..., str], tmp_path: Path) -> None:
    rows = [
        {"question_id": str(n), "question": f"Is there a {n} in the image?", "answer": answer, "image": PICTURE}
        for n, answer in ((1, "yes"), (2, "no"))
    ]
    spec = publish({"random": rows, "popular": rows})
    loaded = load("pope", f"{spec}@random,popular", tmp_path)
    assert [(item.group, item.reference[0]) for item in loaded.items] == [
        ("random", "yes"), ("random", "no"), ("popular", "yes"), ("popular", "no"),
    ]  # fmt: skip
    assert loaded.items[0].images_sha256 == loaded.items[3].images_sha256


def test_what_was_fetched_is_not_written_again(publish: Callable[..., str]) -> None:
    row = {"question_id": "1", "question": "Is there a dog in the image?", "answer": "yes", "image": PICTURE}
    spec = publish({"random": [row]}) + "@random"
    first = fetch_task("pope", spec)
    (first / "coco_pope_random.json").write_text("kept")
    assert fetch_task("pope", spec) == first
    assert (first / "coco_pope_random.json").read_text() == "kept"


@pytest.mark.parametrize(("task", "question"), [("mmbench", "What is it?"), ("mmbench-cn", CHINESE)])
def test_mmbench_is_read_with_its_passes_and_categories(
    task: str, question: str, publish: Callable[..., str], tmp_path: Path
) -> None:
    row = {
        "index": 1, "question": question, "hint": "nan", "A": "cat", "B": "dog", "C": "nan", "D": None, "answer": "B",
        "category": "image_scene", "L2-category": "coarse_perception", "split": "dev", "image": PICTURE,
    }  # fmt: skip
    shifted = {**row, "index": 1_000_001, "A": "dog", "B": "cat", "answer": "A"}
    loaded = load(task, publish({"dev": [row, shifted]}), tmp_path)
    assert [(item.item_id, item.reference) for item in loaded.items] == [("1", ("B",)), ("1000001", ("A",))]
    assert {(item.group, item.fields["split"]) for item in loaded.items} == {("CP", "dev")}


def test_tables_are_taken_as_they_are(publish: Callable[..., str], tmp_path: Path) -> None:
    diagram = {"question": "Which is the sun?", "options": ["a", "b", "c", "d"], "answer": "2", "image": PICTURE}
    (item,) = load("ai2d", publish({"test": [diagram]}), tmp_path).items
    assert (item.reference, len(item.images)) == (("C",), 1)


def test_questions_of_mme_find_their_pairs(publish: Callable[..., str], tmp_path: Path) -> None:
    rows = [
        {
            "question_id": "count/0001.png", "question": f"Is there a {what}? Please answer yes or no.",
            "answer": answer, "category": "count", "image": PICTURE,
        }
        for what, answer in (("dog", "Yes"), ("cat", "No"))
    ]  # fmt: skip
    assert len(load("mme", publish({"test": rows}), tmp_path).items) == 2


def test_textvqa_has_its_ocr_tokens(publish: Callable[..., str], tmp_path: Path) -> None:
    row = {
        "image_id": "x", "question_id": 7, "question": "what is the brand?", "answers": ["nokia"] * 10,
        "ocr_tokens": ["NOKIA", "N95"], "image": PICTURE,
    }  # fmt: skip
    (item,) = load("textvqa", publish({"validation": [row]}), tmp_path).items
    assert "Reference OCR token: NOKIA, N95" in item.prompt


def test_seedbench_has_its_images_and_says_what_its_videos_lack(publish: Callable[..., str], tmp_path: Path) -> None:
    row = {
        "question_id": "1", "question": "How many?", "choice_a": "1", "choice_b": "2", "choice_c": "3", "choice_d": "4",
        "answer": "B", "data_id": "x", "data_type": "image", "question_type_id": 5, "image": [PICTURE],
        "segment": [0, 1],
    }  # fmt: skip
    video = {**row, "question_id": "2", "data_type": "video", "question_type_id": 10, "image": [PICTURE, OTHER]}
    spec = publish({"test": [row, video]}, datasets.List(datasets.Image(decode=False)))
    (item,) = load("seedbench", spec, tmp_path, "llava-image").items
    assert item.group == "Instances Counting"
    with pytest.raises(Exception, match="use --variant llava-image"):
        load("seedbench", spec, tmp_path)


@pytest.mark.parametrize("capability", ["ocr,math", ["ocr", "math"]])
def test_mmvet_takes_capabilities_in_either_form(
    capability: object, publish: Callable[..., str], tmp_path: Path
) -> None:
    row = {"question_id": "v1_0", "question": "What is x?", "answer": "1<AND>2", "capability": capability}
    (item,) = load("mmvet", publish({"test": [{**row, "image": PICTURE}]}), tmp_path).items
    assert (item.item_id, item.group) == ("v1_0", "ocr_math")


def test_llavabench_gets_context_and_reference(publish: Callable[..., str], tmp_path: Path) -> None:
    row = {
        "question_id": "0", "question": "What is this?", "category": "conv", "caption": "A dog.",
        "gpt_answer": "A dog!", "image_id": "001.jpg", "image": PICTURE,
    }  # fmt: skip
    (item,) = load("llavabench", publish({"train": [row]}), tmp_path).items
    assert (item.reference, item.fields["caption"], item.group) == (("A dog!",), "A dog.", "conv")


def test_scienceqa_has_problems_with_an_image_and_without(publish: Callable[..., str], tmp_path: Path) -> None:
    row = {
        "question": "Which?", "choices": ["a", "b"], "answer": 1, "hint": "", "grade": "grade2",
        "subject": "natural science", "image": PICTURE,
    }  # fmt: skip
    loaded = load("scienceqa", publish({"test": [row, {**row, "image": None, "hint": "Look."}]}), tmp_path)
    assert [(item.reference, len(item.images)) for item in loaded.items] == [(("B",), 1), (("B",), 0)]
    assert loaded.items[1].prompt.startswith("Context: Look.\nWhich?")


def test_a_hub_out_of_reach_is_said_in_one_line_with_the_way_around() -> None:
    with pytest.raises(BackendFailed, match=r"cannot be reached for lmms-lab/POPE:Full@random,.*give .* --data"):
        fetch_task("pope")


@pytest.mark.parametrize("task", ["vizwiz", "generated"])
def test_tasks_that_are_not_on_the_hub_say_which_are(task: str) -> None:
    with pytest.raises(ConfigError, match="is not read from the hub, but mmbench,"):
        fetch_task(task)


def test_a_split_that_is_not_there_is_named(publish: Callable[..., str]) -> None:
    row = {"question_id": "1", "question": "?", "answer": "yes", "image": PICTURE}
    with pytest.raises(ConfigError, match=r"@dev: .*dev"):
        fetch_task("pope", publish({"random": [row]}) + "@dev")


def test_what_a_name_leaves_out_is_as_by_default() -> None:
    default = SOURCES["pope"].name
    assert parse_spec("me/POPE", default).words == "me/POPE:Full@random,popular,adversarial"
    assert parse_spec("me/POPE:mine@random", default).words == "me/POPE:mine@random"
    with pytest.raises(ConfigError, match="DATASET"):
        parse_spec("@", default)
