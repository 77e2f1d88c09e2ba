"""Which backends a check is about: those of the settings, or those named on the command line."""

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from stablellava.backends.catalog import Kind, list_backends
from stablellava.backends.checking import kinds_of
from stablellava.cli.options import read_options
from stablellava.config.base import BackendSettings, Settings
from stablellava.config.tree import RunConfig
from stablellava.core.errors import ConfigError
from stablellava.core.suggesting import suggest_name
from stablellava.synthesis.chat_drafting.room import resolve_model

Wanted = tuple[Kind, str, Mapping[str, Any]]


def configured_backends(settings: RunConfig) -> list[Wanted]:
    """Return every backend that the settings name, each once."""
    wanted = [entry for one in _find_settings(settings) for entry in _resolve(one.backend, one.options)]
    return [entry for index, entry in enumerate(wanted) if entry not in wanted[:index]]


def named_backends(words: Sequence[str]) -> list[Wanted]:
    """Read backends with their options, as they stand on a command line.

    Raises: ConfigError for an unknown name or an option before any name.
    """
    named: list[tuple[str, dict[str, Any]]] = []
    for word in words:
        name, is_option, _ = word.partition("=")
        if not is_option:
            named.append((word, {}))
        elif not named:
            raise ConfigError(f"{name}=... belongs to no backend: name one first, as in `openai {name}=...`")
        else:
            named[-1][1].update(read_options([word], "option"))
    return [entry for name, options in named for entry in _resolve(name, options)]


def _find_settings(settings: Settings) -> Iterator[BackendSettings]:
    if isinstance(settings, BackendSettings):
        yield settings
        return
    for _, value in settings:
        for one in value if isinstance(value, tuple) else (value,):
            if isinstance(one, Settings):
                yield from _find_settings(one)


def _resolve(wanted: str, options: Mapping[str, Any]) -> list[Wanted]:
    """Return a backend under each kind it has; "chat.openai" names one. An asset's name stands for its path."""
    kind, _, rest = wanted.partition(".")
    name = rest or wanted
    kinds = [found for found in kinds_of(name) if not rest or found == kind]
    if not kinds:
        names = {key.partition(".")[2] for key in list_backends()}
        raise ConfigError(f"no backend named {wanted!r}. {suggest_name(name, names)}")
    return [(found, name, resolve_model(options)) for found in kinds]
