"""Capabilities by name or by folder, read strictly.

A folder holds five files: ``capability.yaml`` (brief, cautions, settings), ``keywords.yaml``,
``exemplars.yaml``, ``questions.yaml`` and ``grammar.yaml`` (rules of the offline writer).
"""

from collections.abc import Iterable
from functools import cache
from importlib.resources import files
from importlib.resources.abc import Traversable
from pathlib import Path
from typing import Any

from pydantic import TypeAdapter, ValidationError

from stablellava.capabilities.checking import find_problem
from stablellava.capabilities.strict_yaml import parse_strict
from stablellava.config.synthesis import MULTI_IMAGE_CAPABILITIES, SINGLE_IMAGE_CAPABILITIES
from stablellava.core.capability import Capability, Keyword, Place
from stablellava.core.errors import ConfigError
from stablellava.core.record import first_problem
from stablellava.core.suggesting import suggest_name

_FILES: dict[str, tuple[str, ...]] = {
    "capability.yaml": (
        "name", "title", "group", "min_images", "max_images", "brief", "cautions",
        "answer_form", "paper", "setting_kind", "settings", "visual_features",
    ),
    "keywords.yaml": ("keywords",),
    "exemplars.yaml": ("prompt_exemplars", "dialogue_exemplars"),
    "questions.yaml": ("description_questions", "evaluation_forms"),
    "grammar.yaml": ("grammar",),
}  # fmt: skip
"""File -> the fields of a Capability that it holds."""
_BARE_FILES = frozenset({"keywords.yaml", "grammar.yaml"})
"""Files that are the value of their one field rather than a mapping of fields."""
_PLACES = TypeAdapter(tuple[Place, ...])


def list_capabilities() -> tuple[str, ...]:
    """Return the names of the built-in capabilities, single-image ones first, in the paper's order."""
    return (*SINGLE_IMAGE_CAPABILITIES, *MULTI_IMAGE_CAPABILITIES)


def load_capability(name: str | Path) -> Capability:
    """Return a built-in capability by name, or one of the user's own by the path of its folder.

    A string with a path separator in it ("./bridges") is taken as a path.

    Raises: ConfigError for an unknown name, a missing file, broken YAML (with its line) or wrong content.
    """
    if isinstance(name, Path) or "/" in name or "\\" in name:
        return _read_capability(Path(name))
    return _load_built_in(name)


def load_known(chosen: Iterable[str] = ()) -> dict[str, Capability]:
    """Return by name the built-in capabilities and those that ``chosen`` names, one's own before built-in ones.

    Raises: as ``load_capability``.
    """
    return {capability.name: capability for capability in map(load_capability, (*list_capabilities(), *chosen))}


@cache
def load_places() -> tuple[Place, ...]:
    """Return every place that a capability's settings may name."""
    path = files("stablellava.capabilities") / "places.yaml"
    return _PLACES.validate_python(parse_strict(_read_text(path), str(path)))


@cache
def _load_built_in(name: str) -> Capability:
    if name not in list_capabilities():
        advice = suggest_name(name, list_capabilities())
        if Path(name).is_dir():
            advice = f"To name a folder of your own, write './{name}'."
        raise ConfigError(f"no capability named {name!r}. {advice}")
    return _read_capability(files("stablellava.capabilities") / name)


def _read_capability(folder: Path | Traversable) -> Capability:
    if not folder.is_dir():
        raise ConfigError(f"no capability folder {str(folder)!r}. Give a folder that holds {', '.join(_FILES)}.")
    fields: dict[str, Any] = {}
    for file_name in _FILES:
        fields |= _read_fields(folder, file_name)
    try:
        capability = Capability.model_validate(fields)
    except ValidationError as exc:
        raise ConfigError(_locate(exc, folder, fields)) from exc
    problem = find_problem(capability, [place.name for place in load_places()])
    if problem:
        raise ConfigError(f"{folder / _file_of(problem.field)}: {problem.message}")
    return capability


def _read_fields(folder: Path | Traversable, file_name: str) -> dict[str, Any]:
    path = folder / file_name
    value = parse_strict(_read_text(path), str(path))
    known = _FILES[file_name]
    if file_name in _BARE_FILES:
        return {known[0]: value}
    if not isinstance(value, dict):
        raise ConfigError(f"{path}: expected the keys {', '.join(known)}, got {str(value)[:60]!r}.")
    for key in value:
        if key not in known:
            raise ConfigError(f"{path}: unknown key {key!r}. {suggest_name(str(key), known)}")
    return value


def _read_text(path: Path | Traversable) -> str:
    try:
        return path.read_bytes().decode("utf-8")
    except FileNotFoundError as exc:
        raise ConfigError(f"{path}: file is missing. A capability folder holds {', '.join(_FILES)}.") from exc
    except OSError as exc:
        raise ConfigError(f"{path}: cannot be read: {exc.strerror}.") from exc
    except UnicodeDecodeError as exc:
        raise ConfigError(f"{path}: byte {exc.start} is not UTF-8. Save the file as UTF-8.") from exc


def _locate(error: ValidationError, folder: Path | Traversable, fields: dict[str, Any]) -> str:
    """Return the first complaint with the file it is about and, for a keyword, the keyword's name."""
    problem = error.errors(include_url=False)[0]
    location = problem["loc"]
    if not location:  # a check across fields, which says itself what it is about
        return f"{folder}: {problem['msg'].removeprefix('Value error, ')}."
    message = f"{folder / _file_of(str(location[0]))}: {first_problem(error)}"
    if location[0] != "keywords" or len(location) < 3:
        return message
    name = fields["keywords"][location[1]].get("name", "")
    advice = suggest_name(str(location[2]), Keyword.model_fields) if problem["type"] == "extra_forbidden" else ""
    return f"{message} in keyword {name!r}. {advice}".rstrip()


def _file_of(field: str) -> str:
    return next(file_name for file_name, known in _FILES.items() if field in known)
