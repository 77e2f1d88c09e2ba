"""Styles by name: what is done to a finished picture."""

import random
from collections.abc import Callable

from PIL import Image

from stablellava.backends.adapters.openmoji import styles_color as color
from stablellava.backends.adapters.openmoji import styles_dry as dry

Style = Callable[[Image.Image, random.Random], Image.Image]

STYLES: dict[str, Style] = {
    "pencil sketch": dry.draw_pencil_sketch,
    "charcoal": dry.draw_charcoal,
    "chalk drawing": dry.draw_chalk,
    "line art": dry.draw_line_art,
    "ink wash": dry.draw_ink_wash,
    "woodcut": dry.draw_woodcut,
    "engraving": dry.draw_engraving,
    "blueprint": dry.draw_blueprint,
    "duotone": dry.draw_duotone,
    "halftone": dry.draw_halftone,
    "sepia": dry.tone_sepia,
    "black and white photograph": dry.tone_monochrome,
    "photo negative": dry.tone_negative,
    "night vision": dry.tone_night_vision,
    "thermal image": dry.tone_thermal,
    "watercolor": color.paint_watercolor,
    "oil painting": color.paint_oil,
    "impressionism": color.paint_impressionism,
    "pointillism": color.paint_pointillism,
    "cubism": color.paint_cubism,
    "pastel": color.draw_pastel,
    "crayon": color.draw_crayon,
    "comic": color.print_comic,
    "pop art": color.print_pop_art,
    "poster": color.print_poster,
    "mosaic": color.lay_mosaic,
    "pixel art": color.draw_pixel_art,
    "cross-stitch": color.sew_cross_stitch,
    "stained glass": color.set_stained_glass,
    "low poly": color.draw_low_poly,
    "paper cutout": color.cut_paper,
    "batik": color.dye_batik,
    "neon": color.glow_neon,
    "glitch art": color.glitch,
}
"""All styles but the silhouette, which needs things apart from their place (see composing.py)."""
