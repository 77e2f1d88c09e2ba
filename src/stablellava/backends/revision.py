"""The revision of a backend whose output depends on its own code and tables."""

from functools import cache
from importlib.resources import files
from importlib.resources.abc import Traversable

from stablellava.core.ids import hash_id

_SUFFIXES = (".py", ".yaml")


@cache
def hash_package(name: str) -> str:
    """Return a hash of a package's code and tables, so that data made by another version is noticed."""
    return hash_id(sorted(_read_all(files(name), name)))


def _read_all(folder: Traversable, prefix: str) -> list[tuple[str, str]]:
    found: list[tuple[str, str]] = []
    for entry in folder.iterdir():
        if entry.is_dir():
            found += _read_all(entry, f"{prefix}/{entry.name}")
        elif entry.name.endswith(_SUFFIXES):
            found.append((f"{prefix}/{entry.name}", entry.read_text(encoding="utf-8")))
    return found
