import json
import struct
import zlib
from collections.abc import Callable
from io import BytesIO
from pathlib import Path

import pytest
from PIL import Image
from typer.testing import Result

Invoke = Callable[..., Result]
ROW = {"id": "p1", "image": "cat.png", "capability": "animal", "question": "What is it?", "keywords": ["cat"]}


def png_bytes(side_px: int = 8) -> bytes:
    buffer = BytesIO()
    Image.new("RGB", (side_px, side_px), "red").save(buffer, "PNG")
    return buffer.getvalue()


def png_that_claims(width_px: int, height_px: int) -> bytes:
    """Return a small file whose header promises a huge picture."""
    data = png_bytes()
    header = struct.pack(">II", width_px, height_px) + data[24:29]
    return data[:16] + header + struct.pack(">I", zlib.crc32(b"IHDR" + header)) + data[33:]


def photos(folder: Path, rows: bytes, picture: bytes | None) -> Path:
    folder.mkdir()
    (folder / "items.jsonl").write_bytes(rows)
    if picture is not None:
        (folder / "cat.png").write_bytes(picture)
    return folder


def row(**changes: object) -> bytes:
    return json.dumps({**ROW, **changes}).encode() + b"\n"


@pytest.mark.parametrize(
    ("rows", "picture", "said"),
    [
        (row(), None, "'cat.png' is not in"),
        (row(), png_bytes(400)[:-60], "truncated"),
        (row(), png_that_claims(50_000, 50_000), "too large"),
        (row(), b"no picture", "not a whole PNG, JPEG or WebP"),
        (row(image="../cat.png"), png_bytes(), "leaves "),
        (row(image="/etc/passwd"), png_bytes(), "leaves "),
        (row(keywords=[]), png_bytes(), "keywords are empty"),
        (row(question=" "), png_bytes(), "question is empty"),
        (row(question="<image> or <image>?"), png_bytes(), "2 <image> tags for 1 images"),
        (b'{"id": "\xff"}\n', png_bytes(), "not UTF-8"),
        (b'{"id": 1,,}\n', png_bytes(), "broken JSON"),
        (b"", png_bytes(), "no usable row"),
    ],
    ids=[
        "missing", "truncated", "bomb", "no-picture", "path-leaves", "path-absolute", "no-answer", "no-question",
        "tags", "not-utf8", "not-json", "empty",
    ],
)  # fmt: skip
def test_bad_photos_end_with_one_message_and_exit_code_2_before_any_model(
    invoke: Invoke, tmp_path: Path, rows: bytes, picture: bytes | None, said: str
) -> None:
    folder = photos(tmp_path / "photos", rows, picture)

    result = invoke("evaluate", "--model", "no/model", "--suite", "photos", "--data", folder)

    assert result.exit_code == 2
    assert said in result.stderr
    assert "Traceback" not in result.output


def test_photos_need_a_folder(invoke: Invoke) -> None:
    result = invoke("evaluate", "--model", "no/model", "--suite", "photos")

    assert result.exit_code == 2
    assert "--data" in result.stderr


def test_a_folder_that_is_no_suite_is_named(invoke: Invoke, tmp_path: Path) -> None:
    result = invoke("evaluate", "--model", "no/model", "--suite", "photos", "--data", tmp_path)

    assert result.exit_code == 2
    assert "items.jsonl" in result.stderr


def test_the_demo_refuses_bad_photos_before_any_work(invoke: Invoke, tmp_path: Path) -> None:
    folder = photos(tmp_path / "photos", row(), None)

    result = invoke("demo", "--photos", folder)

    assert result.exit_code == 2
    assert not (tmp_path / "runs").exists()
