"""A drawing surface for backdrops, addressed in shares of its width and height."""

import random
from collections.abc import Sequence

import numpy as np
from PIL import Image, ImageDraw

from stablellava.backends.adapters.openmoji.colors import Rgb, darken, lighten, mix, parse_color

_SUPERSAMPLING = 2
_LARGE_PX = 700
"""From this side on edges are smooth enough without supersampling."""


class Canvas:
    """Vector-like drawing with seeded variation; (0, 0) is the top left, (1, 1) the bottom right."""

    def __init__(self, width_px: int, height_px: int, rng: random.Random) -> None:
        factor = 1 if max(width_px, height_px) >= _LARGE_PX else _SUPERSAMPLING
        self.size_px = (width_px, height_px)
        self.width, self.height = width_px * factor, height_px * factor
        self.image = Image.new("RGB", (self.width, self.height), (214, 230, 200))
        self.draw = ImageDraw.Draw(self.image)
        self.rng = rng

    def finish(self) -> Image.Image:
        if self.image.size == self.size_px:
            return self.image
        return self.image.resize(self.size_px, Image.Resampling.BOX)

    def vary(self, low: float, high: float) -> float:
        return self.rng.uniform(low, high)

    def tint(self, color: str, spread: float = 0.08) -> Rgb:
        """Return the color, a little lighter or darker."""
        rgb = parse_color(color)
        amount = self.rng.uniform(-spread, spread)
        return lighten(rgb, amount) if amount > 0 else darken(rgb, -amount)

    def _box(self, left: float, top: float, right: float, bottom: float) -> tuple[float, float, float, float]:
        return (left * self.width, top * self.height, right * self.width, bottom * self.height)

    def gradient(self, top: float, bottom: float, upper: Rgb, lower: Rgb) -> None:
        """Fill the full width between two heights with a vertical gradient."""
        start, stop = round(top * self.height), round(bottom * self.height)
        rows = max(1, stop - start)
        share = np.linspace(0, 1, rows, dtype=np.float32)[:, None]
        ramp = np.array(upper, np.float32) * (1 - share) + np.array(lower, np.float32) * share
        column = Image.fromarray((ramp + 0.5).astype(np.uint8)[:, None, :], "RGB")
        self.image.paste(column.resize((self.width, rows), Image.Resampling.NEAREST), (0, start))

    def rect(self, left: float, top: float, right: float, bottom: float, color: Rgb, radius: float = 0) -> None:
        if radius:
            self.draw.rounded_rectangle(self._box(left, top, right, bottom), radius * self.width, fill=color)
        else:
            self.draw.rectangle(self._box(left, top, right, bottom), fill=color)

    def oval(self, x: float, y: float, radius_x: float, radius_y: float, color: Rgb) -> None:
        self.draw.ellipse(self._box(x - radius_x, y - radius_y, x + radius_x, y + radius_y), fill=color)

    def disc(self, x: float, y: float, radius: float, color: Rgb) -> None:
        """Fill a true circle; the radius is a share of the width."""
        self.oval(x, y, radius, radius * self.width / self.height, color)

    def poly(self, points: Sequence[tuple[float, float]], color: Rgb) -> None:
        self.draw.polygon([(x * self.width, y * self.height) for x, y in points], fill=color)

    def line(self, points: Sequence[tuple[float, float]], color: Rgb, width: float) -> None:
        scaled = [(x * self.width, y * self.height) for x, y in points]
        self.draw.line(scaled, fill=color, width=max(1, round(width * self.width)), joint="curve")

    def hills(self, base: float, height: float, color: Rgb, waves: float = 1.5, bottom: float = 1.0) -> None:
        """Fill from a rolling line down."""
        phase, second = self.vary(0, 6.28), self.vary(0, 6.28)
        xs = np.linspace(0, 1, 40)
        ys = base - height * (0.5 + 0.35 * np.sin(waves * 6.28 * xs + phase) + 0.15 * np.sin(17 * xs + second))
        outline = list(zip(xs.tolist(), ys.tolist(), strict=True))
        self.poly([(0, bottom), *outline, (1, bottom)], color)

    def cloud(self, x: float, y: float, size: float, color: Rgb) -> None:
        for shift, lift, part in ((-0.9, 0.0, 0.55), (-0.3, -0.35, 0.75), (0.4, -0.2, 0.7), (1.0, 0.05, 0.5)):
            self.disc(x + shift * size, y + lift * size, part * size, color)
        self.rect(x - 1.1 * size, y, x + 1.2 * size, y + 0.5 * size, color, radius=0.25 * size)

    def clouds(self, number: int, top: float = 0.08, bottom: float = 0.25, color: Rgb = (255, 255, 255)) -> None:
        for _ in range(number):
            self.cloud(self.vary(0.05, 0.95), self.vary(top, bottom), self.vary(0.035, 0.07), color)

    def sky(self, horizon: float, upper: str = "#7fc4f0", lower: str = "#dff1fb") -> None:
        low = self.tint(lower, 0.05)
        self.gradient(0, horizon, self.tint(upper, 0.12), low)
        self.rect(0, horizon, 1, 1, low)

    def round_tree(self, x: float, foot: float, size: float, color: Rgb) -> None:
        self.rect(x - 0.06 * size, foot - 0.45 * size, x + 0.06 * size, foot, mix(color, (90, 60, 30), 0.8))
        for shift, lift, part in ((-0.22, 0.62, 0.27), (0.22, 0.62, 0.27), (0, 0.85, 0.3)):
            self.disc(x + shift * size, foot - lift * size, part * size, color)
        self.disc(x - 0.06 * size, foot - 0.9 * size, 0.16 * size, lighten(color, 0.15))

    def fir(self, x: float, foot: float, size: float, color: Rgb) -> None:
        self.rect(x - 0.05 * size, foot - 0.2 * size, x + 0.05 * size, foot, (96, 66, 40))
        for level in range(3):
            low = foot - (0.15 + 0.27 * level) * size
            half = (0.34 - 0.08 * level) * size
            shade = lighten(color, 0.05 * level)
            self.poly([(x - half, low), (x + half, low), (x, low - 0.42 * size)], shade)

    def palm(self, x: float, foot: float, size: float) -> None:
        lean = self.vary(-0.2, 0.2) * size
        trunk = [(x, foot), (x + 0.4 * lean, foot - 0.5 * size), (x + lean, foot - size)]
        self.line(trunk, (139, 105, 66), 0.06 * size)
        green = self.tint("#4f9a3c")
        for dx, dy in ((-0.5, -0.05), (-0.35, 0.22), (0.5, -0.05), (0.35, 0.22), (-0.25, -0.25), (0.28, -0.25)):
            tip = (x + lean + dx * size, foot - size + dy * size)
            middle = (x + lean + 0.5 * dx * size, foot - size + (dy - 0.22) * 0.6 * size)
            self.line([(x + lean, foot - size), middle, tip], green, 0.07 * size)

    def grass(self, number: int, top: float, color: Rgb) -> None:
        for _ in range(number):
            x, y = self.vary(0, 1), self.vary(top, 1)
            size = 0.012 + 0.02 * (y - top)
            self.line([(x - size * 0.5, y - size), (x, y), (x + size * 0.6, y - 1.1 * size)], color, 0.005)

    def waves(self, number: int, top: float, bottom: float, color: Rgb) -> None:
        for _ in range(number):
            y = self.vary(top, bottom)
            x, half = self.vary(0, 1), 0.02 + 0.06 * (y - top) / max(bottom - top, 0.01)
            self.line([(x - half, y), (x - half / 2, y - 0.008), (x, y), (x + half / 2, y - 0.008), (x + half, y)],
                      color, 0.006)  # fmt: skip

    def stars(self, number: int, bottom: float = 1.0) -> None:
        for _ in range(number):
            self.disc(self.vary(0, 1), self.vary(0, bottom), self.vary(0.0015, 0.005), self.tint("#fff7dc"))
