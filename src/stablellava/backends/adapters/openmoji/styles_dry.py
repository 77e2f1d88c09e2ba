"""Styles of lines and tones: pencil, charcoal, chalk, prints in one ink, photographs."""

import random

import numpy as np
from PIL import Image, ImageChops, ImageEnhance, ImageFilter, ImageOps

from stablellava.backends.adapters.openmoji.colors import Rgb

Array = np.ndarray


def to_gray(image: Image.Image) -> Array:
    """Return luminance in [0, 1], [height, width]."""
    return np.asarray(image.convert("L"), dtype=np.float32) / 255


def from_gray(values: Array) -> Image.Image:
    """Return the grayscale picture of luminances."""
    return Image.fromarray((np.clip(values, 0, 1) * 255).astype(np.uint8), "L")


def find_edges(image: Image.Image, blur: float = 0.8) -> Array:
    """Return edge strength in [0, 1]: the dark outlines and the borders of colored areas."""
    gray = np.asarray(image.convert("L").filter(ImageFilter.GaussianBlur(blur)), dtype=np.float32) / 255
    across, down = np.zeros_like(gray), np.zeros_like(gray)
    across[:, 1:-1] = gray[:, 2:] - gray[:, :-2]
    down[1:-1] = gray[2:] - gray[:-2]
    strength: Array = np.clip(np.hypot(across, down) * 3, 0, 1)
    return strength


def make_noise(rng: random.Random, height: int, width: int) -> Array:
    """Return seeded noise in [0, 1], [height, width]."""
    noise: Array = np.random.default_rng(rng.getrandbits(63)).random((height, width), dtype=np.float32)
    return noise


def color_ramp(values: Array, dark: Rgb, light: Rgb) -> Image.Image:
    """Return the picture of luminances between two colors."""
    return ImageOps.colorize(from_gray(values), dark, light)


def _hatching(height: int, width: int, spacing: float) -> Array:
    """Return diagonal lines: 0 on a line, 1 between."""
    ys, xs = np.mgrid[0:height, 0:width].astype(np.float32)
    lines: Array = 0.5 + 0.5 * np.sin((xs + ys) * 2 * np.pi / spacing)
    return lines


def draw_pencil_sketch(image: Image.Image, rng: random.Random) -> Image.Image:
    """Draw gray lines and hatching on white paper."""
    gray, edges = to_gray(image), find_edges(image)
    grain = make_noise(rng, image.height, image.width)
    hatch = _hatching(image.height, image.width, image.width / 56)
    shade = 0.99 - 0.34 * (1 - gray) * (0.35 + 0.65 * hatch) - 0.05 * grain
    return color_ramp(shade - 0.85 * edges * (0.75 + 0.25 * grain), (52, 52, 58), (252, 251, 247))


def draw_charcoal(image: Image.Image, rng: random.Random) -> Image.Image:
    """Draw soft dark tones with grain."""
    gray = to_gray(image.filter(ImageFilter.GaussianBlur(image.width / 160)))
    grain = make_noise(rng, image.height, image.width)
    tone = np.clip(gray * 1.15 - 0.1, 0, 1) ** 1.3 * (0.78 + 0.22 * grain)
    return color_ramp(tone - 0.7 * find_edges(image, 1.6), (22, 22, 24), (226, 221, 212))


def draw_chalk(image: Image.Image, rng: random.Random) -> Image.Image:
    """Draw dusty outlines on a blackboard."""
    grain = make_noise(rng, image.height, image.width)
    edges = np.clip(find_edges(image, 1.0) * 1.3, 0, 1)[..., None] * (0.55 + 0.45 * grain[..., None])
    color = np.asarray(ImageEnhance.Color(image).enhance(0.9), dtype=np.float32)
    board = np.array([38, 62, 54], dtype=np.float32) + 10 * grain[..., None]
    dust = 0.26 * (grain[..., None] > 0.45)
    pixels = board * (1 - dust) + color * dust
    pixels = pixels * (1 - edges) + (0.35 * color + 160) * edges
    return Image.fromarray(np.clip(pixels, 0, 255).astype(np.uint8), "RGB")


def draw_line_art(image: Image.Image, rng: random.Random) -> Image.Image:
    """Draw black outlines alone."""
    return from_gray(1 - np.clip(find_edges(image, 0.7) * 2.2 - 0.25, 0, 1)).convert("RGB")


def draw_ink_wash(image: Image.Image, rng: random.Random) -> Image.Image:
    """Draw few tones of thinned ink."""
    soft = to_gray(image.filter(ImageFilter.MedianFilter(5)).filter(ImageFilter.GaussianBlur(image.width / 110)))
    paper = 0.04 * make_noise(rng, image.height, image.width)
    tone = 0.32 + 0.68 * np.round(soft * 5) / 5 - paper
    return color_ramp(tone - 0.5 * find_edges(image, 1.4), (20, 22, 28), (247, 243, 232))


def draw_woodcut(image: Image.Image, rng: random.Random) -> Image.Image:
    """Cut wavy lines that carry ink where it is dark."""
    gray = to_gray(image)
    ys, xs = np.mgrid[0 : image.height, 0 : image.width].astype(np.float32)
    phase = rng.uniform(0, 6)
    cuts = 0.5 + 0.5 * np.sin((ys + 3 * np.sin(xs / 21 + phase)) * 2 * np.pi / (image.height / 42))
    ink = (gray * 1.08 > cuts * 0.82 + 0.06) & (find_edges(image) < 0.5)
    return color_ramp(ink.astype(np.float32), (34, 26, 22), (240, 226, 196))


def draw_engraving(image: Image.Image, rng: random.Random) -> Image.Image:
    """Cross-hatch with fine lines."""
    gray = to_gray(image)
    first = _hatching(image.height, image.width, image.width / 64)
    second = _hatching(image.height, image.width, image.width / 64)[:, ::-1]
    ink = (gray > 0.9 * first * 0.9) & ((gray > 0.55) | (second < 0.4 + gray)) & (find_edges(image) < 0.45)
    return color_ramp(ink.astype(np.float32), (38, 44, 66), (246, 240, 226)).filter(ImageFilter.SMOOTH)


def tone_sepia(image: Image.Image, rng: random.Random) -> Image.Image:
    """Tone in browns with some grain."""
    noise = 0.05 * make_noise(rng, image.height, image.width)
    return color_ramp(to_gray(image) * 0.92 + noise, (52, 30, 14), (250, 232, 196))


def tone_monochrome(image: Image.Image, rng: random.Random) -> Image.Image:
    """Take the colors away and stretch the contrast."""
    gray = ImageOps.autocontrast(image.convert("L"), cutoff=1)
    noise = 0.05 * make_noise(rng, image.height, image.width) - 0.025
    return from_gray(np.asarray(gray, dtype=np.float32) / 255 + noise).convert("RGB")


def tone_negative(image: Image.Image, rng: random.Random) -> Image.Image:
    """Invert all colors."""
    return ImageChops.invert(image)


def tone_night_vision(image: Image.Image, rng: random.Random) -> Image.Image:
    """Show a noisy green screen."""
    values = to_gray(image) * 0.85 + 0.18 * make_noise(rng, image.height, image.width)
    values[:: max(2, image.height // 74)] *= 0.75
    return color_ramp(values, (4, 22, 8), (150, 255, 150))


def tone_thermal(image: Image.Image, rng: random.Random) -> Image.Image:
    """Show darkness as heat."""
    stops = [
        (0.0, (10, 8, 60)),
        (0.3, (120, 20, 140)),
        (0.55, (230, 60, 60)),
        (0.8, (252, 180, 40)),
        (1.0, (255, 255, 220)),
    ]
    heat = 1 - to_gray(image.filter(ImageFilter.GaussianBlur(image.width / 130)))
    places = [place for place, _ in stops]
    channels = [np.interp(heat, places, [color[index] for _, color in stops]) for index in range(3)]
    return Image.fromarray(np.stack(channels, axis=-1).astype(np.uint8), "RGB")


def draw_blueprint(image: Image.Image, rng: random.Random) -> Image.Image:
    """Draw white lines and a grid on blue."""
    width, height = image.size
    lines = np.clip(find_edges(image, 0.7) * 1.8 - 0.2, 0, 1)
    step = max(6, width // 16)
    grid = np.zeros((height, width), dtype=np.float32)
    grid[::step] = grid[:, ::step] = 0.16
    return color_ramp(np.maximum(lines, grid), (24, 66, 140), (240, 247, 255))


def draw_duotone(image: Image.Image, rng: random.Random) -> Image.Image:
    """Print in two inks."""
    dark, light = rng.choice(
        (((38, 42, 120), (255, 196, 92)), ((108, 20, 72), (168, 226, 206)), ((16, 74, 84), (255, 170, 148)))
    )
    return color_ramp(to_gray(image) ** 0.9, dark, light)


def draw_halftone(image: Image.Image, rng: random.Random) -> Image.Image:
    """Print in black dots of different size."""
    cell = max(4, image.width // 44)
    ys, xs = np.mgrid[0 : image.height, 0 : image.width].astype(np.float32)
    turned_x, turned_y = (xs + ys) * 0.7071, (ys - xs) * 0.7071
    dots = 0.5 + 0.25 * (np.cos(turned_x * 2 * np.pi / cell) + np.cos(turned_y * 2 * np.pi / cell))
    return color_ramp((to_gray(image) > 0.96 * dots).astype(np.float32), (24, 24, 28), (250, 247, 238))
