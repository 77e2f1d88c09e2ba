"""Settings as written, each with the place where it was written."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml

from stablellava.core.errors import ConfigError


@dataclass(frozen=True)
class Source:
    """A tree of plain values; ``places`` maps a dotted path to "file:line:column" or to the override."""

    values: dict[str, Any]
    places: dict[str, str]

    def place_of(self, path: str) -> str:
        """Return where the path, or the nearest setting around it, was written."""
        while path and path not in self.places:
            path = path.rpartition(".")[0]
        return self.places.get(path, "")


def read_yaml(path: Path) -> Source:
    """Read one YAML file of settings.

    Raises: ConfigError with file, line and column when it is missing, not UTF-8, not YAML, not a
    mapping, or names a key twice (YAML itself would silently take the last).
    """
    try:
        text = path.read_bytes().decode("utf-8")
    except FileNotFoundError as exc:
        raise ConfigError(f"no settings file {str(path)!r}. Check the path given to --config.") from exc
    except OSError as exc:
        raise ConfigError(f"cannot read settings file {str(path)!r}: {exc.strerror}.") from exc
    except UnicodeDecodeError as exc:
        raise ConfigError(f"{path}: byte {exc.start} is not UTF-8. Save the file as UTF-8.") from exc
    return parse_yaml(text, str(path))


def parse_yaml(text: str, name: str) -> Source:
    """Parse settings from text; ``name`` stands for the file in messages and places."""
    try:
        node = yaml.compose(text, Loader=yaml.SafeLoader)
        values = yaml.safe_load(text)
    except yaml.MarkedYAMLError as exc:
        mark = exc.problem_mark or exc.context_mark
        where = _place(name, mark) if mark else name
        raise ConfigError(f"{where}: not valid YAML: {exc.problem or exc}.") from exc
    except yaml.YAMLError as exc:
        raise ConfigError(f"{name}: not valid YAML: {exc}.") from exc
    if node is None:
        return Source({}, {})
    if not isinstance(node, yaml.MappingNode):
        raise ConfigError(
            f"{_place(name, node.start_mark)}: settings are 'key: value' lines, got {str(values)[:60]!r}."
        )
    return Source(values, dict(_walk(node, name, "")))


def parse_overrides(overrides: Sequence[str]) -> Source:
    """Parse ``key.path=value`` arguments; values are read as YAML.

    Raises: ConfigError for an argument without "=" or with a value that is not YAML.
    """
    source = Source({}, {})
    for override in overrides:
        path, equals, written = override.partition("=")
        if not equals or not path.strip():
            raise ConfigError(f"override {override!r} is not of the form key.path=value, as in seed=1.")
        try:
            value = yaml.safe_load(written)
        except yaml.YAMLError as exc:
            raise ConfigError(f"override {override!r}: the value is not valid YAML. Quote it.") from exc
        nested: Any = value
        for key in reversed(path.strip().split(".")):
            nested = {key: nested}
        source = merge_sources(source, Source(nested, {path.strip(): "override"}))
    return source


def merge_sources(under: Source, over: Source) -> Source:
    """Lay one source over another: mappings merge, everything else is replaced."""
    return Source(_merge(under.values, over.values), {**under.places, **over.places})


def _merge(under: dict[str, Any], over: dict[str, Any]) -> dict[str, Any]:
    merged = dict(under)
    for key, value in over.items():
        below = merged.get(key)
        merged[key] = _merge(below, value) if isinstance(below, dict) and isinstance(value, dict) else value
    return merged


def _walk(node: yaml.MappingNode, name: str, prefix: str) -> Iterator[tuple[str, str]]:
    seen: dict[str, str] = {}
    for key_node, value_node in node.value:
        key, place = str(key_node.value), _place(name, key_node.start_mark)
        if key in seen:
            raise ConfigError(f"{place}: {prefix + key!r} is set twice, first at {seen[key]}. Keep one.")
        seen[key] = place
        yield prefix + key, place
        if isinstance(value_node, yaml.MappingNode):
            yield from _walk(value_node, name, f"{prefix}{key}.")


def _place(name: str, mark: yaml.Mark) -> str:
    return f"{name}:{mark.line + 1}:{mark.column + 1}"
