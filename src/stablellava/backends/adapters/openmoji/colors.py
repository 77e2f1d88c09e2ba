"""Colors by name."""

from functools import lru_cache

from PIL import ImageColor

Rgb = tuple[int, int, int]


@lru_cache(maxsize=1024)
def parse_color(text: str) -> Rgb:
    """Return the RGB of "#rrggbb"."""
    red, green, blue = ImageColor.getrgb(text)[:3]
    return (red, green, blue)


def mix(first: Rgb, second: Rgb, share: float) -> Rgb:
    """Return ``first`` with ``share`` of ``second`` in it."""
    red, green, blue = (round(a + (b - a) * share) for a, b in zip(first, second, strict=True))
    return (red, green, blue)


def darken(color: Rgb, share: float) -> Rgb:
    """Return the color with a share of black."""
    return mix(color, (0, 0, 0), share)


def lighten(color: Rgb, share: float) -> Rgb:
    """Return the color with a share of white."""
    return mix(color, (255, 255, 255), share)
