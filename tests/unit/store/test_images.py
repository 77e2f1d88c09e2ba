import hashlib
import io
import struct
import zlib
from collections.abc import Callable
from pathlib import Path

import pytest
from PIL import Image

from stablellava.core.errors import RecordError
from stablellava.store.image_refs import decode_rgb
from stablellava.store.images import (
    PictureRefused,
    decode_picture,
    hash_distance,
    image_path,
    read_picture,
    resolve_inside,
    store_image,
    verify_image,
)


def png(color: str = "red", side: int = 16) -> bytes:
    buffer = io.BytesIO()
    Image.new("RGB", (side, side), color).save(buffer, format="PNG")
    return buffer.getvalue()


def png_header(width: int, height: int) -> bytes:
    """A picture that says it is huge; nobody has to hold its pixels to refuse it."""

    def chunk(kind: bytes, body: bytes) -> bytes:
        return struct.pack(">I", len(body)) + kind + body + struct.pack(">I", zlib.crc32(kind + body))

    header = struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0)
    return b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", header) + chunk(b"IDAT", zlib.compress(b"")) + chunk(b"IEND", b"")


def test_a_picture_is_stored_under_its_content_and_found_again(tmp_path: Path) -> None:
    data = png()
    picture = decode_picture(data, "x")
    store_image(tmp_path, data, picture)
    store_image(tmp_path, data, picture)
    assert picture.sha256 == hashlib.sha256(data).hexdigest()
    assert image_path(tmp_path, picture.sha256).read_bytes() == data
    assert len(list(tmp_path.rglob("*.png"))) == 1
    verify_image(tmp_path, picture.sha256)


def test_a_changed_picture_is_noticed(tmp_path: Path) -> None:
    data = png()
    picture = decode_picture(data, "x")
    store_image(tmp_path, data, picture)
    image_path(tmp_path, picture.sha256).write_bytes(png("blue"))
    with pytest.raises(RecordError, match="was changed"):
        verify_image(tmp_path, picture.sha256)


def test_a_missing_picture_is_named(tmp_path: Path) -> None:
    with pytest.raises(RecordError, match="picture 12ab is missing"):
        image_path(tmp_path, "12ab")


def test_a_picture_of_50000_by_50000_pixels_is_refused_from_its_header() -> None:
    with pytest.raises(PictureRefused, match=r"row 7: .*50,000 x 50,000|row 7: .*too large") as caught:
        decode_picture(png_header(50_000, 50_000), "row 7")
    assert caught.value.reason == "image_too_large"


def test_a_large_picture_below_pillows_limit_is_refused_by_ours() -> None:
    with pytest.raises(PictureRefused, match="10,000 x 8,000"):
        decode_picture(png_header(10_000, 8_000), "row 7")


@pytest.mark.parametrize("share", [0.2, 0.5, 0.9])
def test_a_truncated_picture_is_refused(share: float) -> None:
    buffer = io.BytesIO()
    Image.effect_noise((64, 64), 50).save(buffer, format="PNG")
    data = buffer.getvalue()
    with pytest.raises(PictureRefused) as caught:
        decode_picture(data[: int(len(data) * share)], "row 3")
    assert caught.value.reason in {"image_truncated", "image_unreadable"}
    assert str(caught.value).startswith("row 3: ")


@pytest.mark.parametrize("decode", [decode_picture, decode_rgb])
def test_what_is_no_picture_is_refused_in_the_same_words_every_time(decode: Callable[[bytes, str], object]) -> None:
    said = set()
    for _ in range(2):
        with pytest.raises(PictureRefused, match=r"row 3.*begins like none") as caught:
            decode(b"<html>not found</html>", "row 3")
        said.add(str(caught.value))
    assert len(said) == 1


@pytest.mark.parametrize("name", ["../secret.png", "/etc/hostname", "a/../../secret.png", "link.png"])
def test_a_path_that_leaves_the_folder_is_refused(tmp_path: Path, name: str) -> None:
    folder = tmp_path / "images"
    folder.mkdir()
    (tmp_path / "secret.png").write_bytes(png())
    (folder / "link.png").symlink_to(tmp_path / "secret.png")
    with pytest.raises(PictureRefused) as caught:
        resolve_inside(folder, name, "row 1")
    assert caught.value.reason == "image_outside_folder"


def test_a_missing_file_is_told_from_one_outside(tmp_path: Path) -> None:
    with pytest.raises(PictureRefused) as caught:
        resolve_inside(tmp_path, "no.png", "row 1")
    assert caught.value.reason == "image_missing"


@pytest.mark.parametrize("name", ["data:image/png;base64," + "iVBORw0KGgo" * 400, "a/" * 3000])
def test_what_is_no_path_at_all_is_refused_in_a_line(tmp_path: Path, name: str) -> None:
    with pytest.raises(PictureRefused) as caught:
        resolve_inside(tmp_path, name, "row 1")
    assert caught.value.reason == "image_missing"
    assert len(str(caught.value)) < 300


def test_a_file_that_cannot_be_read_is_refused(tmp_path: Path) -> None:
    with pytest.raises(PictureRefused, match=r"row 1: gone\.png cannot be read") as caught:
        read_picture(tmp_path / "gone.png", "row 1")
    assert caught.value.reason == "image_unreadable"


def test_similar_pictures_have_near_hashes_and_different_ones_far_ones() -> None:
    def stripes(offset: int, noise: int) -> bytes:
        image = Image.new("L", (64, 64))
        image.putdata([min(255, (x + offset) * 4 % 256 + noise * (y % 2)) for y in range(64) for x in range(64)])
        buffer = io.BytesIO()
        image.save(buffer, format="PNG")
        return buffer.getvalue()

    base, noisy, shifted = (decode_picture(stripes(*args), "x") for args in ((0, 0), (0, 2), (30, 0)))
    assert hash_distance(base.perceptual_hash, noisy.perceptual_hash) <= 4
    assert hash_distance(base.perceptual_hash, shifted.perceptual_hash) >= 8
