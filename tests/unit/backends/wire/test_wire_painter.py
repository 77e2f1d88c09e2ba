import base64
import io
import time
from pathlib import Path
from typing import Any

import pytest
from PIL import Image

from fault_server import Fault, FaultServer
from stablellava.backends.catalog import build_backend
from stablellava.backends.protocols import StreamingPainter
from stablellava.core.errors import BackendFailed
from stablellava.core.rank import NUM_WORKERS_VARIABLE
from stablellava.core.sample import Painted, PaintJob, PaintRefusal


def picture(body: dict[str, Any]) -> bytes:
    size = tuple(int(side) for side in body["size"].split("x"))
    buffer = io.BytesIO()
    Image.new("RGB", (size[0], size[1]), (body.get("seed", 0) % 256, 10, 20)).save(buffer, format="PNG")
    return buffer.getvalue()


def paint_it(number: int, body: dict[str, Any]) -> Fault:
    return Fault("json", {"data": [{"b64_json": base64.b64encode(picture(body)).decode()}]})


def jobs(num: int) -> list[PaintJob]:
    return [PaintJob(painting_id=f"p{i}", text=f"dog {i}", seed=i, width_px=64, height_px=48) for i in range(num)]


def paint(server: FaultServer, num: int = 1, **options: Any) -> list[Painted | PaintRefusal]:
    quick = {"base_url": server.base_url, "backoff_seconds": 0.01}
    painter = build_backend("painter", "openai-images", {"model": "m", **quick, **options})
    try:
        painted: list[Painted | PaintRefusal] = painter.paint(jobs(num))
        return painted
    finally:
        painter.close()


def test_pictures_come_back_in_order_with_their_seeds(server: FaultServer) -> None:
    server.say = paint_it

    painted = paint(server, 12)

    assert [one.painting_id for one in painted] == [f"p{i}" for i in range(12)]
    for i, one in enumerate(painted):
        assert isinstance(one, Painted)
        image = Image.open(io.BytesIO(one.image))
        assert (image.size, image.getpixel((0, 0))) == ((64, 48), (i, 10, 20))
        assert (one.stamp.seed, one.stamp.model, one.drawn) == (i, "m", None)
    assert server.peak_in_flight > 1


def test_batches_are_on_their_way_together_and_come_back_in_order(server: FaultServer) -> None:
    server.say = paint_it
    painter = build_backend("painter", "openai-images", {"model": "m", "base_url": server.base_url})
    asked = jobs(40)
    batches = [asked[start : start + 8] for start in range(0, 40, 8)]

    painted = list(painter.paint_batches(batches))
    painter.close()

    assert [[one.painting_id for one in batch] for batch in painted] == [
        [job.painting_id for job in b] for b in batches
    ]
    assert server.peak_in_flight > 8
    assert isinstance(painter, StreamingPainter)


def test_an_error_ends_the_batches_behind_it(server: FaultServer) -> None:
    server.say = lambda number, body: Fault(401)
    painter = build_backend("painter", "openai-images", {"model": "m", "base_url": server.base_url})

    with pytest.raises(BackendFailed, match="refuses the key"):
        list(painter.paint_batches([jobs(4), jobs(4), jobs(4)]))
    painter.close()


def test_a_server_with_sizes_of_its_own_is_scaled_from(server: FaultServer) -> None:
    server.say = paint_it

    (one,) = paint(server, request_size="256x256")

    assert isinstance(one, Painted)
    assert Image.open(io.BytesIO(one.image)).size == (64, 48)
    assert server.bodies[0]["size"] == "256x256"


def test_a_damaged_picture_is_left_for_the_checks_to_refuse(server: FaultServer) -> None:
    noise = io.BytesIO()
    Image.effect_noise((400, 400), 100).save(noise, format="PNG")
    header_of_second_chunk = noise.getvalue().rindex(b"IDAT")
    damaged = (
        noise.getvalue()[:header_of_second_chunk] + b"\xff\0\0\xff" + noise.getvalue()[header_of_second_chunk + 4 :]
    )
    server.say = lambda number, body: Fault("json", {"data": [{"b64_json": base64.b64encode(damaged).decode()}]})

    (one,) = paint(server)

    assert isinstance(one, Painted)
    assert one.image == damaged


def test_a_refused_prompt_is_a_refusal(server: FaultServer) -> None:
    server.say = lambda number, body: (
        Fault(400, {"error": {"message": "unsafe"}}) if body["prompt"] == "dog 1" else paint_it(number, body)
    )

    kinds = [type(one).__name__ for one in paint(server, 3)]

    assert kinds == ["Painted", "PaintRefusal", "Painted"]


def test_a_server_that_sends_addresses_is_stopped_at_the_first(server: FaultServer) -> None:
    server.say = lambda number, body: Fault("json", {"data": [{"url": "https://pictures/1.png"}]})

    with pytest.raises(BackendFailed, match=r"addresses of pictures instead of pictures.*extra_body"):
        paint(server, 12, max_in_flight=1)

    assert len(server.bodies) == 1


def test_a_picture_may_come_as_a_data_url(server: FaultServer) -> None:
    def say(number: int, body: dict[str, Any]) -> Fault:
        encoded = base64.b64encode(picture(body)).decode()
        return Fault("json", {"data": [{"b64_json": f"data:image/png;base64,{encoded}"}]})

    server.say = say
    assert isinstance(paint(server)[0], Painted)


def test_a_painter_without_pictures_stops_with_one_line(server: FaultServer) -> None:
    server.say = lambda number, body: Fault(401)

    with pytest.raises(BackendFailed, match="refuses the key"):
        paint(server, 3)


def test_a_cached_picture_is_not_asked_for_again(server: FaultServer, tmp_path: Path) -> None:
    server.say = paint_it
    first = paint(server, 3, cache_file=str(tmp_path / "c.sqlite"))
    second = paint(server, 3, cache_file=str(tmp_path / "c.sqlite"))

    assert len(server.bodies) == 3
    for one, other in zip(first, second, strict=True):
        assert isinstance(one, Painted) and isinstance(other, Painted)
        assert one.image == other.image
        assert other.stamp.from_cache


def test_worker_processes_share_what_the_server_is_spared(server: FaultServer, monkeypatch: pytest.MonkeyPatch) -> None:
    server.say = paint_it
    monkeypatch.setenv(NUM_WORKERS_VARIABLE, "4")

    paint(server, 12, max_in_flight=8)
    assert server.peak_in_flight <= 2

    started = time.monotonic()
    paint(server, 13, rpm=2400)  # ten a second for one of four workers
    assert time.monotonic() - started > 0.2
