"""Cut-out pictures and how two of them are put together for a relation."""

from dataclasses import dataclass, replace

from PIL import Image

Point = tuple[float, float]


@dataclass(frozen=True)
class Sprite:
    """A cut-out picture with the points where other things are attached, as shares of its size."""

    image: Image.Image
    head: tuple[float, float, float] = (0.5, 0.06, 0.5)
    """Middle of the top of the head (x, y) and the head's width."""
    face: Point = (0.5, 0.25)
    hand: Point = (0.85, 0.6)
    flies: bool = False
    swims: bool = False

    @property
    def width(self) -> int:
        return self.image.width

    @property
    def height(self) -> int:
        return self.image.height


def resize_to(sprite: Sprite, width: float, height: float) -> Sprite:
    """Return the sprite scaled to fit into the given pixels."""
    factor = min(width / sprite.width, height / sprite.height)
    size = (max(1, round(sprite.width * factor)), max(1, round(sprite.height * factor)))
    if size == sprite.image.size:
        return sprite
    return replace(sprite, image=sprite.image.resize(size, Image.Resampling.BILINEAR, reducing_gap=2.0))


def flip(sprite: Sprite) -> Sprite:
    """Return the mirror image."""
    head_x, head_y, head_width = sprite.head
    return replace(
        sprite,
        image=sprite.image.transpose(Image.Transpose.FLIP_LEFT_RIGHT),
        head=(1 - head_x, head_y, head_width),
        face=(1 - sprite.face[0], sprite.face[1]),
        hand=(1 - sprite.hand[0], sprite.hand[1]),
    )


def _stack(base: Sprite, parts: list[tuple[Image.Image, float, float]]) -> Sprite:
    """Return pictures pasted in order at their (left, top) pixels; points stay those of ``base``, the part it is."""
    left = min(x for _, x, _ in parts)
    top = min(y for _, _, y in parts)
    right = max(x + image.width for image, x, _ in parts)
    bottom = max(y + image.height for image, _, y in parts)
    size = (round(right - left) + 1, round(bottom - top) + 1)
    canvas = Image.new("RGBA", size, (0, 0, 0, 0))
    origin: Point = (0, 0)
    for image, x, y in parts:
        corner = (max(0, round(x - left)), max(0, round(y - top)))
        canvas.alpha_composite(image, corner)
        if image is base.image:
            origin = corner

    def moved(point: Point) -> Point:
        return ((origin[0] + point[0] * base.width) / size[0], (origin[1] + point[1] * base.height) / size[1])

    head = (*moved(base.head[:2]), base.head[2] * base.width / size[0])
    return replace(base, image=canvas, head=head, face=moved(base.face), hand=moved(base.hand))


def put_on(upper: Sprite, lower: Sprite, overlap: float) -> Sprite:
    """Return ``upper`` standing on ``lower``; ``overlap`` is the share of the lower one that it sinks into."""
    low = resize_to(lower, 1.35 * max(upper.width, upper.height), 0.75 * upper.height)
    x = (low.width - upper.width) / 2
    return _stack(upper, [(low.image, 0, upper.height - overlap * low.height), (upper.image, x, 0)])


def put_in(inner: Sprite, outer: Sprite, manner: str) -> Sprite:
    """Return ``inner`` in ``outer``: "behind" its front edge, "inside" its bars, or "among" its branches."""
    if manner == "inside":
        cage = resize_to(outer, 1.9 * inner.width, 1.9 * inner.height)
        small = resize_to(inner, 0.62 * cage.width, 0.5 * cage.height)
        x, y = (cage.width - small.width) / 2, 0.62 * cage.height - small.height / 2
        return _stack(small, [(small.image, x, y), (cage.image, 0, 0)])
    if manner == "among":
        tree = resize_to(outer, 2.2 * inner.width, 1.9 * inner.height)
        small = resize_to(inner, 0.6 * tree.width, 0.42 * tree.height)
        return _stack(small, [(tree.image, 0, 0), (small.image, (tree.width - small.width) / 2, 0.12 * tree.height)])
    front = resize_to(outer, 1.5 * max(inner.width, 0.7 * inner.height), 0.8 * inner.height)
    x = (front.width - inner.width) / 2
    return _stack(inner, [(inner.image, x, 0), (front.image, 0, inner.height - 0.7 * front.height)])


def put_under(lower: Sprite, upper: Sprite) -> Sprite:
    """Return ``lower`` in the shelter of a taller ``upper``."""
    tall = resize_to(upper, 2.4 * lower.width, 1.7 * lower.height)
    small = resize_to(lower, 0.62 * tall.width, 0.58 * tall.height)
    x = tall.width / 2 - small.width * 0.42
    return _stack(small, [(tall.image, 0, 0), (small.image, x, tall.height - small.height)])


def put_above(upper: Sprite, lower: Sprite) -> Sprite:
    """Return ``upper`` in the air over ``lower``."""
    base = resize_to(lower, 1.3 * upper.width, upper.height)
    x = (base.width - upper.width) / 2
    return _stack(upper, [(base.image, 0, 1.08 * upper.height), (upper.image, x, 0)])


def put_behind(back: Sprite, front: Sprite) -> Sprite:
    """Return ``back`` partly hidden by ``front``."""
    near = resize_to(front, 1.2 * back.width, 0.8 * back.height)
    return _stack(back, [(back.image, 0, 0), (near.image, 0.42 * back.width, back.height - 0.9 * near.height)])


def put_beside(first: Sprite, second: Sprite, height_ratio: float = 0.85) -> Sprite:
    """Return both on one ground line, the second at the first one's right."""
    other = resize_to(second, 1.5 * max(first.width, first.height), height_ratio * first.height)
    return _stack(
        first, [(first.image, 0, 0), (other.image, 1.02 * first.width, first.height - other.height)]
    )  # fmt: skip


def wear(wearer: Sprite, clothing: Sprite, part: str) -> Sprite:
    """Return the wearer with a hat on its head, glasses on its face, or something at its neck."""
    head_x, head_y, head_width = wearer.head
    width = head_width * wearer.width
    if part == "face":
        worn = resize_to(clothing, 1.02 * width, 0.5 * wearer.height)
        x, y = wearer.face[0] * wearer.width - worn.width / 2, wearer.face[1] * wearer.height - worn.height / 2
    elif part == "head":
        worn = resize_to(clothing, 1.15 * width, 0.55 * wearer.height)
        x, y = head_x * wearer.width - worn.width / 2, head_y * wearer.height - 0.78 * worn.height
    else:
        worn = resize_to(clothing, 0.95 * width, 0.42 * wearer.height)
        x = head_x * wearer.width - worn.width / 2
        y = (2 * wearer.face[1] - head_y) * wearer.height - 0.3 * worn.height
    return _stack(wearer, [(wearer.image, 0, 0), (worn.image, x, y)])


def hold(holder: Sprite, held: Sprite, share: float, up: bool) -> Sprite:
    """Return the holder with something in hand, ``share`` of its own height large; ``up`` keeps it overhead."""
    thing = resize_to(held, 1.2 * share * holder.height, share * holder.height)
    x, y = holder.hand[0] * holder.width, holder.hand[1] * holder.height
    left, top = (
        (x - 0.5 * thing.width, y - 0.97 * thing.height) if up else (x - 0.3 * thing.width, y - 0.5 * thing.height)
    )
    return _stack(holder, [(holder.image, 0, 0), (thing.image, left, top)])


_SPOTS: dict[str, tuple[float, float, float, float]] = {
    "chest": (0.5, 0.56, 0.5, 0.5), "mouth": (0.62, 0.34, 0.2, 0.5), "front": (1.02, 1.0, 0.0, 1.0),
    "rear": (-0.02, 1.0, 1.0, 1.0), "back": (0.12, 0.5, 0.62, 0.5), "above": (0.5, 0.0, 0.5, 0.85),
    "ear": (0.7, 0.22, 0.5, 0.5), "cover": (0.5, 1.02, 0.5, 0.96), "lap": (0.75, 0.7, 0.5, 0.6),
}  # fmt: skip
"""Where a prop goes: a point of the figure, and the point of the prop that is put there (shares)."""
_BEHIND_SPOTS = {"back", "seat", "wall"}


def attach(figure: Sprite, prop: Sprite, spot: str, share: float, turn: float = 0.0) -> Sprite:
    """Return the figure with a prop, ``share`` of its own height large and turned by degrees.

    Spots: hand, grip (held at its lower end), feet and seat (carry the figure), wall (behind it at the
    right), and those of ``_SPOTS``.
    """
    size = share * figure.height
    thing = resize_to(prop, 1.7 * size, size)
    if turn:
        turned = thing.image.rotate(turn, Image.Resampling.BICUBIC, expand=True)
        thing = Sprite(turned.crop(turned.getbbox() or (0, 0, 1, 1)))
    if spot in ("feet", "seat"):
        sunk = 0.25 if spot == "feet" else 0.68
        x, y = (figure.width - thing.width) / 2, figure.height - sunk * thing.height
    elif spot in ("hand", "grip"):
        point = (figure.hand[0] * figure.width, figure.hand[1] * figure.height)
        x, y = point[0] - 0.45 * thing.width, point[1] - (0.92 if spot == "grip" else 0.5) * thing.height
    elif spot == "wall":
        x, y = 0.62 * figure.width, figure.height - thing.height
    else:
        figure_x, figure_y, prop_x, prop_y = _SPOTS[spot]
        x, y = figure_x * figure.width - prop_x * thing.width, figure_y * figure.height - prop_y * thing.height
    parts = [(figure.image, 0.0, 0.0), (thing.image, x, y)]
    return _stack(figure, parts[::-1] if spot in _BEHIND_SPOTS or spot == "feet" else parts)
