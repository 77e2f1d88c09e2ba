import gc
import hashlib
import json
import tarfile
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq
import pytest

from exporting import NUM_SAMPLES, export, make_sample, write_data
from stablellava.config.training import SourceSettings
from stablellava.store.images import image_path
from stablellava.store.shards import commit_shard, read_samples
from stablellava.training.sources.checking import check_source
from stablellava.training.sources.source import open_source

FORMS = ("webdataset", "parquet")


@pytest.fixture
def data_dir(tmp_path: Path) -> Path:
    write_data(tmp_path / "data")
    return tmp_path / "data"


def read_tars(out_dir: Path) -> list[dict[str, Any]]:
    """Return the tars' rows as plain tarfile sees them: the JSON, and pictures by name."""
    rows: list[dict[str, Any]] = []
    for path in sorted(out_dir.glob("*.tar")):
        with tarfile.open(path) as tar:
            for member in tar:
                data = tar.extractfile(member).read()  # type: ignore[union-attr]
                if member.name.endswith(".json"):
                    rows.append({**json.loads(data), "pictures": {}})
                else:
                    rows[-1]["pictures"][member.name] = data
    return rows


def test_a_tar_holds_llava_rows_their_pictures_as_painted_and_where_they_come_from(
    data_dir: Path, tmp_path: Path
) -> None:
    report = export(data_dir, tmp_path / "out", "webdataset")
    rows = read_tars(tmp_path / "out")
    samples = {sample.sample_id: sample for sample in read_samples(data_dir)}
    assert (report.num_samples, report.num_images, report.num_files, len(rows)) == (26, 32, 1, 26)
    for row in rows:
        sample = samples[row["id"]]
        names = [row["image"]] if isinstance(row["image"], str) else row["image"]
        for name, painting in zip(names, sample.paintings, strict=True):
            assert row["pictures"][name] == image_path(data_dir, painting.sha256).read_bytes()
        assert row["conversations"][0]["value"] == "<image>\n" * len(names) + "What is it?"
        assert (row["capability"], row["keyword"]) == (sample.draft.capability, sample.draft.keyword)
        assert row["prompts"] == [prompt.text for prompt in sample.draft.prompts]
        origin = json.loads(row["provenance"])
        assert [made["seed"] for made in origin["paintings"]] == [painting.seed for painting in sample.paintings]
        assert origin["paintings"][0]["painter"] == {"backend": "test", "model": "m", "revision": "r"}
        assert origin["prompts"][0]["emphasis"] == [["prompt", 1.2]]


@pytest.mark.filterwarnings("ignore:unclosed file:ResourceWarning")
def test_the_webdataset_library_reads_the_tars(data_dir: Path, tmp_path: Path) -> None:
    webdataset = pytest.importorskip("webdataset")
    export(data_dir, tmp_path / "out", "webdataset", max_samples=10)
    tars = str(tmp_path / "out" / "train-{000000..000002}.tar")
    rows = list(webdataset.WebDataset(tars, shardshuffle=False).decode("pil"))
    gc.collect()  # the library leaves its files to the collector, which would complain in another test
    assert len(rows) == NUM_SAMPLES
    assert len({row["__key__"] for row in rows}) == NUM_SAMPLES
    pair = next(row for row in rows if row["json"]["capability"] == "pair")
    assert pair["json"]["image"] == [f"{pair['__key__']}.0.png", f"{pair['__key__']}.1.jpg"]
    assert pair["0.png"].size == pair["1.jpg"].size == (16, 16)


@pytest.mark.parametrize("form", FORMS)
def test_training_reads_back_what_the_run_holds_without_a_bad_row(data_dir: Path, tmp_path: Path, form: str) -> None:
    report = export(data_dir, tmp_path / "out", form, max_samples=10)
    exported = open_source(SourceSettings(path=report.path), "exported")
    own = open_source(SourceSettings(path=str(data_dir)), "own")
    checked = check_source(exported)
    assert (checked.num_rows, checked.num_good, checked.num_shown) == (26, 26, 32)
    theirs = {example.example_id: example for example in (exported.read(place).example for place in range(26))}
    for mine in (own.read(place).example for place in range(26)):
        found = theirs[mine.example_id]
        assert found.turns == mine.turns
        assert [image.read_bytes() for image in found.images] == [image.read_bytes() for image in mine.images]


@pytest.mark.parametrize("form", FORMS)
def test_a_picture_that_is_shown_twice_is_read_twice(tmp_path: Path, form: str) -> None:
    data_dir = tmp_path / "data"
    sample = make_sample(data_dir, "pair", 0, 2)
    asked, answered = sample.draft.turns
    turns = (asked, answered, asked.model_copy(update={"images": (1,)}), answered)
    again = sample.model_copy(update={"draft": sample.draft.model_copy(update={"turns": turns})})
    commit_shard(data_dir, "pair/a", [again])
    report = export(data_dir, tmp_path / "out", form)
    example = open_source(SourceSettings(path=report.path), "exported").read(0).example
    assert report.num_images == 3
    assert [turn.images for turn in example.turns if turn.images] == [(0, 1), (2,)]
    digests = [hashlib.sha256(image.read_bytes()).hexdigest() for image in example.images]
    assert digests == [sample.paintings[index].sha256 for index in (0, 1, 1)]


def test_hugging_face_reads_the_parquet_folder_with_pictures(
    data_dir: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    datasets = pytest.importorskip("datasets")
    monkeypatch.setattr(datasets.config, "HF_HUB_OFFLINE", True)
    export(data_dir, tmp_path / "out", "parquet", max_samples=10)
    table = datasets.load_dataset(str(tmp_path / "out"), split="train", cache_dir=str(tmp_path / "hf"))
    assert table.features["images"].feature == datasets.Image()
    assert len(table) == NUM_SAMPLES
    by_id = {row["id"]: row for row in table}
    for sample in read_samples(data_dir):
        row = by_id[sample.sample_id]
        assert [image.size for image in row["images"]] == [(16, 16)] * len(sample.paintings)
        assert row["messages"][0]["content"][-1] == {"type": "text", "text": "What is it?"}
        assert (row["capability"], row["keyword"]) == (sample.draft.capability, sample.draft.keyword)
        assert json.loads(row["provenance"])["writer"]["backend"] == "test"


def test_hugging_face_reads_tars_of_one_picture_a_sample(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    datasets = pytest.importorskip("datasets")
    monkeypatch.setattr(datasets.config, "HF_HUB_OFFLINE", True)
    data_dir = tmp_path / "data"
    commit_shard(data_dir, "animal/a", [make_sample(data_dir, "animal", number * 2, 1) for number in range(6)])
    export(data_dir, tmp_path / "out", "webdataset", max_samples=4)
    table = datasets.load_dataset(str(tmp_path / "out"), split="train", cache_dir=str(tmp_path / "hf"))
    assert len(table) == 6
    assert table[0]["png"].size == (16, 16)
    assert {row["json"]["id"] for row in table} == {sample.sample_id for sample in read_samples(data_dir)}


def test_pictures_lie_uncompressed_in_row_groups_of_bounded_size(tmp_path: Path) -> None:
    write_data(tmp_path / "data")
    report = export(tmp_path / "data", tmp_path / "out", "parquet")
    with pq.ParquetFile(next(Path(report.path).iterdir())) as file:
        leaves = {file.schema.column(number).path: number for number in range(len(file.schema))}
        column = file.metadata.row_group(0).column(leaves["images.list.element.bytes"])
        assert (column.compression, column.has_dictionary_page) == ("UNCOMPRESSED", False)
        assert file.metadata.row_group(0).column(leaves["provenance"]).compression == "ZSTD"
