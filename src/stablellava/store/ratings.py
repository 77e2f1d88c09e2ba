"""Ratings on disk: one JSON line each, and the key of a study."""

import os
from collections.abc import Sequence
from pathlib import Path

from stablellava.core.errors import RecordError
from stablellava.core.rating import Rating, RatingKey
from stablellava.store.files import explain_disk_errors, write_atomic

RatingsByRater = dict[str, dict[str, Rating]]
"""Rater -> pair -> the last that this person said of it."""


def key_path(ratings_dir: Path, study_id: str) -> Path:
    """Return where a study's key lies."""
    return ratings_dir / f"{study_id}.key.json"


def write_key(key: RatingKey, path: Path) -> None:
    """Write the key in one step. Raises: RecordError when the disk is full."""
    write_atomic(path, key.to_json() + b"\n")


def read_key(path: Path) -> RatingKey:
    """Read what ``write_key`` wrote. Raises: RecordError if it is no key."""
    return RatingKey.from_json(_read(path), str(path))


def append_rating(path: Path, rating: Rating) -> None:
    """Add a line and wait until the disk has it. Raises: RecordError when the disk is full."""
    with explain_disk_errors(path):
        path.parent.mkdir(parents=True, exist_ok=True)
        with path.open("ab") as file:
            file.write(rating.to_json() + b"\n")
            file.flush()
            os.fsync(file.fileno())


def read_ratings(paths: Sequence[Path], key: RatingKey) -> RatingsByRater:
    """Read the ratings of one person or several; of two lines on one pair the later counts.

    Raises: RecordError naming file, line and value for what is no rating of this key's pairs, a person who has
    ratings in two files, or a file without any.
    """
    known = {pair.pair_id for pair in key.pairs}
    found: RatingsByRater = {}
    file_of: dict[str, Path] = {}
    for path in paths:
        lines = [(number, line) for number, line in enumerate(_read(path).splitlines(), start=1) if line.strip()]
        if not lines:
            raise RecordError(f"{path}: holds no ratings; name a file that the rating page saved")
        for number, line in lines:
            where = f"{path}: line {number}"
            rating = Rating.from_json(line, where)
            _refuse_stranger(rating, key.study_id, known, where)
            if file_of.setdefault(rating.rater, path) != path:
                raise RecordError(
                    f"{where}: rater {rating.rater!r} has ratings in {file_of[rating.rater]}, too; "
                    "name one file per person, and give two people two names"
                )
            found.setdefault(rating.rater, {})[rating.pair_id] = rating
    return found


def _refuse_stranger(rating: Rating, study_id: str, known: set[str], where: str) -> None:
    if rating.study_id != study_id:
        raise RecordError(f"{where}: study_id {rating.study_id!r}, but the key is of {study_id!r}; name its own key")
    if rating.pair_id not in known:
        raise RecordError(f"{where}: pair_id {rating.pair_id!r} is not in the key; was the line edited?")


def _read(path: Path) -> bytes:
    try:
        return path.read_bytes()
    except OSError as exc:
        raise RecordError(f"{path}: cannot be read ({exc.strerror}); check the path") from exc
