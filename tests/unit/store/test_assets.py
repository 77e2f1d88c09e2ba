"""Assets come from a package index; here pip's own index is a folder of wheels."""

import hashlib
import zipfile
from pathlib import Path

import pytest

from stablellava.core.errors import BackendFailed, BackendMissing, ConfigError
from stablellava.store import assets
from stablellava.store.assets import Asset, asset_path, list_assets, pull_asset

CONTENT = b"weights" * 1000


def write_wheel(folder: Path, content: bytes) -> Path:
    path = folder / "tinyweights-1.0-py3-none-any.whl"
    with zipfile.ZipFile(path, "w") as wheel:
        wheel.writestr("tinyweights/model.bin", content)
        info = "tinyweights-1.0.dist-info"
        wheel.writestr(f"{info}/METADATA", "Metadata-Version: 2.1\nName: tinyweights\nVersion: 1.0\n")
        wheel.writestr(
            f"{info}/WHEEL", "Wheel-Version: 1.0\nGenerator: test\nRoot-Is-Purelib: true\nTag: py3-none-any\n"
        )
        wheel.writestr(f"{info}/RECORD", "")
    return path


@pytest.fixture
def index_dir(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    folder = tmp_path / "index"
    folder.mkdir()
    monkeypatch.setenv("PIP_NO_INDEX", "1")
    monkeypatch.setenv("PIP_FIND_LINKS", str(folder))
    monkeypatch.setenv("STABLELLAVA_CACHE", str(tmp_path / "cache"))
    asset = Asset(
        name="tiny.bin",
        package="tinyweights",
        version="1.0",
        member="tinyweights/model.bin",
        sha256=hashlib.sha256(CONTENT).hexdigest(),
        size_bytes=len(CONTENT),
        about="for tests",
    )
    monkeypatch.setitem(assets.ASSETS, "tiny.bin", asset)
    return folder


def test_a_pulled_asset_lies_in_the_cache_and_is_not_fetched_again(index_dir: Path) -> None:
    wheel = write_wheel(index_dir, CONTENT)
    path = pull_asset("tiny.bin")
    wheel.unlink()
    assert pull_asset("tiny.bin") == asset_path("tiny.bin") == path
    assert path.read_bytes() == CONTENT
    assert [entry.name for entry in path.parent.iterdir()] == ["tiny.bin"]


def test_an_asset_that_was_not_pulled_is_missing_with_the_command_that_helps(index_dir: Path) -> None:
    with pytest.raises(BackendMissing, match=r"stablellava assets pull tiny\.bin"):
        asset_path("tiny.bin")


def test_a_package_the_index_does_not_serve_is_missing_with_pips_reason(index_dir: Path) -> None:
    with pytest.raises(BackendMissing, match=r"tinyweights==1\.0.*No matching distribution"):
        pull_asset("tiny.bin")


def test_another_file_of_the_same_size_is_refused_and_not_kept(index_dir: Path) -> None:
    write_wheel(index_dir, CONTENT[::-1])
    with pytest.raises(BackendFailed, match="not the pinned"):
        pull_asset("tiny.bin")
    with pytest.raises(BackendMissing):
        asset_path("tiny.bin")


def test_a_truncated_copy_counts_as_not_pulled(index_dir: Path) -> None:
    write_wheel(index_dir, CONTENT)
    path = pull_asset("tiny.bin")
    path.write_bytes(CONTENT[:-1])
    states = {state.asset.name: state.path for state in list_assets()}
    assert states["tiny.bin"] is None
    assert pull_asset("tiny.bin").read_bytes() == CONTENT


def test_an_unknown_asset_is_answered_with_the_nearest_name() -> None:
    with pytest.raises(ConfigError, match=r"Did you mean 'smollm2-135m-instruct\.gguf'"):
        asset_path("smollm2-135m-instruct")
