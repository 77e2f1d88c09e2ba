"""Persons as sprites: figures that act, busts that show hair, and busts of people at work."""

import random
from collections.abc import Mapping
from dataclasses import replace
from typing import Any

from PIL import Image

from stablellava.backends.adapters.openmoji.figures import Build, draw_figure
from stablellava.backends.adapters.openmoji.font import has_glyph, render_glyph
from stablellava.backends.adapters.openmoji.glyphs import recolor, render_thing
from stablellava.backends.adapters.openmoji.hairstyles import draw_hair_bust
from stablellava.backends.adapters.openmoji.lexicon import Lexicon, Thing
from stablellava.backends.adapters.openmoji.plan import Actor
from stablellava.backends.adapters.openmoji.sprites import Sprite, attach, hold, resize_to, wear

TONES = ("1F3FB", "1F3FC", "1F3FD", "1F3FE", "1F3FF")
_BUILDS = {
    "man": Build(head=0.27, torso=0.27, width=0.19, leg=0.17, arm=0.135),
    "woman": Build(head=0.28, torso=0.24, width=0.15, leg=0.175, arm=0.13, skirt=True),
    "boy": Build(head=0.36, torso=0.22, width=0.17, leg=0.13, arm=0.115),
    "girl": Build(head=0.36, torso=0.21, width=0.15, leg=0.135, arm=0.11, skirt=True),
}
_GENDER_SIGN = {"man": "2642", "old man": "2642", "boy": "2642", "woman": "2640", "old woman": "2640", "girl": "2640"}
_GENDERED = {"1F9D1": {"2642": "1F468", "2640": "1F469"}}
_BODY_PART_HEIGHT = 0.5


def draw_person(actor: Actor, lexicon: Lexicon, size_px: int, rng: random.Random, idle_pose: str = "stand") -> Sprite:
    """Return the person; skin tone and clothes are drawn from ``rng`` unless the prompt decides them."""
    person = lexicon.persons[actor.name]
    tone = rng.choice(TONES)
    if actor.profession is not None:
        return _draw_worker(actor, lexicon, tone, size_px)
    if actor.hair is not None and actor.action is None:
        return draw_hair_bust(lexicon.hair[actor.hair.name], actor.name, tone, size_px)
    bust = f"{person['bust']}-{tone}"
    action: Mapping[str, Any] = lexicon.actions[actor.action.name] if actor.action else {"pose": idle_pose}
    if "scene" in action:
        return Sprite(_cut(_signed(str(action["scene"]), actor.name, tone), size_px))
    figure = draw_figure(_BUILDS[str(person["build"])], str(action["pose"]), bust, size_px, rng)
    for name, spot, share, *turn in action.get("props", ()):
        thing = lexicon.things[str(name)]
        picture = Sprite(render_thing(thing.glyph, thing.sketch, thing.tint, size_px))
        figure = attach(figure, picture, str(spot), float(share), float(turn[0]) if turn else 0.0)
    return figure


def _signed(codes: str, person: str, tone: str) -> str:
    """Return the joined sequence for a person's sex and skin, as far as the font has it."""
    first, *rest = codes.split("-")
    sign = _GENDER_SIGN.get(person, "")
    for candidate in (
        "-".join([first, tone, *rest, "200D", sign, "FE0F"]) if sign else "",
        "-".join([first, tone, *rest]),
    ):
        if candidate and has_glyph(candidate):
            return candidate
    return codes


def _cut(codes: str, size_px: int) -> Image.Image:
    full = render_glyph(codes, size_px)
    return full.crop(full.getbbox() or (0, 0, size_px, size_px))


def _draw_worker(actor: Actor, lexicon: Lexicon, tone: str, size_px: int) -> Sprite:
    assert actor.profession is not None
    fields = lexicon.professions[actor.profession.name]
    codes = str(fields["glyph"])
    first, *rest = codes.split("-")
    sign = _GENDER_SIGN.get(actor.name, str(fields.get("sign", "")))
    if first in _GENDERED and sign:
        first = _GENDERED[first][sign]
    joined = "-".join([first, tone, *rest])
    chosen = joined if has_glyph(joined) else "-".join([first, *rest])
    if first not in _GENDERED.get("1F9D1", {}).values():
        chosen = _signed("-".join([first, *rest]), actor.name, tone)
    image = _cut(chosen, size_px)
    if "tint" in fields:
        image = recolor(image, lexicon.colors[str(fields["tint"])])
    sprite = Sprite(image, head=(0.5, 0.12, 0.58), face=(0.5, 0.42), hand=(0.86, 0.8))
    for name, spot in fields.get("worn", ()):
        thing = lexicon.things[str(name)]
        sprite = wear(sprite, Sprite(render_thing(thing.glyph, thing.sketch, thing.tint, size_px)), str(spot))
    for name in fields.get("tools", ()):
        thing = lexicon.things[str(name)]
        sprite = hold(sprite, Sprite(render_thing(thing.glyph, thing.sketch, thing.tint, size_px)), 0.46, up=False)
    return sprite


def dress(sprite: Sprite, clothing: Sprite, thing: Thing) -> Sprite:
    """Return the person wearing something, wherever it belongs."""
    if thing.worn_on in ("head", "face", "neck"):
        return wear(sprite, clothing, thing.worn_on)
    if thing.worn_on == "feet":
        return attach(sprite, clothing, "feet", 0.16)
    worn = resize_to(clothing, 2 * sprite.width, _BODY_PART_HEIGHT * sprite.height)
    return attach(replace(sprite, hand=sprite.hand), worn, "chest", _BODY_PART_HEIGHT)
