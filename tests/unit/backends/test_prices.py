from pathlib import Path

import pytest

from stablellava.backends.prices import load_prices
from stablellava.core.draft import CallStamp
from stablellava.core.errors import ConfigError

TABLE = """
version: 2026-11-01
currency: USD
models:
  small: {input: 0.15, output: 0.60}
"""


def test_a_call_costs_what_the_table_says(tmp_path: Path) -> None:
    path = tmp_path / "prices.yaml"
    path.write_text(TABLE)
    prices = load_prices(path)

    stamp = CallStamp(backend="openai", model="small", tokens_in=2_000_000, tokens_out=500_000)
    assert prices.cost_of(stamp) == pytest.approx(0.6)
    assert prices.cost_of(stamp.model_copy(update={"model": "large"})) is None
    assert prices.cost_of(stamp.model_copy(update={"tokens_out": None})) is None
    assert prices.version == "2026-11-01"


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
