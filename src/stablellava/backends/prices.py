"""The user's own table of what calls cost; a model that is not in it has no price.

A table is YAML:

    version: openai, 2026-11-01
    currency: USD
    models:
      gpt-4o-mini: {input: 0.15, output: 0.60}      # per million tokens
      my-server: {input: 0, output: 0}
"""

from pathlib import Path
from typing import Annotated

import yaml
from pydantic import BeforeValidator, Field, ValidationError

from stablellava.config.base import Settings
from stablellava.core.errors import ConfigError
from stablellava.core.record import first_problem


class ModelPrice(Settings):
    """Prices of a million tokens."""

    input: float = Field(ge=0)
    output: float = Field(ge=0)


class PriceTable(Settings):
    """Prices per model, as of a version that reports state."""

    version: Annotated[str, BeforeValidator(str)]
    """Often a date, which YAML reads as one."""
    currency: str
    models: dict[str, ModelPrice] = {}


def load_prices(path: Path) -> PriceTable:
    """Read a table.

    Raises: ConfigError naming the file and the problem.
    """
    try:
        values = yaml.safe_load(path.read_text(encoding="utf-8"))
        return PriceTable.model_validate(values)
    except (OSError, UnicodeDecodeError, yaml.YAMLError) as exc:
        raise ConfigError(f"the price table {path} cannot be read: {' '.join(str(exc).split())}") from exc
    except ValidationError as exc:
        example = "version: 2026-11, currency: USD, models: {gpt-4o-mini: {input: 0.15, output: 0.6}}"
        raise ConfigError(f"the price table {path}: {first_problem(exc)}. For example {example}") from exc
