"""One suite for every painter."""

import io
from collections.abc import Iterator

import pytest
from PIL import Image

from stablellava.backends.catalog import build_backend
from stablellava.backends.protocols import Painter
from stablellava.capabilities import list_capabilities, load_capability, load_places
from stablellava.core.capability import Capability, Keyword
from stablellava.core.ids import seed_from
from stablellava.core.sample import Painted, PaintJob, PaintRefusal

PAINTERS = ("openmoji",)


@pytest.fixture(params=PAINTERS)
def painter(request: pytest.FixtureRequest) -> Iterator[Painter]:
    yield build_backend("painter", request.param)


def _job(text: str, keyword: str, width_px: int = 96, height_px: int = 96, name: str = "") -> PaintJob:
    return PaintJob(
        painting_id=name or text,
        text=text,
        emphasis=((keyword, 1.2),),
        seed=seed_from(name or text),
        width_px=width_px,
        height_px=height_px,
    )


JOBS = (
    _job("red car, on the street, soft light", "red car"),
    _job("fox, watercolor, in the forest", "fox"),
    _job("glorbnik, on the beach", "glorbnik"),
    _job("curly hair, woman, in the park", "curly hair"),
    _job("running, boy, on the beach, sunset", "running"),
    _job("two apples, in the kitchen", "two apples"),
)


def test_a_painter_has_the_methods_of_the_protocol(painter: Painter) -> None:
    assert isinstance(painter, Painter)
    assert painter.name in PAINTERS


def test_results_come_in_the_order_of_the_jobs(painter: Painter) -> None:
    assert [result.painting_id for result in painter.paint(JOBS)] == [job.painting_id for job in JOBS]


def test_the_same_job_gives_the_same_record_whatever_the_batch(painter: Painter) -> None:
    together = painter.paint(JOBS)
    again = [painter.paint([job])[0] for job in reversed(JOBS)]
    assert together == list(reversed(again))


def test_another_painter_of_the_kind_gives_the_same_bytes(painter: Painter) -> None:
    assert build_backend("painter", painter.name).paint(JOBS) == painter.paint(JOBS)


def test_only_text_emphasis_seed_and_size_decide(painter: Painter) -> None:
    job = JOBS[0]
    renamed = job.model_copy(update={"painting_id": "other"})
    first, second = painter.paint([job, renamed])
    assert isinstance(first, Painted)
    assert isinstance(second, Painted)
    assert first.image == second.image


def test_another_seed_gives_another_picture(painter: Painter) -> None:
    first, second = painter.paint([JOBS[0], JOBS[0].model_copy(update={"seed": 7})])
    assert isinstance(first, Painted)
    assert isinstance(second, Painted)
    assert first.image != second.image


@pytest.mark.parametrize(("width_px", "height_px"), [(64, 64), (224, 224), (160, 96), (96, 200)])
def test_the_picture_has_the_size_asked_for(painter: Painter, width_px: int, height_px: int) -> None:
    [result] = painter.paint([_job("dog, in the park, soft light", "dog", width_px, height_px)])
    assert isinstance(result, Painted)
    with Image.open(io.BytesIO(result.image)) as picture:
        assert picture.size == (width_px, height_px)
        assert picture.mode == "RGB"


def test_an_undrawable_keyword_is_refused_with_its_words(painter: Painter) -> None:
    [result] = painter.paint([_job("glorbnik, on the beach", "glorbnik")])
    assert result == PaintRefusal(
        painting_id="glorbnik, on the beach", reason="keyword_not_drawable", phrase="glorbnik"
    )


def test_the_stamp_names_backend_model_and_seed_and_no_time(painter: Painter) -> None:
    [result] = painter.paint(JOBS[:1])
    assert isinstance(result, Painted)
    assert (result.stamp.backend, result.stamp.seed) == (painter.name, JOBS[0].seed)
    assert result.stamp.model
    assert result.stamp.seconds is None


def _phrases(keyword: Keyword) -> tuple[str, ...]:
    return keyword.parts or (keyword.name,)


def _setting_phrase(capability: Capability, keyword: Keyword) -> str:
    setting = (keyword.settings or capability.settings)[0]
    return next((place.phrase for place in load_places() if place.name == setting), setting)


@pytest.mark.parametrize("name", list_capabilities())
def test_every_keyword_of_every_capability_is_painted(painter: Painter, name: str) -> None:
    capability = load_capability(name)
    jobs = [
        _job(f"{phrase}, {_setting_phrase(capability, keyword)}, soft light", phrase.partition(",")[0], 32, 32)
        for keyword in capability.keywords
        for phrase in _phrases(keyword)
    ]
    refused = [result.phrase for result in painter.paint(jobs) if isinstance(result, PaintRefusal)]
    assert refused == []
