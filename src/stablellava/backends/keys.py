"""Keys of services: read from the environment or a file, kept out of settings, messages and files."""

import os
import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from stablellava.core.errors import BackendMissing, ConfigError

_VARIABLE = re.compile(r"[A-Z_][A-Z0-9_]{0,63}")
_SECRET_NAME = re.compile(
    r"(api|access|secret|auth)_?key|^key$|^token$|_token$|secret|password|authorization|bearer", re.I
)
_SECRET_VALUE = re.compile(r"(sk|gsk|xai|hf|nvapi)[-_][A-Za-z0-9_-]{8,}|AIza[A-Za-z0-9_-]{20,}|Bearer \S+")
_ADVICE = (
    "Put the key into an environment variable and name it with key_env, or into a file and name that with key_file."
)


class ApiKey:
    """A key and where it came from; its value shows in no repr."""

    def __init__(self, value: str, source: str) -> None:
        self._value = value
        self.source = source

    def __repr__(self) -> str:
        return f"ApiKey(from {self.source})"

    @property
    def headers(self) -> dict[str, str]:
        """HTTP headers that carry the key; none when there is no key."""
        return {"Authorization": f"Bearer {self._value}"} if self._value else {}

    def scrub(self, text: str) -> str:
        """Return a server's words without the key, should they repeat it."""
        return text.replace(self._value, "***") if self._value else text


def read_key(key_env: str, key_file: str | None, is_required: bool) -> ApiKey:
    """Read a key; empty when none is there and none is required.

    Raises: ConfigError for a key where a name belongs or an unreadable file, BackendMissing for a required key.
    """
    if not _VARIABLE.fullmatch(key_env):
        raise ConfigError(f"key_env names an environment variable in capitals, such as OPENAI_API_KEY. {_ADVICE}")
    if key_file is not None:
        try:
            value = Path(key_file).expanduser().read_text(encoding="utf-8").strip()
        except (OSError, UnicodeDecodeError) as exc:
            raise ConfigError(f"key_file={key_file!r} cannot be read: {type(exc).__name__}") from exc
        source = f"the file {key_file}"
    else:
        value = os.environ.get(key_env, "").strip()
        source = f"${key_env}"
    if is_required and not value:
        raise BackendMissing(f"no key in {source}: export {key_env}=..., or name a file with key_file")
    if not value.isascii() or any(character.isspace() for character in value):
        raise ConfigError(f"the key in {source} holds a space, a line break or a character outside ASCII")
    return ApiKey(value, source)


def refuse_keys(options: Mapping[str, Any]) -> None:
    """Check that options, which end up in files, hold no key.

    Raises: ConfigError that names the option and not its value.
    """
    for name, value in options.items():
        for one in value if isinstance(value, list | tuple) else (value,):
            if isinstance(one, Mapping):
                refuse_keys(one)
            elif isinstance(one, str) and (_SECRET_NAME.search(name) or _SECRET_VALUE.search(one)):
                raise ConfigError(f"the option {name!r} holds a key, and settings are written to files. {_ADVICE}")
