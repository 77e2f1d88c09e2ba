import gc
import io
import json
import signal
import subprocess
import sys
import tarfile
from itertools import pairwise
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq
import pytest
import yaml
from PIL import Image

from exporting import NUM_SAMPLES, make_sample, write_data
from stablellava.config.training import SourceSettings
from stablellava.core.errors import ConfigError, RecordError
from stablellava.store.export_plan import FileLimits, plan_export, read_planned
from stablellava.store.exports import ExportReport, export_samples
from stablellava.store.images import image_path
from stablellava.store.manifest import DataManifest, lock_folder, write_manifest
from stablellava.store.shards import commit_shard, read_samples
from stablellava.training.sources.checking import check_source
from stablellava.training.sources.source import open_source
from toys import tree_digest

FORMS = ("webdataset", "parquet")
TENS = FileLimits(max_samples=10)
LIMITED = """
import os, signal, resource, sys
from pathlib import Path
from stablellava.store.export_plan import FileLimits
from stablellava.store.exports import export_samples
def kill(done, total, num_bytes):
    if done == 15:
        os.kill(os.getpid(), signal.SIGKILL)
limit = int(sys.argv[4])
if limit:
    resource.setrlimit(resource.RLIMIT_FSIZE, (limit, limit))
export_samples(Path(sys.argv[1]), Path(sys.argv[2]), sys.argv[3], FileLimits(max_samples=10), None if limit else kill)
"""


@pytest.fixture
def data_dir(tmp_path: Path) -> Path:
    write_data(tmp_path / "data")
    return tmp_path / "data"


def export(data_dir: Path, out_dir: Path, form: str, **limits: int) -> ExportReport:
    return export_samples(data_dir, out_dir, form, FileLimits(**limits) if limits else None)


def export_in_a_process(data_dir: Path, out_dir: Path, form: str, limit_bytes: int) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-c", LIMITED, data_dir, out_dir, form, str(limit_bytes)]
    return subprocess.run([str(part) for part in command], capture_output=True, text=True, check=False)


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


@pytest.mark.parametrize("form", FORMS)
def test_equal_samples_give_equal_files(data_dir: Path, tmp_path: Path, form: str) -> None:
    for name in ("one", "two"):
        export(data_dir, tmp_path / name, form, max_samples=7)
    assert tree_digest(tmp_path / "one") == tree_digest(tmp_path / "two")


def test_a_tar_tells_nothing_of_the_machine_it_was_written_on(data_dir: Path, tmp_path: Path) -> None:
    export(data_dir, tmp_path / "out", "webdataset")
    with tarfile.open(tmp_path / "out" / "train-000000.tar") as tar:
        headers = {(m.mtime, m.uid, m.gid, m.uname, m.gname, m.mode) for m in tar}
    assert headers == {(0, 0, 0, "", "", 0o644)}


def test_files_are_cut_by_samples_or_bytes_and_numbered_in_order(data_dir: Path, tmp_path: Path) -> None:
    export(data_dir, tmp_path / "tars", "webdataset", max_samples=10)
    assert sorted(path.name for path in (tmp_path / "tars").glob("*.tar")) == [
        "train-000000.tar",
        "train-000001.tar",
        "train-000002.tar",
    ]
    by_bytes = export(data_dir, tmp_path / "small", "webdataset", max_bytes=30_000)
    assert by_bytes.num_files > 2
    assert all(path.stat().st_size < 40_000 for path in (tmp_path / "small").glob("*.tar"))
    export(data_dir, tmp_path / "rows", "parquet", max_samples=13)
    assert sorted(path.name for path in (tmp_path / "rows" / "data").iterdir()) == [
        "train-00000-of-00002.parquet",
        "train-00001-of-00002.parquet",
    ]
    assert export(data_dir, tmp_path / "each", "parquet", max_bytes=1).num_files == NUM_SAMPLES


def test_every_file_mixes_the_capabilities_evenly_and_each_keeps_its_order(data_dir: Path) -> None:
    plan = plan_export(data_dir, TENS)
    files = [[sample.sample_id for sample in read_planned(plan, number)] for number in range(len(plan.ends))]
    assert [len(file) for file in files] == [10, 10, 6]
    for file in files[:2]:
        counts = {name: sum(one.startswith(name) for one in file) for name in ("animal", "pair", "vehicle")}
        assert all(
            abs(counts[name] - 10 * total / 26) < 1 for name, total in (("animal", 12), ("pair", 6), ("vehicle", 8))
        )
    for name in ("animal", "pair", "vehicle"):
        numbers = [int(one.split("-")[1]) for file in files for one in file if one.startswith(name)]
        assert all(first < second for first, second in pairwise(numbers))


@pytest.mark.parametrize("form", FORMS)
def test_a_killed_export_goes_on_without_writing_a_finished_file_again(
    data_dir: Path, tmp_path: Path, form: str
) -> None:
    whole = export(data_dir, tmp_path / "whole", form, max_samples=10)
    assert (whole.num_files, whole.num_written) == (3, 3)
    killed = export_in_a_process(data_dir, tmp_path / "killed", form, 0)
    assert killed.returncode == -signal.SIGKILL
    first, second = sorted((tmp_path / "killed").rglob("*train-*"))[::-1]
    finished, torn = (first, second) if second.name.startswith(".tmp-") else (second, first)
    assert torn.name.startswith(".tmp-")
    before = finished.stat()
    report = export(data_dir, tmp_path / "killed", form, max_samples=10)
    assert (report.num_files, report.num_written) == (3, 2)
    assert (finished.stat().st_ino, finished.stat().st_mtime_ns) == (before.st_ino, before.st_mtime_ns)
    assert tree_digest(tmp_path / "killed") == tree_digest(tmp_path / "whole")


def test_a_file_that_was_deleted_or_cut_short_is_made_again(data_dir: Path, tmp_path: Path) -> None:
    out_dir = tmp_path / "out"
    export(data_dir, out_dir, "webdataset", max_samples=10)
    before = tree_digest(out_dir)
    (out_dir / "train-000000.tar").unlink()
    (out_dir / "train-000002.tar").write_bytes(before["train-000002.tar"][:-600])
    assert export(data_dir, out_dir, "webdataset", max_samples=10).num_written == 2
    after = tree_digest(out_dir)
    assert {name: after[name] for name in after if "/" not in name} == {
        name: before[name] for name in before if "/" not in name
    }
    assert export(data_dir, out_dir, "webdataset", max_samples=10).num_written == 0


@pytest.mark.parametrize("form", FORMS)
def test_a_full_disk_is_one_message_and_leaves_no_half_of_a_file(data_dir: Path, tmp_path: Path, form: str) -> None:
    ended = export_in_a_process(data_dir, tmp_path / "out", form, 6000)
    assert ended.returncode == 1
    assert "RecordError: no space left to write" in ended.stderr.strip().splitlines()[-1]
    assert not [path for path in (tmp_path / "out").rglob("*") if "train-" in path.name]


def test_a_folder_in_use_or_with_something_else_in_it_is_refused(data_dir: Path, tmp_path: Path) -> None:
    out_dir = tmp_path / "out"
    for form in ("llava", "webdataset"):
        with lock_folder(out_dir), pytest.raises(RecordError, match="another process is writing there"):
            export(data_dir, out_dir, form)
    export(data_dir, out_dir, "webdataset")
    for limits in (TENS, None):
        form = "webdataset" if limits else "parquet"
        with pytest.raises(RecordError, match="holds an export of other samples, in another form"):
            export_samples(data_dir, out_dir, form, limits)
    (tmp_path / "theirs").mkdir()
    (tmp_path / "theirs" / "train-000000.tar").write_bytes(b"theirs")
    with pytest.raises(RecordError, match="is there and not from an export"):
        export(data_dir, tmp_path / "theirs", "webdataset")
    assert (tmp_path / "theirs" / "train-000000.tar").read_bytes() == b"theirs"
    with pytest.raises(ConfigError, match="is a file; name a folder"):
        export(data_dir, out_dir / "README.md", "webdataset")


def test_more_samples_than_before_are_another_export(data_dir: Path, tmp_path: Path) -> None:
    export(data_dir, tmp_path / "out", "parquet")
    samples = list(read_samples(data_dir))
    commit_shard(data_dir, "vehicle/r01-00000", samples[:2])
    with pytest.raises(RecordError, match="holds an export of other samples"):
        export(data_dir, tmp_path / "out", "parquet")


def test_what_cannot_be_exported_is_said_before_anything_is_written(data_dir: Path, tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="limits for files go with webdataset or parquet"):
        export_samples(data_dir, tmp_path / "out", "llava", TENS)
    with pytest.raises(ConfigError, match="at least one sample"):
        export(data_dir, tmp_path / "out", "webdataset", max_samples=0)
    with pytest.raises(RecordError, match="no samples there"):
        export(tmp_path, tmp_path / "out", "webdataset")
    commit_shard(tmp_path / "none", "animal/a", [])
    with pytest.raises(RecordError, match="every candidate was rejected"):
        export(tmp_path / "none", tmp_path / "out", "webdataset")
    sample = next(read_samples(data_dir))
    commit_shard(tmp_path / "drafts", "animal/a", [sample.model_copy(update={"paintings": ()})])
    with pytest.raises(RecordError, match="a draft without a picture"):
        export(tmp_path / "drafts", tmp_path / "out", "webdataset")
    image_path(data_dir, sample.paintings[0].sha256).unlink()
    with pytest.raises(RecordError, match=r"picture \w+ is missing"):
        export(data_dir, tmp_path / "out", "parquet")
    assert not (tmp_path / "out").exists()


def test_a_picture_that_was_changed_after_painting_is_refused(data_dir: Path, tmp_path: Path) -> None:
    path = image_path(data_dir, next(read_samples(data_dir)).paintings[0].sha256)
    buffer = io.BytesIO()
    Image.new("RGB", (16, 16)).save(buffer, format="PNG")
    path.write_bytes(buffer.getvalue())
    with pytest.raises(RecordError, match="the file was changed"):
        export(data_dir, tmp_path / "out", "webdataset")


@pytest.mark.parametrize(
    ("attribution", "licence"),
    [
        ("All emojis designed by OpenMoji. License: CC BY-SA 4.0", "cc-by-sa-4.0"),
        ("CC0 1.0", "cc0-1.0"),
        ("Pictures by sdxl; see its licence.", "other"),
        ("", "unknown"),
    ],
)
def test_the_card_carries_licence_attribution_and_the_split(
    data_dir: Path, tmp_path: Path, attribution: str, licence: str
) -> None:
    write_manifest(data_dir, DataManifest(fingerprint="f", inputs={}, attribution=attribution))
    report = export(data_dir, tmp_path / "out", "parquet")
    _, header, body = (tmp_path / "out" / "README.md").read_text().split("---\n", 2)
    fields = yaml.safe_load(header)
    assert fields["license"] == licence
    assert fields["configs"][0]["data_files"] == [{"split": "train", "path": "data/train-*.parquet"}]
    assert (fields["size_categories"], "stablellava" in fields["tags"]) == (["n<1K"], True)
    assert attribution in body
    assert "Exported before the run was finished" in body
    assert not report.is_whole


def test_the_sums_check_every_file(data_dir: Path, tmp_path: Path) -> None:
    export(data_dir, tmp_path / "out", "parquet", max_samples=10)
    checked = subprocess.run(
        ["sha256sum", "-c", "SHA256SUMS"], cwd=tmp_path / "out", capture_output=True, text=True, check=False
    )
    assert (checked.returncode, checked.stdout.count(": OK")) == (0, 3), checked


@pytest.mark.parametrize("form", ["llava", "messages", *FORMS])
def test_progress_counts_samples_up_to_all_of_them(data_dir: Path, tmp_path: Path, form: str) -> None:
    seen: list[tuple[int, int, int]] = []
    export_samples(data_dir, tmp_path / "out", form, None, lambda *state: seen.append(state))
    assert [(done, total) for done, total, _ in seen] == [(number, 26) for number in range(1, 27)]
    assert all(first[2] <= second[2] for first, second in pairwise(seen))
    assert seen[-1][2] > 0
