import pytest

from stablellava.backends.checking import kinds_of


@pytest.mark.parametrize(
    ("name", "kinds"),
    [
        ("image-classifier", ["classifier"]),
        ("efficientnet-lite0", ["features"]),
        ("diffusers", ["painter"]),
        ("nothing", []),
    ],
)
def test_every_kind_that_settings_can_name_is_known(name: str, kinds: list[str]) -> None:
    assert kinds_of(name) == kinds
