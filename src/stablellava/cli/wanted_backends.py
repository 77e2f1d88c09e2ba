"""Which backends a check is about: those of the settings, or those named on the command line."""

from collections.abc import Mapping, Sequence
from typing import Any

import yaml

from stablellava.backends.catalog import Kind, list_backends
from stablellava.backends.checking import kinds_of
from stablellava.config.tree import RunConfig
from stablellava.core.errors import ConfigError
from stablellava.core.suggesting import suggest_name
from stablellava.store.assets import ASSETS, asset_path

Wanted = tuple[Kind, str, Mapping[str, Any]]


def configured_backends(settings: RunConfig) -> list[Wanted]:
    """Return the writer or chat model and the painter of the settings."""
    wanted = [settings.synthesis.writer, settings.synthesis.painter]
    return [entry for one in wanted if one for entry in _resolve(one.backend, one.options)]


def named_backends(words: Sequence[str]) -> list[Wanted]:
    """Read backends with their options, as they stand on a command line.

    Raises: ConfigError for an unknown name or an option before any name.
    """
    named: list[tuple[str, dict[str, Any]]] = []
    for word in words:
        name, is_option, value = word.partition("=")
        if not is_option:
            named.append((word, {}))
        elif not named:
            raise ConfigError(f"{name}=... belongs to no backend: name one first, as in `openai {name}=...`")
        else:
            named[-1][1][name] = yaml.safe_load(value)
    return [entry for name, options in named for entry in _resolve(name, options)]


def _resolve(wanted: str, options: Mapping[str, Any]) -> list[Wanted]:
    """Return a backend under each kind it has; "chat.openai" names one. An asset's name stands for its path."""
    kind, _, rest = wanted.partition(".")
    name = rest or wanted
    kinds = [found for found in kinds_of(name) if not rest or found == kind]
    if not kinds:
        names = {key.partition(".")[2] for key in list_backends()}
        raise ConfigError(f"no backend named {wanted!r}. {suggest_name(name, names)}")
    model = options.get("model")
    resolved = {**options, "model": str(asset_path(model))} if model in ASSETS else options
    return [(found, name, resolved) for found in kinds]
