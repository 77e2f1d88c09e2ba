"""What all settings share."""

from typing import Any

from pydantic import BaseModel, ConfigDict


class Settings(BaseModel):
    """Base of all settings: unknown names are refused, values are fixed once read."""

    model_config = ConfigDict(extra="forbid", frozen=True)


class BackendSettings(Settings):
    """A backend by name, with the options its class takes."""

    backend: str
    options: dict[str, Any] = {}
