from pathlib import Path

import pytest

from stablellava.backends.prices import load_prices
from stablellava.core.errors import ConfigError

TABLE = """
version: 2026-11-01
currency: USD
models:
  small: {input: 0.15, output: 0.60}
"""


def test_a_table_names_models_version_and_currency(tmp_path: Path) -> None:
    path = tmp_path / "prices.yaml"
    path.write_text(TABLE)
    prices = load_prices(path)

    assert (prices.models["small"].input, prices.models["small"].output) == (0.15, 0.60)
    assert (prices.version, prices.currency) == ("2026-11-01", "USD")


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("currency: USD", "version"),
        ("version: 1\ncurrency: USD\nmodels: {small: {input: -1, output: 0}}", "input"),
        ("version: [", "cannot be read"),
        ("[]", "dict"),
    ],
)
def test_a_wrong_table_is_named(tmp_path: Path, text: str, said: str) -> None:
    path = tmp_path / "prices.yaml"
    path.write_text(text)

    with pytest.raises(ConfigError, match=said):
        load_prices(path)


def test_a_missing_table_is_named(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="nowhere"):
        load_prices(tmp_path / "nowhere.yaml")
