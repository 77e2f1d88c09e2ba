"""The actors of a plan as sprites: things, persons, and whatever they ride, wear or hold."""

import random
from dataclasses import replace

from stablellava.backends.adapters.openmoji.font import pick_size
from stablellava.backends.adapters.openmoji.glyphs import render_thing
from stablellava.backends.adapters.openmoji.lexicon import Lexicon, Thing
from stablellava.backends.adapters.openmoji.people import draw_person, dress
from stablellava.backends.adapters.openmoji.plan import Actor, Plan, Relation
from stablellava.backends.adapters.openmoji.sprites import (
    Sprite,
    attach,
    hold,
    put_above,
    put_behind,
    put_beside,
    put_in,
    put_on,
    put_under,
    wear,
)

_ON_OVERLAP = {"bicycle": 0.62, "motorcycle": 0.55, "unicycle": 0.1, "scooter": 0.5, "kick scooter": 0.2, "horse": 0.5,
               "sofa": 0.55, "chair": 0.5, "armchair": 0.5, "bed": 0.5, "cloud": 0.35, "house": 0.1, "tricycle": 0.6,
               "airplane": 0.4, "jet": 0.4, "elephant": 0.2, "iceberg": 0.12, "sled": 0.3}  # fmt: skip
_IN_MANNER = {"birdcage": "inside", "fish bowl": "inside", "tree": "among", "oak tree": "among", "pine tree": "among",
              "palm tree": "among", "jar": "inside"}  # fmt: skip
_HELD_UP = {"umbrella", "balloon", "kite", "parachute"}
_HOLDING = {"holding", "eating", "reading", "playing"}
_BEHIND = {"behind", "in front of"}


class Cast:
    """Who is in the picture; the pictures are made once and shared by all copies of an actor."""

    def __init__(self, plan: Plan, lexicon: Lexicon, height_px: int, rng: random.Random) -> None:
        self.plan = plan
        self.lexicon = lexicon
        self.size_px = pick_size(0.6 * height_px)
        self.rng = rng
        attached = [id(relation.other) for relation in plan.relations if relation.other is not None]
        self.leads = [actor for actor in plan.actors if id(actor) not in attached]
        if not self.leads:
            self.leads = plan.actors[:1]
        self._pictures: dict[int, Sprite] = {}
        self._bare = {id(actor): self._draw(actor) for actor in plan.actors}

    def _thing(self, actor: Actor) -> Thing | None:
        return None if actor.is_person else self.lexicon.things[actor.name]

    def picture_of(self, actor: Actor) -> Sprite:
        """Return the actor with everything attached to it."""
        if id(actor) not in self._pictures:
            sprite = self._bare[id(actor)]
            for relation in self.plan.relations:
                if relation.subject is actor and relation.other is not None and relation.other is not actor:
                    sprite = self._attach(sprite, actor, relation, relation.other)
            self._pictures[id(actor)] = sprite
        return self._pictures[id(actor)]

    def height_of(self, actor: Actor) -> float:
        """Return the wanted height of the whole group as a share of the picture's."""
        thing = self._thing(actor)
        own = thing.height if thing is not None else 0.62
        grown = self.picture_of(actor).height / max(1, self._bare[id(actor)].height)
        if actor.size is not None:
            own *= self.lexicon.sizes[actor.size.name]
        return min(0.82, own * float(grown**0.75))

    def may_flip(self, actor: Actor) -> bool:
        thing = self._thing(actor)
        return thing.can_flip if thing is not None else actor.action is None

    def _draw(self, actor: Actor) -> Sprite:
        thing = self._thing(actor)
        if thing is None:
            lifts = any(
                item.subject is actor and item.other and item.other.name in _HELD_UP for item in self.plan.relations
            )
            return draw_person(actor, self.lexicon, self.size_px, self.rng, "raise" if lifts else "stand")
        tint = actor.rgb if actor.rgb is not None else thing.tint
        picture = render_thing(thing.glyph, thing.sketch, tint, self.size_px)
        sprite = Sprite(
            picture, head=thing.head, face=thing.face, hand=thing.hand, flies=thing.flies, swims=thing.swims
        )
        if actor.action is None:
            return sprite
        name, spot, share = self.lexicon.actions[actor.action.name]["animal"]
        sign = self.lexicon.things[name]
        return attach(sprite, Sprite(render_thing(sign.glyph, sign.sketch, sign.tint, self.size_px)), spot, share)

    def _attach(self, sprite: Sprite, actor: Actor, relation: Relation, other: Actor) -> Sprite:
        thing = self._thing(other)
        extra = self.picture_of(other)
        name = relation.name
        if name == "wearing" and thing is not None:
            return dress(sprite, extra, thing) if actor.is_person else wear(sprite, extra, thing.worn_on or "head")
        if name in _HOLDING:
            lifted = 0.5 if actor.is_person else 0.8
            return hold(sprite, extra, lifted if other.name in _HELD_UP else 0.42, other.name in _HELD_UP)
        result = sprite
        if name in ("on", "riding"):
            result = put_on(sprite, extra, _ON_OVERLAP.get(other.name, 0.12))
        elif name in ("in", "driving"):
            result = put_in(sprite, extra, _IN_MANNER.get(other.name, "behind"))
        elif name == "under":
            result = put_under(sprite, extra)
        elif name == "above":
            result = put_above(sprite, extra)
        elif name in _BEHIND:
            back, front = (sprite, extra) if name == "behind" else (extra, sprite)
            result = put_behind(back, front)
        else:
            result = put_beside(sprite, extra)
        return replace(result, flies=extra.flies, swims=extra.swims)
