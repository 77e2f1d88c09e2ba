"""Which evaluation pictures look like a training picture."""

from collections.abc import Mapping
from pathlib import Path

from stablellava.store.images import image_path, read_picture
from stablellava.store.look_alikes import LookAlikes


def find_near_pictures(asked: Mapping[str, Path], trained: Mapping[str, str], data_dir: Path) -> dict[str, str]:
    """Return the most similar training picture of each asked one that has a look-alike.

    ``asked`` are files by name, ``trained`` perceptual hashes by sha256 of the pictures in ``data_dir``.

    Raises: RecordError for a picture that cannot be read.
    """
    known = LookAlikes()
    for digest, perceptual_hash in sorted(trained.items()):
        known.add(digest, perceptual_hash, image_path(data_dir, digest))
    found: dict[str, str] = {}
    for name, path in asked.items():
        match = known.find(read_picture(path, where=name)[1].perceptual_hash, path)
        if match is not None:
            found[name] = match[0]
    return found
