"""Whole persons: a head of the font on limbs drawn in its manner, in a pose given by angles."""

import math
import random
from collections.abc import Mapping
from dataclasses import dataclass
from functools import lru_cache
from typing import Any

from PIL import Image, ImageDraw

from stablellava.backends.adapters.openmoji.colors import Rgb, parse_color
from stablellava.backends.adapters.openmoji.datafiles import load_data
from stablellava.backends.adapters.openmoji.font import render_glyph
from stablellava.backends.adapters.openmoji.sketches import draw_tube
from stablellava.backends.adapters.openmoji.sprites import Point, Sprite

_SUPERSAMPLING = 2
_OUTLINE = 0.016
_CHIN_SHARE = 0.653
"""Lower edge of the head in a bust's design square."""
_SHIRTS = ("#61b2e4", "#ea5a47", "#5c9e31", "#f1b31c", "#8967aa", "#e67a94", "#3fae9f")
_TROUSERS = ("#3b4f7d", "#5a5f66", "#6a462f", "#2f6f6a")
_SKIN = {"1F3FB": "#fadcbc", "1F3FC": "#debb90", "1F3FD": "#c19a65", "1F3FE": "#a57939", "1F3FF": "#6a462f"}


@dataclass(frozen=True)
class Build:
    """Proportions as shares of the standing height; a leg and an arm have two such parts each."""

    head: float
    torso: float
    width: float
    leg: float
    arm: float
    skirt: bool = False


@dataclass(frozen=True)
class _Clothes:
    skin: Rgb
    shirt: Rgb
    trousers: Rgb


@dataclass(frozen=True)
class _Joints:
    """Points of the body as shares of the standing height, hip in the origin, y down."""

    neck: Point
    arms: tuple[tuple[Point, Point, Point], ...]
    legs: tuple[tuple[Point, Point, Point], ...]
    lean: float


def draw_figure(build: Build, pose_name: str, bust: str, size_px: int, rng: random.Random) -> Sprite:
    """Return the person in a pose of actions.yaml, looking at us, acting to the right."""
    return _draw(build, pose_name, bust, size_px, rng.choice(_SHIRTS), rng.choice(_TROUSERS))


@lru_cache(maxsize=256)
def _draw(build: Build, pose_name: str, bust: str, size_px: int, shirt: str, trousers: str) -> Sprite:
    pose = load_data("actions")["poses"][pose_name]
    joints = _find_joints(build, pose)
    clothes = _Clothes(parse_color(_SKIN[bust.split("-")[1]]), parse_color(shirt), parse_color(trousers))
    side = size_px * _SUPERSAMPLING
    scale = 0.72 * side
    canvas = Image.new("RGBA", (2 * side, 2 * side), (0, 0, 0, 0))
    body = _Body(canvas, scale, (side, side))
    body.draw(build, joints, clothes, bust)
    hands = [body.to_pixels(arm[2]) for arm in joints.arms]
    head = body.head_box(build, joints)
    if pose.get("rotate"):
        canvas = canvas.rotate(pose["rotate"], Image.Resampling.BICUBIC, center=(side, side))
        hands = [_turn(point, (side, side), pose["rotate"]) for point in hands]
    box = canvas.getbbox() or (0, 0, 1, 1)
    cut = canvas.crop(box).reduce(_SUPERSAMPLING)
    width, height = box[2] - box[0], box[3] - box[1]

    def share(point: Point) -> Point:
        return ((point[0] - box[0]) / width, (point[1] - box[1]) / height)

    top, middle = share((head[0], head[1])), share((head[0], head[1] + 0.62 * head[2]))
    return Sprite(cut, head=(top[0], top[1] + 0.04, head[2] / width), face=middle, hand=share(hands[1]))


def _turn(point: Point, center: Point, degrees: float) -> Point:
    angle = -math.radians(degrees)
    x, y = point[0] - center[0], point[1] - center[1]
    return (
        center[0] + x * math.cos(angle) - y * math.sin(angle),
        center[1] + x * math.sin(angle) + y * math.cos(angle),
    )


def _step(start: Point, degrees: float, length: float) -> Point:
    """Return the point at a length from ``start``; 0 degrees is down, 90 is right."""
    angle = math.radians(degrees)
    return (start[0] + length * math.sin(angle), start[1] + length * math.cos(angle))


def _find_joints(build: Build, pose: Mapping[str, Any]) -> _Joints:
    lean = float(pose.get("lean", 0))
    neck = _step((0, 0), 180 - lean, build.torso)
    arms, legs = [], []
    for side, (upper, lower) in zip((-1, 1), pose["arms"], strict=True):
        shoulder = (neck[0] + side * 0.42 * build.width, neck[1] + 0.045)
        elbow = _step(shoulder, upper, build.arm)
        arms.append((shoulder, elbow, _step(elbow, lower, build.arm)))
    for side, (upper, lower) in zip((-1, 1), pose["legs"], strict=True):
        hip = (side * 0.24 * build.width, 0.0)
        knee = _step(hip, upper, build.leg)
        legs.append((hip, knee, _step(knee, lower, build.leg)))
    return _Joints(neck, tuple(arms), tuple(legs), lean)


class _Body:
    """Draws the parts of one figure from back to front."""

    def __init__(self, canvas: Image.Image, scale: float, hip: Point) -> None:
        self.canvas = canvas
        self.pen = ImageDraw.Draw(canvas)
        self.scale = scale
        self.hip = hip

    def to_pixels(self, point: Point) -> Point:
        return (self.hip[0] + point[0] * self.scale, self.hip[1] + point[1] * self.scale)

    def limb(self, points: tuple[Point, ...], color: Rgb, width: float) -> None:
        numbers = [number for point in points for number in self.to_pixels(point)]
        draw_tube(self.pen, numbers, color, width * self.scale, _OUTLINE * self.scale)

    def head_box(self, build: Build, joints: _Joints) -> tuple[float, float, float]:
        """Return x of the middle, y of the top and the height, in pixels."""
        x, y = self.to_pixels(joints.neck)
        height = build.head * self.scale
        x += 0.5 * height * math.sin(math.radians(joints.lean))
        return (x, y - 0.98 * height, height)

    def draw(self, build: Build, joints: _Joints, clothes: _Clothes, bust: str) -> None:
        limb_width = 0.3 * build.width + 0.012
        self._arm(joints.arms[0], clothes, limb_width)
        for leg in joints.legs:
            self.limb(leg, clothes.skin if build.skirt else clothes.trousers, limb_width * 1.12)
            foot = leg[2]
            self.limb((foot, (foot[0] + 0.035, foot[1] + 0.006)), (63, 63, 63), limb_width * 0.8)
        self._torso(build, joints, clothes)
        self._head(build, joints, bust)
        self._arm(joints.arms[1], clothes, limb_width)

    def _arm(self, arm: tuple[Point, Point, Point], clothes: _Clothes, width: float) -> None:
        self.limb(arm, clothes.skin, width * 0.9)
        self.limb((arm[0], arm[1]), clothes.shirt, width)

    def _torso(self, build: Build, joints: _Joints, clothes: _Clothes) -> None:
        half = 0.5 * build.width
        neck_x, neck_y = joints.neck
        flare = 1.55 if build.skirt else 0.86
        low = 0.55 * build.leg if build.skirt else 0.02
        knees = sum(leg[1][0] for leg in joints.legs) / 2 if build.skirt else 0.0
        corners = [(neck_x - half, neck_y + 0.03), (neck_x + half, neck_y + 0.03),
                   (flare * half + 0.4 * knees, low), (-flare * half + 0.4 * knees, low)]  # fmt: skip
        points = [self.to_pixels(point) for point in corners]
        edge = 2 * _OUTLINE * self.scale + 0.05 * self.scale
        self.pen.line([*points, points[0], points[1]], fill=(0, 0, 0), width=round(edge), joint="curve")
        self.pen.polygon(points, fill=clothes.shirt)
        inner = 0.05 * self.scale
        self.pen.line([*points, points[0], points[1]], fill=clothes.shirt, width=round(inner), joint="curve")

    def _head(self, build: Build, joints: _Joints, bust: str) -> None:
        x, top, height = self.head_box(build, joints)
        square = round(height / 0.44)
        full = render_glyph(bust, square)
        head = full.crop((0, 0, square, round(_CHIN_SHARE * square)))
        box = head.getbbox() or (0, 0, 1, 1)
        head = head.crop((0, box[1], square, head.height))
        if abs(joints.lean) > 20:
            head = head.rotate(-0.5 * joints.lean, Image.Resampling.BICUBIC)
        corner = (round(x - square / 2), round(top + height - head.height + 0.03 * height))
        self.canvas.alpha_composite(head, corner)
