import io
import signal
import subprocess
import sys
import tarfile
from itertools import pairwise
from pathlib import Path

import pytest
import yaml
from PIL import Image

from exporting import NUM_SAMPLES, export, write_data
from stablellava.core.errors import ConfigError, RecordError
from stablellava.store.export_plan import FileLimits, plan_export, read_planned
from stablellava.store.exports import export_samples
from stablellava.store.images import image_path
from stablellava.store.manifest import DataManifest, lock_folder, write_manifest
from stablellava.store.shards import commit_shard, read_samples
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


def export_in_a_process(data_dir: Path, out_dir: Path, form: str, limit_bytes: int) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-c", LIMITED, data_dir, out_dir, form, str(limit_bytes)]
    return subprocess.run([str(part) for part in command], capture_output=True, text=True, check=False)


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
    assert tree_digest(out_dir) == before
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
    export(data_dir, tmp_path / "rows", "llava")
    export(data_dir, tmp_path / "rows", "llava")
    for folder, form in (("rows", "messages"), ("rows", "parquet"), ("out", "llava")):
        with pytest.raises(RecordError, match=r"in another form .*choose another folder"):
            export(data_dir, tmp_path / folder, form)
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
