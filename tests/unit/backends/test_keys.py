from typing import Any

import pytest

from stablellava.backends.keys import refuse_keys
from stablellava.core.errors import ConfigError


@pytest.mark.parametrize(
    "options",
    [
        {"api_key": "abc"},
        {"extra_body": {"token": "abc"}},
        {"headers": ["Authorization: Bearer abc"]},
        {"extra_body": {"tools": [{"name": "search", "api_key": "abc"}]}},
    ],
)
def test_a_key_among_options_is_refused_however_deep_it_lies(options: dict[str, Any]) -> None:
    with pytest.raises(ConfigError, match="holds a key") as caught:
        refuse_keys(options)
    assert "abc" not in str(caught.value)


def test_options_without_a_key_pass() -> None:
    refuse_keys({"key_env": "OPENAI_API_KEY", "max_tokens": 3, "extra_body": {"stop": ["\n", "END"], "top_k": [1, 2]}})
