"""Things that the font lacks, drawn from short shape lists in its manner: flat fills, black outline.

A shape is one line: kind, fill, then numbers on the 72 x 72 design grid. Kinds: ``rect`` and ``oval``
(left top right bottom), ``round`` (the same and a radius), ``poly`` and ``line`` (points), ``arc``
(left top right bottom, start and end in degrees), ``tube`` (a width, then points: a thick outlined line).
A kind ending in ``!`` has no outline. The fill "none" leaves only the outline. ``glyph`` takes a glyph's
codes instead of a fill, then the middle and the side of its square (and degrees to turn it).
"""

from dataclasses import dataclass, replace
from functools import lru_cache

from PIL import Image, ImageDraw

from stablellava.backends.adapters.openmoji.colors import Rgb, parse_color
from stablellava.backends.adapters.openmoji.datafiles import load_data
from stablellava.backends.adapters.openmoji.font import render_glyph

GRID = 72.0
OUTLINE_WIDTH = 2.2
_SUPERSAMPLING = 3

PALETTE = {
    "white": "#ffffff", "lightgray": "#d0cfce", "gray": "#9b9b9a", "darkgray": "#3f3f3f", "black": "#000000",
    "red": "#ea5a47", "darkred": "#d22f27", "orange": "#f1b31c", "darkorange": "#e27022", "yellow": "#fcea2b",
    "lightgreen": "#b1cc33", "green": "#5c9e31", "darkgreen": "#186648", "lightblue": "#92d3f5", "blue": "#61b2e4",
    "navy": "#1e50a0", "purple": "#8967aa", "lilac": "#b399c8", "pink": "#ffa7c0", "rose": "#e67a94",
    "brown": "#a57939", "darkbrown": "#6a462f", "beige": "#e8cfa5", "cream": "#fff3d6", "skin": "#fadcbc",
}  # fmt: skip


@dataclass(frozen=True)
class Shape:
    """One shape of a sketch, on the design grid."""

    kind: str
    fill: Rgb | None
    outlined: bool
    numbers: tuple[float, ...]
    codes: str = ""

    def filled(self, color: Rgb) -> "Shape":
        return replace(self, fill=color)

    def lowered(self, units: float) -> "Shape":
        """Return the shape moved down. Only for kinds whose numbers are points or boxes, or a tube."""
        first = 1 if self.kind == "tube" else 0
        points = 4 if self.kind in ("round", "arc") else len(self.numbers)
        moved = (
            number + units if first <= index < points and (index - first) % 2 else number
            for index, number in enumerate(self.numbers)
        )
        return replace(self, numbers=tuple(moved))


def parse_shape(line: str) -> Shape:
    """Return the shape that one line of a sketch describes."""
    kind, fill, *words = line.split()
    numbers = tuple(float(word) for word in words)
    if kind == "glyph":
        return Shape(kind, None, False, numbers, fill)
    color = None if fill == "none" else parse_color(PALETTE[fill])
    return Shape(kind.rstrip("!"), color, not kind.endswith("!"), numbers)


@lru_cache(maxsize=1)
def _sketches() -> dict[str, tuple[Shape, ...]]:
    return {str(name): tuple(parse_shape(line) for line in lines) for name, lines in load_data("sketches").items()}


def has_sketch(name: str) -> bool:
    """Tell whether a sketch of that name exists."""
    return name in _sketches()


def render_sketch(name: str, size_px: int) -> Image.Image:
    """Return the sketch in a square of ``size_px``, RGBA."""
    large = size_px * _SUPERSAMPLING
    canvas = Image.new("RGBA", (large, large), (0, 0, 0, 0))
    draw = ImageDraw.Draw(canvas)
    for shape in _sketches()[name]:
        if shape.kind == "glyph":
            _paste_glyph(canvas, shape, large / GRID)
        else:
            draw_shape(draw, shape, large / GRID)
    return canvas.resize((size_px, size_px), Image.Resampling.BOX)


def _paste_glyph(canvas: Image.Image, shape: Shape, scale: float) -> None:
    middle_x, middle_y, side, *turn = shape.numbers
    glyph = render_glyph(shape.codes, round(side * scale))
    if turn:
        glyph = glyph.rotate(turn[0], Image.Resampling.BICUBIC)
    corner = (round((middle_x - side / 2) * scale), round((middle_y - side / 2) * scale))
    layer = Image.new("RGBA", canvas.size, (0, 0, 0, 0))
    layer.paste(glyph, corner)
    canvas.alpha_composite(layer)


def draw_shape(draw: ImageDraw.ImageDraw, shape: Shape, scale: float) -> None:
    """Draw a shape of the design grid at ``scale`` pixels a unit."""
    width = max(1, round(OUTLINE_WIDTH * scale)) if shape.outlined else 0
    line = (0, 0, 0) if shape.outlined else None
    numbers = [number * scale for number in shape.numbers]
    box = (numbers[0], numbers[1], numbers[2], numbers[3])
    if shape.kind == "rect":
        draw.rectangle(box, fill=shape.fill, outline=line, width=width)
    elif shape.kind == "round":
        draw.rounded_rectangle(box, radius=numbers[4], fill=shape.fill, outline=line, width=width)
    elif shape.kind == "oval":
        draw.ellipse(box, fill=shape.fill, outline=line, width=width)
    elif shape.kind == "arc":
        draw.arc(box, shape.numbers[4], shape.numbers[5], fill=shape.fill or line, width=round(OUTLINE_WIDTH * scale))
    elif shape.kind == "poly":
        _draw_polygon(draw, numbers, shape.fill, width)
    elif shape.kind == "tube":
        draw_tube(draw, numbers[1:], shape.fill or (0, 0, 0), numbers[0], width)
    else:
        draw_stroke(draw, numbers, shape.fill or (0, 0, 0), OUTLINE_WIDTH * scale)


def _draw_polygon(draw: ImageDraw.ImageDraw, numbers: list[float], fill: Rgb | None, width: int) -> None:
    points = list(zip(numbers[::2], numbers[1::2], strict=True))
    if fill is not None:
        draw.polygon(points, fill=fill)
    if width:
        draw_stroke(draw, [*numbers, *numbers[:2]], (0, 0, 0), width)


def draw_stroke(draw: ImageDraw.ImageDraw, numbers: list[float], color: Rgb, width: float) -> None:
    """Draw a line through x y x y ... with round joints and ends."""
    points = list(zip(numbers[::2], numbers[1::2], strict=True))
    draw.line(points, fill=color, width=round(width))
    radius = width / 2
    for x, y in points:
        draw.ellipse((x - radius, y - radius, x + radius, y + radius), fill=color)


def draw_tube(draw: ImageDraw.ImageDraw, numbers: list[float], color: Rgb, width: float, outline: float) -> None:
    """Draw a thick line with an outline: a limb, a pipe, a branch."""
    draw_stroke(draw, numbers, (0, 0, 0), width + 2 * outline)
    draw_stroke(draw, numbers, color, width)
