"""Pictures of single things: glyphs of the OpenMoji color font, own sketches, and their recoloring.

Everything is cached per process at a few sizes; a picture is the same whatever was drawn before it.
"""

from functools import lru_cache

import numpy as np
from PIL import Image

from stablellava.backends.adapters.openmoji.colors import Rgb
from stablellava.backends.adapters.openmoji.font import render_glyph
from stablellava.backends.adapters.openmoji.sketches import render_sketch

_OUTLINE_LUMINANCE = 0.13
_HUE_WIDTH = 0.11
_MIN_SATURATION = 0.16


@lru_cache(maxsize=768)
def render_thing(glyph: str, sketch: str, tint: Rgb | None, size_px: int) -> Image.Image:
    """Return the thing cut to its own edges, recolored when a tint is given, at one of the cached sizes."""
    full = render_sketch(sketch, size_px) if sketch else render_glyph(glyph, size_px)
    cut = full.crop(full.getbbox() or (0, 0, size_px, size_px))
    return recolor(cut, tint) if tint is not None else cut


def _hue_saturation(rgb: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Return hue and saturation in [0, 1] of an array [..., 3] in [0, 1]."""
    high, low = rgb.max(axis=-1), rgb.min(axis=-1)
    spread = high - low
    safe = np.where(spread == 0, 1, spread)
    red, green, blue = rgb[..., 0], rgb[..., 1], rgb[..., 2]
    hue = np.where(high == red, (green - blue) / safe % 6, 0)
    hue = np.where(high == green, (blue - red) / safe + 2, hue)
    hue = np.where(high == blue, (red - green) / safe + 4, hue)
    return hue / 6, spread / np.where(high == 0, 1, high)


def _main_color(rgb: np.ndarray, weight: np.ndarray) -> np.ndarray:
    """Return the color [3] that fills most of the weighted pixels."""
    coarse = (rgb * 15.99).astype(np.int64)
    keys = coarse[:, 0] * 256 + coarse[:, 1] * 16 + coarse[:, 2]
    counts = np.bincount(keys, weights=weight, minlength=4096)
    best = keys == int(counts.argmax())
    main: np.ndarray = rgb[best].mean(axis=0)
    return main


def recolor(image: Image.Image, target: Rgb) -> Image.Image:
    """Return the picture with its main color replaced; outline, shading and other colors stay."""
    pixels = np.asarray(image, dtype=np.float32) / 255
    rgb, alpha = pixels[..., :3], pixels[..., 3]
    luminance = rgb @ np.array([0.299, 0.587, 0.114], dtype=np.float32)
    fill = (alpha > 0.5) & (luminance > _OUTLINE_LUMINANCE)
    if not fill.any():
        return image
    main = _main_color(rgb[fill], alpha[fill])
    hue, saturation = _hue_saturation(rgb)
    main_hue, main_saturation = (float(value) for value in _hue_saturation(main))
    if main_saturation < _MIN_SATURATION:
        chosen = fill & (saturation < _MIN_SATURATION)
    else:
        gap = np.abs(hue - main_hue)
        chosen = fill & (saturation >= _MIN_SATURATION) & (np.minimum(gap, 1 - gap) < _HUE_WIDTH)
    shade = luminance / float(main @ np.array([0.299, 0.587, 0.114]))
    wanted = np.array(target, dtype=np.float32) / 255
    darker = wanted * np.clip(shade, 0.0, 1.0)[..., None]
    lighter = wanted + (1 - wanted) * np.clip((shade - 1) * 0.6, 0.0, 0.5)[..., None]
    painted = np.where((shade > 1)[..., None], lighter, darker)
    # Pixels between fill and outline are darkened fill: blending by luminance keeps edges smooth.
    soft = (alpha > 0) & ~fill & (saturation > 0.3)
    out = np.where((chosen | (soft & _near_hue(hue, main_hue, main_saturation)))[..., None], painted, rgb)
    result = np.concatenate([out, alpha[..., None]], axis=-1)
    return Image.fromarray((result * 255 + 0.5).astype(np.uint8), "RGBA")


def _near_hue(hue: np.ndarray, main_hue: float, main_saturation: float) -> np.ndarray:
    gap = np.abs(hue - main_hue)
    near: np.ndarray = (np.minimum(gap, 1 - gap) < _HUE_WIDTH) & (main_saturation >= _MIN_SATURATION)
    return near
