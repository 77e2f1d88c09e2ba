"""What a chat model is told, from versioned files.

A set is a folder of Jinja files: for each of prompt, dialogue and question a ``.system.j2`` (the same for every call
of a capability, so that servers can keep it) and a ``.user.j2`` (the call's own slots), and ``retry.j2``.
"""

from functools import cached_property
from importlib.resources import files
from pathlib import Path
from typing import Any, Literal

from jinja2 import Environment, StrictUndefined, Template, TemplateError

from stablellava.core.errors import ConfigError
from stablellava.core.ids import hash_id
from stablellava.core.suggesting import suggest_name

CallKind = Literal["prompt", "dialogue", "question"]
_BUILT_IN = ("full", "short")
_NAMES = tuple(f"{kind}.{part}.j2" for kind in ("prompt", "dialogue", "question") for part in ("system", "user"))
_RETRY = "retry.j2"


class Instructions:
    """One set of instruction files, compiled.

    Args:
        name: full, short, or the path of a folder that holds the same files.

    Raises: ConfigError for an unknown set, a missing file or a broken template.
    """

    def __init__(self, name: str) -> None:
        environment = Environment(  # noqa: S701 - plain text for a model, no HTML
            undefined=StrictUndefined, trim_blocks=True, lstrip_blocks=True, keep_trailing_newline=False
        )
        self._sources = _read_sources(name)
        try:
            # With from_string every rendering would copy the environment's globals by way of a slow mapping.
            self._templates = {
                file: Template.from_code(environment, environment.compile(text), dict(environment.globals))
                for file, text in self._sources.items()
            }
        except TemplateError as exc:
            raise ConfigError(f"synthesis.drafting.instructions={name!r}: {exc}") from exc

    @cached_property
    def revision(self) -> str:
        """Changes with every word of the files."""
        return hash_id(sorted(self._sources.items()))[:16]

    def render(self, kind: CallKind, part: Literal["system", "user"], **values: Any) -> str:
        """Return the text of a message. Raises: ConfigError if a file of the user's own asks for what is not there."""
        return self._render(f"{kind}.{part}.j2", values)

    def render_retry(self, error: str) -> str:
        """Return what is said after an answer that cannot be used."""
        return self._render(_RETRY, {"error": error})

    def _render(self, file: str, values: dict[str, Any]) -> str:
        try:
            return self._templates[file].render(values).strip()
        except TemplateError as exc:
            raise ConfigError(f"instruction file {file}: {exc}") from exc


def _read_sources(name: str) -> dict[str, str]:
    if name in _BUILT_IN:
        folder = files("stablellava.synthesis") / "instructions" / name
        return {file: (folder / file).read_text(encoding="utf-8") for file in (*_NAMES, _RETRY)}
    own = Path(name)
    if not own.is_dir():
        raise ConfigError(
            f"synthesis.drafting.instructions={name!r}: neither a set nor a folder. {suggest_name(name, _BUILT_IN)}"
        )
    missing = [file for file in (*_NAMES, _RETRY) if not (own / file).is_file()]
    if missing:
        raise ConfigError(f"synthesis.drafting.instructions={name!r}: the folder has no {', '.join(missing)}")
    return {file: (own / file).read_text(encoding="utf-8") for file in (*_NAMES, _RETRY)}
