import base64
import io
from collections.abc import Sequence
from pathlib import Path

import pytest
from PIL import Image

from fault_server import Fault, FaultServer, serve
from stablellava.backends.catalog import build_backend
from stablellava.core.errors import BackendFailed
from stablellava.core.sample import Painted, Painting, PaintJob, PaintRefusal
from stablellava.store.journal import ShardJournal
from stablellava.synthesis.painting import Easel


class WatchedPainter:
    """A painter that keeps what it was asked for; can leave the last job of a call unanswered."""

    name = "watched"
    attribution = ""
    revision = "1"

    def __init__(self, is_short: bool = False) -> None:
        self._painter = build_backend("painter", "fake-painter")
        self._is_short = is_short
        self.calls: list[tuple[str, ...]] = []

    def paint(self, jobs: Sequence[PaintJob]) -> list[Painted | PaintRefusal]:
        self.calls.append(tuple(job.painting_id for job in jobs))
        results: list[Painted | PaintRefusal] = self._painter.paint(jobs)
        return results[:-1] if self._is_short else results


def make_jobs(count: int) -> list[PaintJob]:
    return [
        PaintJob(painting_id=f"p{number:02d}", text="dog, beach", seed=number, width_px=32, height_px=32)
        for number in range(count)
    ]


def test_a_resumed_shard_paints_the_same_pictures_together(tmp_path: Path) -> None:
    jobs = make_jobs(40)
    whole = WatchedPainter()
    expected = Easel(whole, tmp_path / "whole", ShardJournal(tmp_path / "whole.jsonl")).paint(jobs)
    lines = (tmp_path / "whole.jsonl").read_bytes().splitlines(keepends=True)
    (tmp_path / "torn.jsonl").write_bytes(b"".join(lines[:20]) + lines[20][:30])
    resumed = WatchedPainter()
    easel = Easel(resumed, tmp_path / "torn", ShardJournal(tmp_path / "torn.jsonl"))
    assert easel.paint(jobs) == expected
    assert resumed.calls == whole.calls[1:]
    assert easel.num_painted == sum(map(len, resumed.calls))
    assert all(isinstance(outcome, Painting) for outcome in expected)


def test_a_picture_out_of_the_cache_gives_the_same_record(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("OPENAI_API_KEY", "test-key-7d1f0c")
    buffer = io.BytesIO()
    Image.new("RGB", (32, 32), "red").save(buffer, format="PNG")
    picture = {"data": [{"b64_json": base64.b64encode(buffer.getvalue()).decode()}]}
    with serve(FaultServer(lambda number, body: Fault("json", picture))) as server:
        options = {"model": "m", "base_url": server.base_url, "cache_file": str(tmp_path / "c.sqlite")}
        painter = build_backend("painter", "openai-images", options)
        first, second = (
            Easel(painter, tmp_path / name, ShardJournal(tmp_path / f"{name}.jsonl")).paint(make_jobs(3))
            for name in ("first", "second")
        )
        painter.close()
    assert len(server.bodies) == 3
    assert first == second


def test_a_job_without_an_answer_is_an_error(tmp_path: Path) -> None:
    easel = Easel(WatchedPainter(is_short=True), tmp_path, ShardJournal(tmp_path / "journal.jsonl"))
    with pytest.raises(BackendFailed, match="15 results for 16 jobs"):
        easel.paint(make_jobs(40))
