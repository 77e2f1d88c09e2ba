"""Busts that show hair: the font's own sequences, and cuts drawn over its bald head."""

from collections.abc import Mapping
from functools import lru_cache
from typing import Any

from PIL import Image, ImageDraw

from stablellava.backends.adapters.openmoji.colors import Rgb, parse_color
from stablellava.backends.adapters.openmoji.datafiles import load_data
from stablellava.backends.adapters.openmoji.font import render_glyph
from stablellava.backends.adapters.openmoji.sketches import GRID, draw_shape, parse_shape
from stablellava.backends.adapters.openmoji.sprites import Sprite

_SUPERSAMPLING = 3
_FACE_DROP = 7.1
"""Units by which the bald face lies lower in its square than the cuts are drawn for."""
_ROOM_ABOVE = 8.0
"""Units of the design grid above its square, for hair that stands up."""
_FEMALE = {"woman", "girl", "old woman"}
_DEFAULT_CUT = {True: "long", False: "short"}
_DEFAULT_COLOR = "#6a462f"


def draw_hair_bust(fields: Mapping[str, Any], person: str, tone: str, size_px: int) -> Sprite:
    """Return head and shoulders with the hair asked for."""
    is_female = person in _FEMALE
    base = "1F469" if is_female else "1F468"
    cut = str(fields.get("cut", _DEFAULT_CUT[is_female]))
    color = str(fields.get("color", _DEFAULT_COLOR))
    return Sprite(_draw(base, cut, color, tone, size_px), head=(0.5, 0.08, 0.6), face=(0.5, 0.45))


@lru_cache(maxsize=256)
def _draw(base: str, cut: str, color: str, tone: str, size_px: int) -> Image.Image:
    bald = render_glyph(f"{base}-{tone}-200D-1F9B2", size_px)
    layers = load_data("hairstyles")[cut]
    canvas = _draw_layer(layers.get("behind", ()), color, size_px)
    canvas.alpha_composite(bald, (0, round((_ROOM_ABOVE - _FACE_DROP) / GRID * size_px)))
    canvas.alpha_composite(_draw_layer(layers.get("front", ()), color, size_px))
    return canvas.crop(canvas.getbbox() or (0, 0, *canvas.size))


def _draw_layer(lines: list[str], color: str, size_px: int) -> Image.Image:
    """Return shapes whose fill "hair" stands for the color."""
    large = size_px * _SUPERSAMPLING
    canvas = Image.new("RGBA", (large, large + _SUPERSAMPLING * round(_ROOM_ABOVE / GRID * size_px)), (0, 0, 0, 0))
    draw = ImageDraw.Draw(canvas)
    rgb: Rgb = parse_color(color)
    for line in lines:
        shape = parse_shape(line.replace(" hair ", " white "))
        shape = shape.filled(rgb) if " hair " in line else shape
        draw_shape(draw, shape.lowered(_ROOM_ABOVE), large / GRID)
    return canvas.reduce(_SUPERSAMPLING)
