"""A source: rows of training data by place, each read when it is asked for."""

import glob
import os
from bisect import bisect_right
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from itertools import accumulate
from pathlib import Path
from typing import Any, Protocol

from stablellava.config.training import SourceSettings
from stablellava.core.errors import ConfigError, RecordError
from stablellava.store.image_refs import ImageRef
from stablellava.store.layout import RunLayout
from stablellava.store.shards import list_shards, read_samples
from stablellava.training.data import TrainingExample, from_sample
from stablellava.training.sources.json_files import JSON_SUFFIXES, JsonFile
from stablellava.training.sources.parquet_files import PARQUET_SUFFIXES, ParquetRows
from stablellava.training.sources.row_files import RowFile
from stablellava.training.sources.row_forms import id_of, parse_row
from stablellava.training.sources.rows import ImageName, RowRefused
from stablellava.training.sources.tar_files import TAR_SUFFIXES, TarRows

_REMOTE = ("http://", "https://", "s3://", "gs://", "hf://")


@dataclass(frozen=True, slots=True)
class SourceRow:
    """A row that can be trained on; ``notes`` name oddities that were put right."""

    example: TrainingExample
    notes: tuple[str, ...] = ()


class Source(Protocol):
    """Rows by place, counted from 0 over all files of the source."""

    name: str
    files: tuple[Path, ...]
    image_dir: Path
    """Where the pictures lie that rows name."""

    def __len__(self) -> int: ...

    def read(self, index: int) -> SourceRow:
        """Return the row. Raises: RowRefused or PictureRefused, whose ``reason`` is a stable identifier."""
        ...

    def locate(self, index: int) -> tuple[Path, int]:
        """Return the row's file and its number in it."""
        ...

    def row_id(self, index: int) -> str:
        """Return the row's own id; empty if it has none or cannot be read."""
        ...


class FileSource:
    """Rows of one or several files. ``number`` is the source's place among a stage's."""

    def __init__(self, name: str, files: Sequence[RowFile], image_dir: Path, number: int = 0):
        self.name = name
        self.files = tuple(file.path for file in files)
        self._files = tuple(files)
        self._ends = list(accumulate(len(file) for file in files))
        self.image_dir = image_dir
        self._number = number

    def __len__(self) -> int:
        return self._ends[-1]

    def read(self, index: int) -> SourceRow:
        """Return the row, its pictures found but not opened. Raises: RowRefused, PictureRefused."""
        file, within = self._find(index)
        raw = file.read(within)
        parsed = parse_row(raw)
        row_id = id_of(raw) or f"{file.path.name}:{file.number_of(within)}"
        images = tuple(find_image(name, self.image_dir) for name in parsed.images)
        example = TrainingExample(row_id, images, parsed.turns, (), parsed.system, self._number)
        return SourceRow(example, parsed.notes)

    def locate(self, index: int) -> tuple[Path, int]:
        """Return the row's file and its number in it."""
        file, within = self._find(index)
        return file.path, file.number_of(within)

    def row_id(self, index: int) -> str:
        """Return the row's own id; empty if it has none or cannot be read."""
        file, within = self._find(index)
        try:
            return id_of(file.read(within))
        except RowRefused:
            return ""

    def _find(self, index: int) -> tuple[RowFile, int]:
        place = bisect_right(self._ends, index)
        return self._files[place], index - (self._ends[place - 1] if place else 0)


class RunSource:
    """The accepted samples of a run directory."""

    def __init__(self, name: str, data_dir: Path, number: int = 0):
        """Read the samples. Raises: RecordError if there are none."""
        self.name = name
        self.files = tuple(data_dir / "shards" / f"{shard}.parquet" for shard in list_shards(data_dir))
        self.image_dir = data_dir / "images"
        self._data_dir = data_dir
        self._samples = list(read_samples(data_dir))
        self._number = number

    def __len__(self) -> int:
        return len(self._samples)

    def read(self, index: int) -> SourceRow:
        """Return the sample. Raises: RowRefused ("image_missing")."""
        try:
            example = from_sample(self._samples[index], self._data_dir, self._number)
        except RecordError as exc:
            raise RowRefused("image_missing", str(exc)) from exc
        return SourceRow(example)

    def locate(self, index: int) -> tuple[Path, int]:
        """Return the data folder and the sample's place in it."""
        return self._data_dir, index + 1

    def row_id(self, index: int) -> str:
        """Return the sample's id."""
        return self._samples[index].sample_id


def open_source(settings: SourceSettings, name: str, own_data_dir: Path | None = None, number: int = 0) -> Source:
    """Find all rows of a source; the texts are read later, the pictures when they are decoded.

    ``own_data_dir`` is the run's own data, for a source without a path.

    Raises: ConfigError if there is no such source, RecordError for a file that is not what its name says.
    """
    if not settings.path:
        if own_data_dir is None:
            raise ConfigError("training.sources: a source without a path is the run's own data, but there is no run")
        return RunSource(name, own_data_dir, number)
    if settings.path.startswith(_REMOTE):
        raise ConfigError(f"training.sources: {settings.path!r} is not on this machine; fetch it or mount it")
    path = Path(settings.path).expanduser()
    if (path / "data" / "shards").is_dir() or (path / "shards").is_dir():
        return RunSource(name, RunLayout(path).data_dir if (path / "data").is_dir() else path, number)
    paths = _list_files(path)
    folder = Path(settings.images).expanduser() if settings.images else paths[0].parent
    if not folder.is_dir():
        raise ConfigError(f"training.sources: images={settings.images!r} is not a folder")
    files = [_opener_of(file)(file, folder) for file in paths]
    source = FileSource(name, files, folder, number)
    if not len(source):
        raise RecordError(f"{settings.path}: no rows")
    return source


def find_image(name: ImageName, folder: Path) -> ImageRef:
    """Return the picture that a row names. Raises: RowRefused, PictureRefused if it is not there."""
    if not isinstance(name, str | tuple):
        return name
    candidates = (name,) if isinstance(name, str) else name
    for candidate in candidates:
        if "://" in candidate or candidate.startswith("data:"):
            raise RowRefused("image_is_remote", "pictures have to be files; fetch them first", candidate)
    try:
        paths = [_path_inside(folder, candidate) for candidate in candidates]
        found = next((path for path in paths if path.is_file()), None)
    except OSError as exc:  # a name that is too long for the file system, or a folder one may not enter
        raise RowRefused("image_missing", f"the image cannot be looked up: {exc.strerror}", candidates[0]) from exc
    if found is None:
        raise RowRefused("image_missing", f"no such file in {folder}", candidates[0])
    return found


def _path_inside(folder: Path, name: str) -> Path:
    """Return the path below the folder; links that its owner put there are followed, ".." is not."""
    root = os.path.normpath(folder)
    path = os.path.normpath(folder / name.replace("\0", ""))
    if root == os.curdir:  # the one root that normpath puts before no path
        leaves = path == os.pardir or path.startswith((f"{os.pardir}{os.sep}", os.sep))
    else:
        leaves = not path.startswith(os.path.join(root, ""))  # noqa: PTH118 - the root with its separator
    if leaves:
        raise RowRefused("image_outside_folder", f"the image's path leaves {folder}", name)
    return Path(path)


def _list_files(path: Path) -> list[Path]:
    if path.is_dir():
        found = sorted(file for file in path.iterdir() if file.is_file() and _has_opener(file))
        what = f"a run's directory, nor does it hold files that end in {', '.join(_SUFFIXES)}"
        if not found and (path / "data").is_dir():  # where an export as parquet, and datasets on the hub, keep them
            what += f"; is {str(path / 'data')!r} meant?"
    elif not path.is_file() and glob.has_magic(str(path)):
        found = sorted(Path(path.anchor).glob(str(path.relative_to(path.anchor))))
        what = "matched by any file"
    else:
        found = [path] if path.is_file() else []
        what = "there"
    if not found:
        raise ConfigError(f"training.sources: {str(path)!r} is not {what}")
    return found


_Opener = Callable[[Path, Path], Any]
_OPENERS: tuple[tuple[tuple[str, ...], _Opener], ...] = (
    (JSON_SUFFIXES, lambda path, folder: JsonFile(path)),
    (PARQUET_SUFFIXES, ParquetRows),
    (TAR_SUFFIXES, lambda path, folder: TarRows(path)),
)
_SUFFIXES = tuple(suffix for suffixes, _ in _OPENERS for suffix in suffixes)


def _has_opener(path: Path) -> bool:
    return path.name.lower().endswith(_SUFFIXES)


def _opener_of(path: Path) -> _Opener:
    for suffixes, opener in _OPENERS:
        if path.name.lower().endswith(suffixes):
            return opener
    raise ConfigError(f"training.sources: {str(path)!r} ends in none of {', '.join(_SUFFIXES)}")
