"""From a plan to a picture: what stands where, how large, in which light."""

import random
from dataclasses import replace
from functools import lru_cache

from PIL import Image, ImageFilter, ImageOps

from stablellava.backends.adapters.openmoji.backdrops import Backdrop, draw_backdrop
from stablellava.backends.adapters.openmoji.casting import Cast
from stablellava.backends.adapters.openmoji.lexicon import Lexicon
from stablellava.backends.adapters.openmoji.lighting import EFFECTS, blur_backdrop
from stablellava.backends.adapters.openmoji.plan import Actor, Plan
from stablellava.backends.adapters.openmoji.sprites import Sprite, flip, resize_to

_SHARE_OF_NUMBER = {1: 1.0, 2: 0.8, 3: 0.66, 4: 0.56, 5: 0.5, 6: 0.46}
"""Size of each thing by how many stand side by side."""
_MIN_SHARE = 0.4
_WATERLINE = 0.9
_ZOOM = {"close-up": 1.35, "wide angle": 0.66}


def compose(plan: Plan, lexicon: Lexicon, width_px: int, height_px: int, rng: random.Random) -> Image.Image:
    """Return the picture of a plan, without style, RGB."""
    place = plan.place.name if plan.place else ""
    backdrop = draw_backdrop(place, lexicon, width_px, height_px, rng)
    picture = backdrop.image
    effects = [lexicon.effects[feature.name] for feature in plan.features]
    if "bokeh" in effects:
        picture = blur_backdrop(picture)
    zoom = 1.0
    for feature in plan.features:
        zoom *= _ZOOM.get(feature.name, 1.0)
    if plan.style is not None and plan.style.name == "silhouette":
        picture = _light_from_behind(picture, rng)
    _place_actors(picture, backdrop, plan, lexicon, zoom, rng)
    for name in dict.fromkeys(effects):
        if name in EFFECTS:
            picture = EFFECTS[name](picture, rng)
    return picture


def _light_from_behind(picture: Image.Image, rng: random.Random) -> Image.Image:
    """Return the place as dim shapes before a bright sky."""
    dark, light = rng.choice(
        (((150, 74, 60), (255, 226, 160)), ((74, 84, 132), (228, 232, 250)), ((120, 66, 110), (255, 210, 200)))
    )
    return ImageOps.colorize(picture.convert("L"), dark, light)


def _blacken(sprite: Sprite) -> Sprite:
    black = Image.new("RGBA", sprite.image.size, (16, 14, 20, 255))
    black.putalpha(sprite.image.getchannel("A"))
    return replace(sprite, image=black)


def _place_actors(
    picture: Image.Image, backdrop: Backdrop, plan: Plan, lexicon: Lexicon, zoom: float, rng: random.Random
) -> None:
    cast = Cast(plan, lexicon, picture.height, rng)
    slots: list[Actor] = [actor for actor in cast.leads for _ in range(actor.number)]
    if not slots:
        return
    share = _SHARE_OF_NUMBER.get(len(slots), _MIN_SHARE) * zoom
    if backdrop.has_landmark:
        share *= 0.75
    columns = len(slots) if len(slots) < 5 else (len(slots) + 1) // 2
    for index, actor in enumerate(slots):
        row, column = divmod(index, columns)
        sprite = cast.picture_of(actor)
        if plan.style is not None and plan.style.name == "silhouette":
            sprite = _blacken(sprite)
        height = cast.height_of(actor) * share * rng.uniform(0.93, 1.07) * picture.height
        room = min(0.94, max(1.25 / columns, 0.4 if columns > 1 else 0.8 * zoom))
        sprite = resize_to(sprite, room * picture.width, min(height, 0.92 * picture.height))
        x = (column + 0.5) / columns + rng.uniform(-0.04, 0.04) / columns
        if columns == 1:
            x = rng.uniform(0.42, 0.58)
        if backdrop.has_landmark and len(slots) == 1:
            x = rng.choice((0.3, 0.36, 0.64, 0.7))
        _paste(picture, backdrop, sprite, x, row, cast.may_flip(actor), rng)


def _paste(
    picture: Image.Image, backdrop: Backdrop, sprite: Sprite, x: float, row: int, may_flip: bool, rng: random.Random
) -> None:
    if may_flip and rng.random() < 0.5:
        sprite = flip(sprite)
    angle = rng.uniform(-4, 4)
    left = min(max(x * picture.width - sprite.width / 2, 0.01 * picture.width), 0.99 * picture.width - sprite.width)
    foot = rng.uniform(0.88, 0.93) - 0.3 * row
    floats = backdrop.stand == "float" or sprite.flies
    if floats:
        foot = 0.5 + 0.5 * sprite.height / picture.height + rng.uniform(-0.08, 0.02) - 0.2 * row
    elif backdrop.stand == "water":
        foot = rng.uniform(0.76, 0.84) - 0.2 * row
    top = min(max(foot * picture.height - sprite.height, 0.02 * picture.height), 0.99 * picture.height - sprite.height)
    if not floats and backdrop.stand == "ground":
        _cast_shadow(picture, left, top, sprite)
    image = sprite.image.rotate(angle, Image.Resampling.BILINEAR) if abs(angle) > 1.5 and floats else sprite.image
    if backdrop.stand == "water" and not floats:
        _float_on_water(picture, image, round(left), round(top))
    else:
        picture.paste(image, (round(left), round(top)), image)


@lru_cache(maxsize=1)
def _soft_ellipse() -> Image.Image:
    mask = Image.radial_gradient("L").point([max(0, 150 - round(value * 1.25)) for value in range(256)])
    return mask.filter(ImageFilter.BoxBlur(2))


def _cast_shadow(picture: Image.Image, left: float, top: float, sprite: Sprite) -> None:
    width, height = max(4, round(1.15 * sprite.width)), max(3, round(0.14 * min(sprite.width, sprite.height)))
    mask = _soft_ellipse().resize((width, height))
    corner = (round(left + sprite.width / 2 - width / 2), round(top + sprite.height - 0.62 * height))
    picture.paste((24, 26, 34), corner, mask)


def _float_on_water(picture: Image.Image, image: Image.Image, left: int, top: int) -> None:
    """Paste with the lowest part under a see-through surface and a ring of foam."""
    line = round(_WATERLINE * image.height)
    under = image.crop((0, line, image.width, image.height))
    under.putalpha(under.getchannel("A").point([value // 4 for value in range(256)]))
    upper = image.crop((0, 0, image.width, line))
    picture.paste(under, (left, top + line), under)
    picture.paste(upper, (left, top), upper)
    foam = _soft_ellipse().resize((max(4, round(1.1 * image.width)), max(3, round(0.07 * image.height))))
    picture.paste((240, 250, 255), (left - round(0.05 * image.width), top + line - foam.height // 2), foam)
