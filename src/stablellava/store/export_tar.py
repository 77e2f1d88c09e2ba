"""WebDataset tars: per sample a .json and its pictures, members of one name and several endings.

Names are numbers, because what stands before the first dot of a name is the sample. Times, owners and rights are
fixed, so equal samples give equal bytes.
"""

import io
import tarfile
from collections.abc import Iterator
from pathlib import Path, PurePosixPath
from typing import IO, Any

import orjson

from stablellava.core.sample import Sample
from stablellava.store.export_rows import describe_origin, describe_subject, read_shown, shown_order, to_llava_row


def name_tars(num_files: int) -> list[str]:
    """Return names that sort in order and fit a brace pattern: ``train-{000000..000011}.tar``."""
    return [f"train-{number:06d}.tar" for number in range(num_files)]


class TarWriter:
    """Writes samples of a data folder, their pictures' bytes as they are."""

    def __init__(self, data_dir: Path) -> None:
        self._data_dir = data_dir

    def __call__(self, file: IO[bytes], first: int, samples: Iterator[Sample]) -> int:
        """Write a whole tar; a sample's name is its place in the export. Returns the number of pictures."""
        num_images = 0
        with tarfile.open(fileobj=file, mode="w", format=tarfile.USTAR_FORMAT) as tar:
            for place, sample in enumerate(samples, start=first):
                num_images += self._add_sample(tar, f"{place:09d}", sample)
                tar.members = []  # type: ignore[attr-defined]  # or tarfile keeps every header it has written
        return num_images

    def _add_sample(self, tar: tarfile.TarFile, key: str, sample: Sample) -> int:
        pictures = read_shown(self._data_dir, sample)
        is_single = len(pictures) == 1
        names = {
            index: f"{key}{'' if is_single else f'.{position}'}{PurePosixPath(picture.name).suffix}"
            for position, (index, picture) in enumerate(pictures.items())
        }
        shown = [names[index] for index in shown_order(sample)]
        _add_member(tar, f"{key}.json", orjson.dumps(to_row(sample, shown)))
        for index, picture in pictures.items():
            _add_member(tar, names[index], picture.data)
        return len(shown)


def to_row(sample: Sample, images: list[str]) -> dict[str, Any]:
    """Return LLaVA's row with what the sample is about and how it was made."""
    return {**to_llava_row(sample, images), **describe_subject(sample), "provenance": describe_origin(sample)}


def _add_member(tar: tarfile.TarFile, name: str, data: bytes) -> None:
    # A fresh header has no owner, mode 644 and the time 0.
    member = tarfile.TarInfo(name)
    member.size = len(data)
    tar.addfile(member, io.BytesIO(data))
