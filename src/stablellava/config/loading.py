"""From preset, file and overrides to one checked RunConfig.

Later layers win: defaults < preset < file < overrides.
"""

from collections.abc import Sequence
from functools import reduce
from importlib.resources import files
from pathlib import Path
from typing import Any, get_args, get_origin

import yaml
from pydantic import BaseModel, ValidationError

from stablellava.config.source import Source, merge_sources, parse_overrides, parse_yaml, read_yaml
from stablellava.config.tree import RunConfig
from stablellava.core.errors import ConfigError
from stablellava.core.suggesting import suggest_name

_PRESETS = files("stablellava.config") / "presets"


def list_presets() -> tuple[str, ...]:
    """Return the names that ``load_config`` takes as a preset."""
    return tuple(sorted(entry.name.removesuffix(".yaml") for entry in _PRESETS.iterdir()))


def load_config(path: Path | None = None, preset: str | None = None, overrides: Sequence[str] = ()) -> RunConfig:
    """Read, merge and check settings.

    Raises: ConfigError naming place, setting, value and what would work.
    """
    layers = [Source(RunConfig().model_dump(mode="json"), {})]
    layers += [_read_preset(preset)] if preset else []
    layers += [read_yaml(path)] if path else []
    layers.append(_split_lists(parse_overrides(overrides)))
    source = reduce(merge_sources, layers)
    try:
        return RunConfig.model_validate(source.values)
    except ValidationError as exc:
        raise ConfigError(_explain(exc, source)) from exc


def dump_config(config: RunConfig) -> str:
    """Return the resolved settings as YAML that ``load_config`` reads back to an equal value."""
    return yaml.safe_dump(config.model_dump(mode="json"), sort_keys=False)


def _read_preset(name: str) -> Source:
    entry = _PRESETS / f"{name}.yaml"
    if name not in list_presets():
        raise ConfigError(f"no preset named {name!r}. {suggest_name(name, list_presets())}")
    return parse_yaml(entry.read_text(encoding="utf-8"), f"preset {name}")


def _split_lists(source: Source) -> Source:
    """Let an override write a list the short way: synthesis.capabilities=color,animal."""

    def split(values: dict[str, Any], prefix: str) -> dict[str, Any]:
        return {key: convert(value, f"{prefix}{key}") for key, value in values.items()}

    def convert(value: Any, path: str) -> Any:
        if isinstance(value, dict):
            return split(value, f"{path}.")
        if isinstance(value, str) and get_origin(_annotation_at(path)) is tuple:
            return [part.strip() for part in value.split(",") if part.strip()]
        return value

    return Source(split(source.values, ""), source.places)


def _explain(error: ValidationError, source: Source) -> str:
    problem = error.errors(include_url=False)[0]
    path = ".".join(str(part) for part in problem["loc"])
    message = str(problem["msg"])
    if problem["type"] == "value_error":  # ours: the message opens with the setting's path
        message = message.removeprefix("Value error, ")
        return f"{_lead(source, message.partition(':')[0])}{message}."
    lead = _lead(source, path)
    if problem["type"] == "extra_forbidden":
        parent, _, key = path.rpartition(".")
        model = _annotation_at(parent) if parent else RunConfig
        under = f" under {parent!r}" if parent else ""
        return f"{lead}unknown key {key!r}{under}. {suggest_name(key, _fields_of(model))}"
    if problem["type"] == "model_type":
        message = f"has settings of its own: {', '.join(_fields_of(_annotation_at(path)))}"
    return f"{lead}{path}={problem['input']!r}: {_lower_first(message)}. {_example(path)}".rstrip()


def _lead(source: Source, path: str) -> str:
    place = source.place_of(path)
    return f"{place}: " if place else ""


def _example(path: str) -> str:
    default = _value_at(RunConfig(), path)
    if isinstance(default, tuple):
        return f"For example {path}=[{', '.join(str(item) for item in default[:3])}]."
    return "" if default in (None, "") or isinstance(default, BaseModel) else f"For example {path}={default}."


def _value_at(settings: object, path: str) -> object:
    for key in path.split("."):
        if not isinstance(settings, BaseModel):
            return None
        settings = getattr(settings, key, None)
    return settings


def _annotation_at(path: str) -> Any:
    """Return the annotated type of a setting, or None where there is none; an item of a list has the list's."""
    annotation: Any = RunConfig
    for key in path.split("."):
        if key.isdigit():
            continue
        field = _fields_of(annotation).get(key)
        if field is None:
            return None
        annotation = field.annotation
    return annotation


def _fields_of(annotation: Any) -> dict[str, Any]:
    candidates = (annotation, *get_args(annotation))
    models = [item for item in candidates if isinstance(item, type) and issubclass(item, BaseModel)]
    return dict(models[0].model_fields) if models else {}


def _lower_first(text: str) -> str:
    return text[:1].lower() + text[1:]
