"""Styles of color: paints, prints in several inks, pieces and screens."""

import random

import numpy as np
from PIL import Image, ImageChops, ImageDraw, ImageEnhance, ImageFilter, ImageOps

from stablellava.backends.adapters.openmoji.styles_dry import Array, find_edges, make_noise


def _pixels(image: Image.Image) -> Array:
    return np.asarray(image, dtype=np.float32)


def _picture(pixels: Array) -> Image.Image:
    return Image.fromarray(np.clip(pixels, 0, 255).astype(np.uint8), "RGB")


def _smooth_noise(rng: random.Random, image: Image.Image, cells: int) -> Array:
    """Return slowly changing noise in [-1, 1], [height, width, 1]."""
    coarse = Image.fromarray((make_noise(rng, cells, cells) * 255).astype(np.uint8), "L")
    fine = np.asarray(coarse.resize(image.size, Image.Resampling.BICUBIC), dtype=np.float32)
    return (fine / 127.5 - 1)[..., None]


def _wobble(image: Image.Image, rng: random.Random, reach: float, cells: int) -> Image.Image:
    """Move pixels by up to ``reach`` (a share of the width), as an unsteady hand does."""
    height, width = image.height, image.width
    ys, xs = np.mgrid[0:height, 0:width]
    shift_x = _smooth_noise(rng, image, cells)[..., 0] * reach * width
    shift_y = _smooth_noise(rng, image, cells)[..., 0] * reach * width
    rows = np.clip(ys + shift_y, 0, height - 1).astype(np.intp)
    columns = np.clip(xs + shift_x, 0, width - 1).astype(np.intp)
    return Image.fromarray(np.asarray(image)[rows, columns], "RGB")


def paint_watercolor(image: Image.Image, rng: random.Random) -> Image.Image:
    """Paint pale and uneven, with darker rims."""
    soft = _wobble(image, rng, 0.012, 24).filter(ImageFilter.MedianFilter(5)).filter(ImageFilter.SMOOTH_MORE)
    pale = _pixels(ImageEnhance.Color(soft).enhance(0.9)) * 0.72 + 78
    blots = 1 + 0.1 * _smooth_noise(rng, image, 7) + 0.05 * _smooth_noise(rng, image, 40)
    rim = 1 - 0.28 * find_edges(soft, 1.5)[..., None]
    return _picture(pale * blots * rim)


def paint_oil(image: Image.Image, rng: random.Random) -> Image.Image:
    """Paint in thick strokes with relief."""
    thick = _wobble(image, rng, 0.014, 56).filter(ImageFilter.ModeFilter(5))
    relief = thick.convert("L").filter(ImageFilter.EMBOSS)
    strokes = _smooth_noise(rng, image, 64) * 16
    pixels = _pixels(ImageEnhance.Color(thick).enhance(1.25)) + strokes
    return _picture(pixels + (_pixels(relief)[..., None] - 128) * 0.35)


def _dabs(image: Image.Image, rng: random.Random, number: int, size: float, stretch: float) -> Image.Image:
    """Return the picture rebuilt from dabs of its own, slightly changed colors."""
    canvas = image.filter(ImageFilter.GaussianBlur(image.width / 50))
    draw = ImageDraw.Draw(canvas)
    pixels = np.asarray(image)
    generator = np.random.default_rng(rng.getrandbits(63))
    places = generator.random((number, 2))
    changes = generator.integers(-26, 27, (number, 3))
    radius = size * image.width
    for (x_share, y_share), change in zip(places, changes, strict=True):
        x, y = x_share * (image.width - 1), y_share * (image.height - 1)
        color = np.clip(pixels[int(y), int(x)] + change, 0, 255)
        fill = (int(color[0]), int(color[1]), int(color[2]))
        draw.ellipse((x - radius * stretch, y - radius, x + radius * stretch, y + radius), fill=fill)
    return canvas


def paint_impressionism(image: Image.Image, rng: random.Random) -> Image.Image:
    """Paint in short wide dabs."""
    return _dabs(ImageEnhance.Color(image).enhance(1.2), rng, 4200, 0.0085, 2.1)


def paint_pointillism(image: Image.Image, rng: random.Random) -> Image.Image:
    """Paint in round dots."""
    return _dabs(ImageEnhance.Color(image).enhance(1.3), rng, 5000, 0.0085, 1.0)


def paint_cubism(image: Image.Image, rng: random.Random) -> Image.Image:
    """Turn and shade overlapping fragments."""
    canvas = ImageOps.posterize(image, 4)
    for _ in range(16):
        angle, x, y = rng.uniform(-25, 25), rng.uniform(0, 1), rng.uniform(0, 1)
        size = rng.uniform(0.18, 0.34) * image.width
        turned = canvas.rotate(angle, Image.Resampling.BILINEAR, center=(x * image.width, y * image.height))
        shaded = ImageEnhance.Brightness(turned).enhance(rng.uniform(0.78, 1.22))
        mask = Image.new("L", image.size, 0)
        points = [
            (x * image.width + rng.uniform(-1, 1) * size, y * image.height + rng.uniform(-1, 1) * size)
            for _ in range(4)
        ]
        ImageDraw.Draw(mask).polygon(points, fill=205)
        canvas = Image.composite(shaded, canvas, mask)
    return ImageChops.multiply(canvas, Image.new("RGB", image.size, (250, 232, 204)))


def draw_pastel(image: Image.Image, rng: random.Random) -> Image.Image:
    """Draw light grainy colors."""
    soft = _pixels(image.filter(ImageFilter.GaussianBlur(image.width / 180)))
    grain = make_noise(rng, image.height, image.width)[..., None]
    light = soft * 0.55 + np.array([118, 112, 112], dtype=np.float32)
    return _picture(light + (grain - 0.5) * 34)


def draw_crayon(image: Image.Image, rng: random.Random) -> Image.Image:
    """Draw strong waxy strokes with an unsteady hand."""
    shaky = _wobble(image, rng, 0.016, 14)
    ys, xs = np.mgrid[0 : image.height, 0 : image.width].astype(np.float32)
    strokes = 0.5 + 0.5 * np.sin((xs * 0.8 + ys + 8 * _smooth_noise(rng, image, 12)[..., 0]) * 60 / image.width * 3.1)
    wax = (strokes * 0.6 + 0.6 * make_noise(rng, image.height, image.width))[..., None] > 0.36
    color = _pixels(ImageEnhance.Color(ImageOps.posterize(shaky, 3)).enhance(1.6))
    return _picture(np.where(wax, color * 0.86 + 30, 250.0))


def _ink(image: Image.Image, strength: float = 1.0) -> Array:
    return 1 - np.clip(find_edges(image, 0.6) * strength, 0, 1)[..., None]


def print_comic(image: Image.Image, rng: random.Random) -> Image.Image:
    """Print flat colors, dots, ink and a frame."""
    flat = ImageEnhance.Color(ImageOps.posterize(image.filter(ImageFilter.ModeFilter(3)), 3)).enhance(1.7)
    cell = max(4, image.width // 52)
    ys, xs = np.mgrid[0 : image.height, 0 : image.width]
    dots = (np.hypot(xs % cell - cell / 2, ys % cell - cell / 2) < 0.3 * cell)[..., None]
    pixels = np.where(
        dots & (_pixels(flat).mean(axis=-1, keepdims=True) < 215), _pixels(flat) * 0.8, _pixels(flat) + 12
    )
    framed = _picture(pixels * _ink(image, 1.2))
    return ImageOps.expand(framed.crop((4, 4, image.width - 4, image.height - 4)), 4, (16, 16, 18))


def print_pop_art(image: Image.Image, rng: random.Random) -> Image.Image:
    """Repeat the picture four times in loud colors."""
    palettes = [((36, 28, 92), (255, 62, 142), (255, 226, 58)), ((16, 70, 92), (255, 120, 44), (120, 236, 224)),
                ((74, 16, 86), (62, 190, 84), (255, 176, 214)),
                ((112, 22, 40), (60, 130, 246), (250, 240, 92))]  # fmt: skip
    rng.shuffle(palettes)
    half = image.resize((image.width // 2, image.height // 2), Image.Resampling.BOX)
    gray = half.convert("L")
    canvas = Image.new("RGB", image.size)
    for index, (dark, middle, light) in enumerate(palettes):
        tile = ImageOps.colorize(ImageOps.posterize(gray, 3), dark, light, mid=middle)
        canvas.paste(tile.resize((image.width - image.width // 2, image.height - image.height // 2)),
                     ((index % 2) * (image.width // 2), (index // 2) * (image.height // 2)))  # fmt: skip
    return canvas


def print_poster(image: Image.Image, rng: random.Random) -> Image.Image:
    """Print few flat colors with a paper margin."""
    flat = ImageOps.posterize(image.filter(ImageFilter.ModeFilter(7)), 2)
    warm = ImageChops.multiply(
        ImageEnhance.Brightness(flat).enhance(1.3), Image.new("RGB", image.size, (255, 236, 204))
    )
    edge = max(6, image.width // 22)
    inner = warm.crop((edge, edge, image.width - edge, image.height - edge))
    return ImageOps.expand(inner, edge, (248, 240, 220))


def _tiles(image: Image.Image, number: int) -> tuple[Image.Image, int]:
    cell = max(3, image.width // number)
    small = image.resize((max(1, image.width // cell), max(1, image.height // cell)), Image.Resampling.BOX)
    return small.resize(image.size, Image.Resampling.NEAREST), cell


def lay_mosaic(image: Image.Image, rng: random.Random) -> Image.Image:
    """Lay square tiles with grout between."""
    tiles, cell = _tiles(ImageEnhance.Color(image).enhance(1.3), 38)
    ys, xs = np.mgrid[0 : image.height, 0 : image.width]
    columns, rows = xs * (image.width // cell) // image.width, ys * (image.height // cell) // image.height
    step_x, step_y = image.width / (image.width // cell), image.height / (image.height // cell)
    grout = ((xs - columns * step_x) < 1) | ((ys - rows * step_y) < 1)
    change = make_noise(rng, image.height, image.width)[rows, columns][..., None] * 50 - 25
    return _picture(np.where(grout[..., None], 214.0, _pixels(tiles) + change))


def draw_pixel_art(image: Image.Image, rng: random.Random) -> Image.Image:
    """Draw in few large pixels."""
    small = image.resize((48, max(1, 48 * image.height // image.width)), Image.Resampling.BOX)
    crisp = ImageEnhance.Color(ImageEnhance.Contrast(small).enhance(1.2)).enhance(1.3)
    return ImageOps.posterize(crisp, 3).resize(image.size, Image.Resampling.NEAREST)


def sew_cross_stitch(image: Image.Image, rng: random.Random) -> Image.Image:
    """Sew a cross of thread per tile."""
    tiles, cell = _tiles(ImageEnhance.Color(image).enhance(1.25), 46)
    ys, xs = np.mgrid[0 : image.height, 0 : image.width].astype(np.float32)
    step = image.width / (image.width // cell)
    u, v = xs % step / step, ys % step / step
    thread = np.minimum(np.abs(u - v), np.abs(u + v - 1)) < 0.24
    sheen = (1.12 - 0.5 * np.minimum(np.abs(u - v), np.abs(u + v - 1)))[..., None]
    return _picture(np.where(thread[..., None], _pixels(tiles) * sheen, 236.0))


def _cells(image: Image.Image, rng: random.Random, number: int) -> Array:
    """Return for every pixel the index of the nearest of seeded points, [height, width]."""
    scale = 2
    height, width = -(-image.height // scale), -(-image.width // scale)
    points = np.random.default_rng(rng.getrandbits(63)).random((number, 2), dtype=np.float32)
    ys, xs = np.mgrid[0:height, 0:width].astype(np.float32)
    best = np.full((height, width), np.inf, dtype=np.float32)
    owner = np.zeros((height, width), dtype=np.int32)
    for index, (x, y) in enumerate(points):
        distance = (xs - x * width) ** 2 + (ys - y * height) ** 2
        closer = distance < best
        best[closer] = distance[closer]
        owner[closer] = index
    full: Array = np.repeat(np.repeat(owner, scale, axis=0), scale, axis=1)[: image.height, : image.width]
    return full


def _fill_cells(image: Image.Image, owner: Array) -> Array:
    """Return every cell in its mean color, [height, width, 3]."""
    pixels, flat = _pixels(image).reshape(-1, 3), owner.ravel()
    counts = np.maximum(np.bincount(flat), 1)
    means = np.stack([np.bincount(flat, weights=pixels[:, channel]) / counts for channel in range(3)], axis=-1)
    filled: Array = means[owner].astype(np.float32)
    return filled


def set_stained_glass(image: Image.Image, rng: random.Random) -> Image.Image:
    """Set colored glass in lead."""
    owner = _cells(image, rng, 260)
    glass = _fill_cells(ImageEnhance.Color(image).enhance(1.8), owner)
    lead = np.zeros(owner.shape, dtype=bool)
    lead[:, 1:] |= owner[:, 1:] != owner[:, :-1]
    lead[1:] |= owner[1:] != owner[:-1]
    wide = np.asarray(Image.fromarray(lead).convert("L").filter(ImageFilter.MaxFilter(3))) > 0
    return _picture(np.where(wide[..., None], 24.0, glass * 1.12))


def draw_low_poly(image: Image.Image, rng: random.Random) -> Image.Image:
    """Draw flat-colored cells."""
    owner = _cells(image, rng, 420)
    shade = make_noise(rng, 1, 420)[0][owner][..., None] * 24 - 12
    return _picture(_fill_cells(ImageEnhance.Color(image).enhance(1.25), owner) + shade)


def cut_paper(image: Image.Image, rng: random.Random) -> Image.Image:
    """Cut flat shapes of fibrous paper."""
    flat = ImageOps.posterize(image.filter(ImageFilter.ModeFilter(7)), 3)
    relief = (
        _pixels(flat.convert("L").filter(ImageFilter.GaussianBlur(1.5)).filter(ImageFilter.EMBOSS))[..., None] - 128
    )
    fiber = (make_noise(rng, image.height, image.width)[..., None] - 0.5) * 14
    return _picture(_pixels(flat) * 0.9 + 26 + relief * 0.9 + fiber)


def dye_batik(image: Image.Image, rng: random.Random) -> Image.Image:
    """Dye uneven cloth with veins of wax."""
    soft = _wobble(ImageEnhance.Color(image).enhance(1.7), rng, 0.02, 18)
    vein = np.abs(_smooth_noise(rng, image, 26)) < 0.06
    cloth = 1 + 0.12 * _smooth_noise(rng, image, 9)
    dyed = _pixels(soft) * cloth * np.array([0.82, 0.72, 0.92], dtype=np.float32) + 20
    return _picture(np.where(vein, 236.0, dyed))


def glow_neon(image: Image.Image, rng: random.Random) -> Image.Image:
    """Glow along the outlines in the dark."""
    edges = np.clip(find_edges(image, 0.8) * 1.6 - 0.15, 0, 1)[..., None]
    hue = _pixels(ImageEnhance.Color(image.filter(ImageFilter.MaxFilter(5))).enhance(3.0))
    tube = _picture(edges * (0.55 * hue + np.array(rng.choice(((120, 40, 150), (20, 110, 150), (150, 40, 90))))))
    halo = tube.filter(ImageFilter.GaussianBlur(image.width / 45))
    dark = Image.new("RGB", image.size, (14, 10, 28))
    return ImageChops.screen(ImageChops.screen(dark, ImageEnhance.Brightness(halo).enhance(1.8)), tube)


def glitch(image: Image.Image, rng: random.Random) -> Image.Image:
    """Shift color channels and rows."""
    pixels = np.asarray(image).copy()
    shift = max(3, image.width // 36)
    pixels[..., 0] = np.roll(pixels[..., 0], shift, axis=1)
    pixels[..., 2] = np.roll(pixels[..., 2], -shift, axis=1)
    for _ in range(11):
        top = rng.randrange(image.height)
        rows = slice(top, top + rng.randint(2, max(3, image.height // 18)))
        pixels[rows] = np.roll(pixels[rows], rng.randint(-image.width // 6, image.width // 6), axis=1)
    pixels[::4] = (pixels[::4] * 0.72).astype(np.uint8)
    return Image.fromarray(pixels, "RGB")
