"""Light, weather and camera: what visual features do to a finished picture."""

import random
from collections.abc import Callable
from functools import lru_cache

import numpy as np
from PIL import Image, ImageChops, ImageDraw, ImageEnhance, ImageFilter

from stablellava.backends.adapters.openmoji.colors import Rgb

Effect = Callable[[Image.Image, random.Random], Image.Image]


def _wash(image: Image.Image, color: Rgb, strength: float) -> Image.Image:
    """Multiply by a color, ``strength`` of the way."""
    return Image.blend(image, ImageChops.multiply(image, Image.new("RGB", image.size, color)), strength)


@lru_cache(maxsize=32)
def _radial(width: int, height: int, x: float, y: float, reach: float) -> Image.Image:
    """Return a mask that is 255 at (x, y) and falls to 0 at ``reach`` of the longer side."""
    ys, xs = np.mgrid[0:height, 0:width].astype(np.float32)
    distance = np.hypot((xs / width - x) * width, (ys / height - y) * height) / (reach * max(width, height))
    return Image.fromarray((np.clip(1 - distance, 0, 1) * 255).astype(np.uint8), "L")


@lru_cache(maxsize=32)
def _falling(width: int, height: int, power: float) -> Image.Image:
    """Return a mask that falls from 255 at the top to 0 at the bottom."""
    ramp = np.linspace(1, 0, height, dtype=np.float32)[:, None] ** power
    return Image.fromarray((np.repeat(ramp, width, axis=1) * 255).astype(np.uint8), "L")


def _glow(image: Image.Image, color: Rgb, mask: Image.Image, strength: float) -> Image.Image:
    layer = Image.new("RGB", image.size, color)
    return Image.composite(Image.blend(image, layer, strength), image, mask)


def light_sunset(image: Image.Image, rng: random.Random) -> Image.Image:
    """Color the sky orange around a low sun."""
    glowing = _glow(_wash(image, (255, 205, 160), 0.75), (255, 132, 60), _falling(*image.size, 1.2), 0.5)
    sun = _radial(*image.size, round(rng.uniform(0.15, 0.85), 1), 0.3, 0.3)
    return _glow(glowing, (255, 224, 150), sun, 0.6)


def light_sunrise(image: Image.Image, rng: random.Random) -> Image.Image:
    """Color the sky rose around a pale sun."""
    glowing = _glow(_wash(image, (255, 226, 214), 0.6), (255, 190, 170), _falling(*image.size, 1.2), 0.4)
    sun = _radial(*image.size, round(rng.uniform(0.15, 0.85), 1), 0.32, 0.3)
    return _glow(glowing, (255, 244, 196), sun, 0.65)


def light_night(image: Image.Image, rng: random.Random) -> Image.Image:
    """Darken to blue under a moon."""
    dark = ImageEnhance.Color(_wash(image, (92, 104, 168), 0.85)).enhance(0.8)
    moon = _radial(*image.size, round(rng.uniform(0.2, 0.8), 1), 0.1, 0.35)
    return _glow(dark, (205, 215, 250), moon, 0.3)


def veil_fog(image: Image.Image, rng: random.Random) -> Image.Image:
    """Whiten, most at the top."""
    veiled = _glow(image, (226, 230, 234), _falling(*image.size, 0.7), 0.62)
    return Image.blend(veiled, Image.new("RGB", image.size, (226, 230, 234)), 0.18)


def fall_rain(image: Image.Image, rng: random.Random) -> Image.Image:
    """Gray the colors and draw falling drops."""
    wet = ImageEnhance.Color(_wash(image, (176, 190, 206), 0.8)).enhance(0.75)
    draw = ImageDraw.Draw(wet)
    width, height = wet.size
    for _ in range(70):
        x, y = rng.uniform(-0.1, 1) * width, rng.uniform(-0.1, 1) * height
        draw.line((x, y, x + 0.015 * width, y + 0.06 * height), fill=(214, 226, 238), width=1)
    return wet


def fall_snow(image: Image.Image, rng: random.Random) -> Image.Image:
    """Cool the colors and draw flakes."""
    cold = _wash(image, (214, 226, 244), 0.6)
    draw = ImageDraw.Draw(cold)
    width, height = cold.size
    for _ in range(60):
        x, y, radius = rng.uniform(0, 1) * width, rng.uniform(0, 1) * height, rng.uniform(0.004, 0.011) * width
        draw.ellipse((x - radius, y - radius, x + radius, y + radius), fill=(255, 255, 255))
    return cold


def brew_storm(image: Image.Image, rng: random.Random) -> Image.Image:
    """Darken the sky, with rain and a bolt."""
    dark = fall_rain(_glow(image, (60, 66, 84), _falling(*image.size, 0.8), 0.7), rng)
    draw = ImageDraw.Draw(dark)
    width, height = dark.size
    x = rng.choice((0.12, 0.88)) * width
    points = [
        (x, 0.0),
        (x - 0.05 * width, 0.14 * height),
        (x + 0.02 * width, 0.14 * height),
        (x - 0.04 * width, 0.3 * height),
    ]
    draw.line(points, fill=(255, 250, 200), width=max(1, width // 80))
    return dark


def light_dramatic(image: Image.Image, rng: random.Random) -> Image.Image:
    """Leave light on the middle only."""
    mask = _radial(*image.size, 0.5, 0.55, 0.75)
    return Image.composite(ImageEnhance.Contrast(image).enhance(1.2), _wash(image, (70, 66, 92), 0.8), mask)


def light_soft(image: Image.Image, rng: random.Random) -> Image.Image:
    """Lower the contrast and brighten."""
    lit = ImageEnhance.Brightness(ImageEnhance.Contrast(image).enhance(0.88)).enhance(1.05)
    return _glow(lit, (255, 250, 236), _radial(*image.size, 0.3, 0.1, 0.9), 0.25)


def light_warm(image: Image.Image, rng: random.Random) -> Image.Image:
    """Shift towards yellow."""
    return _wash(image, (255, 226, 184), 0.75)


def light_cool(image: Image.Image, rng: random.Random) -> Image.Image:
    """Shift towards blue."""
    return _wash(image, (196, 220, 255), 0.75)


def light_bright(image: Image.Image, rng: random.Random) -> Image.Image:
    """Brighten, with sun from a corner."""
    lit = ImageEnhance.Brightness(image).enhance(1.08)
    return _glow(lit, (255, 250, 214), _radial(*image.size, 0.9, 0.0, 0.6), 0.45)


def show_vivid(image: Image.Image, rng: random.Random) -> Image.Image:
    """Strengthen the colors."""
    return ImageEnhance.Color(image).enhance(1.35)


def show_muted(image: Image.Image, rng: random.Random) -> Image.Image:
    """Weaken the colors."""
    return ImageEnhance.Color(image).enhance(0.6)


def show_contrast(image: Image.Image, rng: random.Random) -> Image.Image:
    """Strengthen the contrast."""
    return ImageEnhance.Contrast(image).enhance(1.3)


def light_back(image: Image.Image, rng: random.Random) -> Image.Image:
    """Glow from behind the middle."""
    darker = ImageEnhance.Brightness(image).enhance(0.82)
    return _glow(darker, (255, 246, 214), _radial(*image.size, 0.5, 0.2, 0.55), 0.55)


def darken_corners(image: Image.Image, rng: random.Random) -> Image.Image:
    """Darken the corners."""
    mask = _radial(*image.size, 0.5, 0.5, 0.85).point([min(255, 2 * value) for value in range(256)])
    return Image.composite(image, _wash(image, (40, 36, 40), 0.8), mask)


def add_grain(image: Image.Image, rng: random.Random) -> Image.Image:
    """Add seeded film grain."""
    noise = np.random.default_rng(rng.getrandbits(63)).normal(0, 12, (image.height, image.width, 1))
    return Image.fromarray(np.clip(np.asarray(image, np.float32) + noise, 0, 255).astype(np.uint8), "RGB")


def blur_backdrop(image: Image.Image) -> Image.Image:
    """Put the place out of focus."""
    return image.filter(ImageFilter.GaussianBlur(image.width / 60))


EFFECTS: dict[str, Effect] = {
    "sunset": light_sunset, "sunrise": light_sunrise, "night": light_night, "fog": veil_fog, "rain": fall_rain,
    "snowfall": fall_snow, "storm": brew_storm, "dramatic": light_dramatic, "soft": light_soft, "warm": light_warm,
    "cool": light_cool, "bright": light_bright, "vivid": show_vivid, "muted": show_muted, "contrast": show_contrast,
    "backlight": light_back, "vignette": darken_corners, "grain": add_grain,
}  # fmt: skip
"""Effects on the finished picture. "bokeh", "close" and "wide" act while it is composed."""
