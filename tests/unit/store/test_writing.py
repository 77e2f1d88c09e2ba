import errno
from pathlib import Path

import pytest

from stablellava.core.draft import CallStamp, Draft, Turn
from stablellava.core.errors import RecordError
from stablellava.core.sample import Painting, Rejected, Sample
from stablellava.store.cleaning import journal_path, remove_leftovers
from stablellava.store.files import explain_disk_errors, list_files, write_atomic
from stablellava.store.manifest import lock_folder, open_manifest
from stablellava.store.shards import commit_shard, find_shard, read_rejected, read_samples, read_shard


def make_sample(sample_id: str = "s") -> Sample:
    draft = Draft(
        draft_id=sample_id,
        capability="animal",
        keyword="dog",
        setting="beach",
        prompts=(),
        turns=(Turn(speaker="user", text="What?", images=(0,)), Turn(speaker="assistant", text="A \u201cdog\u201d.")),
        stamp=CallStamp(backend="x"),
    )
    painting = Painting(
        painting_id="p", sha256="ab" * 32, width_px=8, height_px=8, seed=2**63 - 1, perceptual_hash="0" * 16,
        drawn=None, stamp=CallStamp(backend="x"),
    )  # fmt: skip
    return Sample(sample_id=sample_id, draft=draft, paintings=(painting,), verdicts=())


REJECT = Rejected(draft_id="r", capability="animal", keyword="cat", stage="paint", reason="no", detail="because")


def test_a_shard_returns_what_was_put_in_and_equal_shards_have_equal_bytes(tmp_path: Path) -> None:
    for name in ("one", "two"):
        commit_shard(tmp_path / name, "animal/r00-00000", [make_sample("a"), REJECT, make_sample("b")])
    assert read_shard(tmp_path / "one", "animal/r00-00000") == ([make_sample("a"), make_sample("b")], [REJECT])
    assert list(read_samples(tmp_path / "one")) == [make_sample("a"), make_sample("b")]
    assert list(read_rejected(tmp_path / "one")) == [REJECT]
    files = [[path.read_bytes() for path in list_files(tmp_path / name)] for name in ("one", "two")]
    assert len(files[0]) == 3
    assert files[0] == files[1]


def test_a_shard_without_marker_or_with_torn_files_is_not_there(tmp_path: Path) -> None:
    manifest = commit_shard(tmp_path, "animal/a", [make_sample()])
    assert find_shard(tmp_path, "animal/a") == manifest
    rejects = tmp_path / "rejects" / "animal" / "a.parquet"
    rejects.write_bytes(rejects.read_bytes()[:-1])
    assert find_shard(tmp_path, "animal/a") is None
    assert find_shard(tmp_path, "animal/b") is None


def test_reading_an_empty_or_damaged_folder_is_one_clear_error(tmp_path: Path) -> None:
    with pytest.raises(RecordError, match="no samples there"):
        list(read_samples(tmp_path))
    commit_shard(tmp_path, "animal/a", [make_sample()])
    (tmp_path / "shards" / "animal" / "a.parquet").write_bytes(b"PAR1")
    with pytest.raises(RecordError, match="not a readable shard"):
        list(read_samples(tmp_path))


def test_a_write_that_fails_leaves_the_old_file_and_no_leftover(tmp_path: Path) -> None:
    path = tmp_path / "file"
    write_atomic(path, b"old")
    with pytest.raises(TypeError):
        write_atomic(path, "text")  # type: ignore[arg-type]
    assert path.read_bytes() == b"old"
    assert list_files(tmp_path) == [path]


@pytest.mark.parametrize("number", [errno.ENOSPC, errno.EDQUOT, errno.EFBIG])
def test_a_full_disk_is_the_users_matter_and_says_what_to_do(number: int) -> None:
    with pytest.raises(RecordError, match="no space left to write x: free some space"), explain_disk_errors(Path("x")):
        raise OSError(number, "full")


def test_other_disk_errors_are_not_dressed_up() -> None:
    with pytest.raises(OSError, match="broken"), explain_disk_errors(Path("x")):
        raise OSError(errno.EIO, "broken")


def test_a_folder_remembers_its_inputs_and_names_the_difference(tmp_path: Path) -> None:
    first = open_manifest(tmp_path, {"seed": 0, "settings": {"size_px": 64}}, "")
    assert open_manifest(tmp_path, {"settings": {"size_px": 64}, "seed": 0}, "") == first
    commit_shard(tmp_path, "animal/a", [make_sample()])
    with pytest.raises(RecordError, match=r"different: settings\.size_px \(64 -> 32\)"):
        open_manifest(tmp_path, {"seed": 0, "settings": {"size_px": 32}}, "")


def test_a_start_that_made_nothing_does_not_bind_the_folder_to_its_inputs(tmp_path: Path) -> None:
    open_manifest(tmp_path, {"seed": 0}, "")
    assert open_manifest(tmp_path, {"seed": 1}, "").inputs == {"seed": 1}


def test_shards_without_a_manifest_are_not_taken_over(tmp_path: Path) -> None:
    commit_shard(tmp_path, "animal/a", [make_sample()])
    with pytest.raises(RecordError, match=r"no manifest\.json"):
        open_manifest(tmp_path, {"seed": 0}, "")


def test_a_folder_is_locked_once_and_free_again_afterwards(tmp_path: Path) -> None:
    with lock_folder(tmp_path), pytest.raises(RecordError, match="another process"), lock_folder(tmp_path):
        pass
    with lock_folder(tmp_path):
        pass
    assert list_files(tmp_path) == []


def test_leftovers_go_and_what_is_named_stays(tmp_path: Path) -> None:
    for name in ("aa/aa11.png", "bb/bb22.png", "bb/.tmp-1-bb33.png"):
        write_atomic(tmp_path / "images" / name, b"x")
    write_atomic(journal_path(tmp_path, "animal/a"), b"x")
    assert remove_leftovers(tmp_path, ["aa11"]) == 1
    assert [path.name for path in list_files(tmp_path)] == ["aa11.png"]
    assert not (tmp_path / "images" / "bb").exists()
