"""Styles (first set)."""

import random
from collections.abc import Callable

from PIL import Image, ImageFilter, ImageOps

Style = Callable[[Image.Image, random.Random], Image.Image]


def _sepia(image: Image.Image, rng: random.Random) -> Image.Image:
    return ImageOps.colorize(image.convert("L"), (40, 26, 14), (255, 240, 210))


STYLES: dict[str, Style] = {"sepia": _sepia}
