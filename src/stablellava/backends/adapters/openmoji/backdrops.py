"""The place behind the things: a drawn backdrop and, for sights, their landmark."""

import random
from collections.abc import Callable
from dataclasses import dataclass
from typing import Literal

from PIL import Image

from stablellava.backends.adapters.openmoji import places_built, places_nature
from stablellava.backends.adapters.openmoji.canvas import Canvas
from stablellava.backends.adapters.openmoji.font import pick_size
from stablellava.backends.adapters.openmoji.glyphs import render_thing
from stablellava.backends.adapters.openmoji.lexicon import Lexicon
from stablellava.backends.adapters.openmoji.sprites import Sprite, resize_to

Stand = Literal["ground", "water", "float"]

_BASES: dict[str, Callable[[Canvas], None]] = {
    name.removeprefix("draw_"): function
    for module in (places_nature, places_built)
    for name, function in vars(module).items()
    if name.startswith("draw_")
}


@dataclass(frozen=True)
class Backdrop:
    """A drawn place and how things keep in it."""

    image: Image.Image
    stand: Stand
    has_landmark: bool = False


def draw_backdrop(place: str, lexicon: Lexicon, width_px: int, height_px: int, rng: random.Random) -> Backdrop:
    """Return the picture of a place; an empty name gives a plain studio wall."""
    canvas = Canvas(width_px, height_px, rng)
    fields = lexicon.places.get(place, {"base": "backdrop"})
    _BASES[fields["base"]](canvas)
    image = canvas.finish()
    landmark = fields.get("landmark")
    if landmark is not None:
        _paste_landmark(image, landmark, rng)
    return Backdrop(image, fields.get("stand", "ground"), landmark is not None)


def _paste_landmark(image: Image.Image, fields: dict[str, object], rng: random.Random) -> None:
    height = float(str(fields["height"])) * image.height
    glyph, sketch = str(fields.get("glyph", "")), str(fields.get("sketch", ""))
    picture = render_thing(glyph, sketch, None, pick_size(1.3 * height))
    sprite = resize_to(Sprite(picture), 0.95 * image.width, height * rng.uniform(0.95, 1.05))
    x = (float(str(fields["x"])) + rng.uniform(-0.06, 0.06)) * image.width - sprite.width / 2
    foot = float(str(fields.get("foot", 0.76))) * image.height
    image.paste(sprite.image, (round(x), round(foot - sprite.height)), sprite.image)
