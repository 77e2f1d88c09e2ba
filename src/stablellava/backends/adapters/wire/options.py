"""What every backend on the wire can be told."""

from typing import Any

from pydantic import Field, ValidationError
from yarl import URL

from stablellava.config.base import Settings
from stablellava.core.errors import ConfigError
from stablellava.core.record import first_problem

OPENAI_URL = "https://api.openai.com/v1"


class WireOptions(Settings):
    """Where the server is, how hard it may be driven and how long it may fail.

    Worker processes share max_in_flight, rpm and tpm out among them.
    """

    base_url: str = OPENAI_URL
    """Up to and including the version: http://localhost:8000/v1."""
    key_env: str = "OPENAI_API_KEY"
    key_file: str | None = None
    max_in_flight: int = Field(default=64, ge=1, le=4096)
    """The window's upper end; it finds its size below by itself."""
    rpm: float | None = Field(default=None, gt=0)
    """Fixed limit on requests per minute."""
    tpm: float | None = Field(default=None, gt=0)
    """Fixed limit on tokens per minute; a call counts a quarter of its bytes and the tokens it may answer with."""
    timeout_seconds: float = Field(default=120.0, gt=0)
    """For one try, from sending to the last byte."""
    max_tries: int = Field(default=6, ge=1)
    """Tries of one call that a broken server or connection may cost; refusals for speed (429) do not count."""
    backoff_seconds: float = Field(default=0.5, gt=0)
    """Wait after a call's first failure; doubles with each further one, up to 30 s, and varies by half."""
    unreachable_seconds: float = Field(default=8.0, gt=0)
    """How long nothing may listen at the address in mid-run; a quarter of it when no call ever succeeded."""
    patience_seconds: float = Field(default=120.0, gt=0)
    """How long every call may fail in other ways before the run is stopped."""

    @property
    def url(self) -> URL:
        return URL(self.base_url.rstrip("/"))


def read_wire_options(options: dict[str, Any]) -> WireOptions:
    """Check options as a configuration names them.

    Raises: ConfigError naming option, value and problem.
    """
    try:
        checked = WireOptions(**options)
    except ValidationError as exc:
        raise ConfigError(
            f"the wire's options: {first_problem(exc)}. Known: {', '.join(WireOptions.model_fields)}"
        ) from exc
    if checked.url.scheme not in ("http", "https") or not checked.url.host:
        raise ConfigError(f"base_url={checked.base_url!r} is no address; for example http://localhost:8000/v1")
    if checked.url.user or checked.url.password or checked.url.query:
        raise ConfigError("base_url carries credentials or a query; keys belong into the variable that key_env names")
    return checked
