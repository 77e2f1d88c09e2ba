"""Where a model that looks at pictures runs, and in which numbers."""

from typing import Any

from stablellava.core.errors import ConfigError

_DTYPES = ("float32", "float16", "bfloat16")


def choose_placement(torch: Any, device: str, dtype: str) -> tuple[Any, str]:
    """Return the device and the name of the number format.

    "auto" takes a GPU where there is one; there, float16, and float32 elsewhere.

    Args:
        torch: the module, which the caller imported where it is needed.
        device: "auto", or as torch names it.
        dtype: "auto" or a format.

    Raises: ConfigError for an unknown format.
    """
    if dtype not in ("auto", *_DTYPES):
        raise ConfigError(f"dtype={dtype!r}: use one of auto, {', '.join(_DTYPES)}")
    placed = torch.device(("cuda" if torch.cuda.is_available() else "cpu") if device == "auto" else device)
    if dtype == "auto":
        dtype = "float16" if placed.type == "cuda" else "float32"
    return placed, dtype
