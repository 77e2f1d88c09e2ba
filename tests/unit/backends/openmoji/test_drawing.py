import io
import random

import numpy as np
import pytest
from PIL import Image

from stablellava.backends.adapters.openmoji import OpenMojiPainter, drawable_names
from stablellava.backends.adapters.openmoji.font import has_glyph, render_glyph
from stablellava.backends.adapters.openmoji.glyphs import recolor
from stablellava.backends.adapters.openmoji.lexicon import load_lexicon
from stablellava.backends.adapters.openmoji.sketches import has_sketch
from stablellava.backends.adapters.openmoji.styles import STYLES
from stablellava.core.sample import Painted, PaintJob


def paint(text: str, seed: int = 3) -> np.ndarray:
    job = PaintJob(painting_id="p", text=text, seed=seed, width_px=128, height_px=128)
    [result] = OpenMojiPainter().paint([job])
    assert isinstance(result, Painted)
    return np.asarray(Image.open(io.BytesIO(result.image)), dtype=np.float32)


def test_everything_in_the_lexicon_has_a_picture() -> None:
    for thing in load_lexicon().things.values():
        assert has_sketch(thing.sketch) if thing.sketch else has_glyph(thing.glyph), thing.name


def test_every_prop_and_tool_is_a_known_thing() -> None:
    lexicon = load_lexicon()
    props = [prop[0] for fields in lexicon.actions.values() for prop in fields.get("props", ())]
    tools = [tool for fields in lexicon.professions.values() for tool in fields.get("tools", ())]
    worn = [item[0] for fields in lexicon.professions.values() for item in fields.get("worn", ())]
    assert [name for name in (*props, *tools, *worn) if name not in lexicon.things] == []


@pytest.mark.parametrize("name", drawable_names()["place"])
def test_every_place_differs_from_no_place(name: str) -> None:
    assert np.abs(paint(f"{name}, dog") - paint("dog")).mean() > 10


@pytest.mark.parametrize("name", drawable_names()["style"])
def test_every_style_changes_the_picture(name: str) -> None:
    assert name in STYLES or name == "silhouette"
    assert np.abs(paint(f"dog, meadow, {name}") - paint("dog, meadow")).mean() > 4


@pytest.mark.parametrize("name", drawable_names()["feature"])
def test_every_visual_feature_leaves_a_trace(name: str) -> None:
    assert np.abs(paint(f"dog, meadow, {name}") - paint("dog, meadow")).mean() > 0.5


@pytest.mark.parametrize(
    "name", [*drawable_names()["action"], *drawable_names()["profession"], *drawable_names()["hair"]]
)
def test_persons_are_drawn_whatever_they_do_or_look_like(name: str) -> None:
    assert paint(f"{name}, woman, park").std() > 10


def test_recoloring_keeps_outline_and_shape() -> None:
    car = render_glyph("1F697", 96)
    blue = np.asarray(recolor(car, (40, 90, 220)))
    before = np.asarray(car)
    assert np.array_equal(blue[..., 3], before[..., 3])
    dark = (before[..., :3].max(axis=-1) < 20) & (before[..., 3] == 255)
    assert blue[dark][:, :3].max() < 60
    bodywork = (before[..., 0] > 200) & (before[..., 2] < 100) & (before[..., 3] == 255)
    assert blue[bodywork][:, 2].mean() > 150
    assert blue[bodywork][:, 0].mean() < 100


def test_the_global_random_state_is_left_alone() -> None:
    random.seed(5)
    expected = random.Random(5).random()
    paint("dog, meadow, oil painting")
    assert random.random() == expected


def test_the_attribution_names_the_licence() -> None:
    assert "OpenMoji" in OpenMojiPainter.attribution
    assert "CC BY-SA 4.0" in OpenMojiPainter.attribution
