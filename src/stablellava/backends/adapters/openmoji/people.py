"""Persons: busts of the font, and whole figures drawn in its manner."""

import random

from stablellava.backends.adapters.openmoji.font import render_glyph
from stablellava.backends.adapters.openmoji.lexicon import Lexicon, Thing
from stablellava.backends.adapters.openmoji.plan import Actor
from stablellava.backends.adapters.openmoji.sprites import Sprite, wear


def draw_person(actor: Actor, lexicon: Lexicon, size_px: int, rng: random.Random) -> Sprite:
    bust = lexicon.persons[actor.name]["bust"]
    full = render_glyph(str(bust), size_px)
    return Sprite(full.crop(full.getbbox()))


def dress(sprite: Sprite, clothing: Sprite, thing: Thing, actor: Actor) -> Sprite:
    return wear(sprite, clothing, thing.worn_on)
