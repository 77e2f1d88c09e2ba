import json
import struct
import zlib
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import pytest

from stablellava.core.errors import RecordError
from stablellava.evaluation.suites import load_suite

SuiteWriter = Callable[..., Path]


def photo_row(row_id: str, keywords: Sequence[str] = ("cat",), **changes: Any) -> dict[str, Any]:
    row = {"id": row_id, "image": "images/a.png", "capability": "animal", "question": "What is it?"}
    return {**row, "keywords": list(keywords), **changes}


def test_photo_rows_become_wh_items_with_the_digest_of_their_picture(write_suite: SuiteWriter) -> None:
    suite = load_suite(write_suite([photo_row("one", ["cat", "kitten"])]))
    (item,) = suite.items
    assert (item.item_id, item.form, item.accepted) == ("one", "wh", ("cat", "kitten"))
    assert len(item.images_sha256[0]) == 64


def test_items_of_generated_suites_are_read_as_they_are(write_suite: SuiteWriter) -> None:
    row = {
        "item_id": "x", "capability": "color", "images": ["images/a.png"], "question": "Red or blue?",
        "accepted": ["red"], "rejected": ["blue"], "form": "either_or", "keyword": "red car", "setting": "beach",
    }  # fmt: skip
    (item,) = load_suite(write_suite([row])).items
    assert (item.form, item.rejected, item.setting) == ("either_or", ("blue",), "beach")


def test_the_fingerprint_follows_questions_and_pictures(write_suite: SuiteWriter) -> None:
    first = load_suite(write_suite([photo_row("one")])).fingerprint
    assert load_suite(write_suite([photo_row("one")])).fingerprint == first
    assert load_suite(write_suite([photo_row("one", question="Which animal?")])).fingerprint != first


def _item_row(**changes: Any) -> dict[str, Any]:
    row = {"item_id": "x", "capability": "c", "images": ["images/a.png"], "question": "Q?", "accepted": ["cat"]}
    return {**row, **changes}


@pytest.mark.parametrize(
    ("row", "message"),
    [
        (photo_row("x", image="images/none.png"), "images/none.png"),
        (photo_row("x", image="../outside.png"), "outside.png' leaves"),
        (photo_row("x", image="/etc/passwd"), "leaves"),
        (photo_row("x", keywords=[]), "keywords are empty"),
        (photo_row("x", keywords=["cat", "?!"]), "has no letter"),
        (photo_row("x", question=" "), "question is empty"),
        (photo_row("x", colour="red"), "colour"),
        ({**photo_row("x"), "keywords": "cat"}, "keywords"),
        (_item_row(form="yes_no", accepted=["cat"]), "exactly"),
        (_item_row(form="either_or"), "rejected"),
        (_item_row(form="either_or", rejected=["Cat"]), "both accepted and rejected"),
        (_item_row(question="<image> and <image>?"), "2 <image> tags for 1"),
        (_item_row(images=[]), "no image"),
        (_item_row(images_sha256=["0" * 64]), "sha256 differs"),
    ],
)
def test_a_bad_row_is_refused_with_file_line_id_and_value(
    write_suite: SuiteWriter, row: dict[str, Any], message: str
) -> None:
    folder = write_suite([photo_row("fine"), row])
    with pytest.raises(RecordError, match="line 2, id 'x'") as caught:
        load_suite(folder)
    assert message in str(caught.value)
    assert str(folder / "items.jsonl") in str(caught.value)


def test_broken_json_and_foreign_encodings_name_line_and_column(write_suite: SuiteWriter) -> None:
    folder = write_suite([])
    (folder / "items.jsonl").write_bytes(b'\n{"id": "x",}\n')
    with pytest.raises(RecordError, match="line 2: broken JSON"):
        load_suite(folder)
    (folder / "items.jsonl").write_bytes(b'{"id": "caf\xe9"}\n')
    with pytest.raises(RecordError, match="line 1: not UTF-8: byte 0xe9 at column 12"):
        load_suite(folder)
    (folder / "items.jsonl").write_bytes(b"[1]\n")
    with pytest.raises(RecordError, match="must be a JSON object"):
        load_suite(folder)


def test_an_id_used_twice_is_refused(write_suite: SuiteWriter) -> None:
    with pytest.raises(RecordError, match="line 2, id 'x': this id stands in an earlier row"):
        load_suite(write_suite([photo_row("x"), photo_row("x")]))


def _png_of_claimed_size(width: int, height: int) -> bytes:
    header = struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0)
    return b"\x89PNG\r\n\x1a\n" + _chunk(b"IHDR", header) + _chunk(b"IDAT", zlib.compress(b"\0"))


def _chunk(name: bytes, data: bytes) -> bytes:
    return struct.pack(">I", len(data)) + name + data + struct.pack(">I", zlib.crc32(name + data))


def test_a_huge_picture_is_refused_from_its_header(write_suite: SuiteWriter) -> None:
    folder = write_suite([photo_row("x", image="images/huge.png")])
    (folder / "images" / "huge.png").write_bytes(_png_of_claimed_size(50_000, 50_000))
    with pytest.raises(RecordError, match="large"):
        load_suite(folder)


def test_a_truncated_picture_and_a_file_that_is_none_are_refused(write_suite: SuiteWriter) -> None:
    folder = write_suite([photo_row("x", image="images/cut.png")])
    whole = (folder / "images" / "a.png").read_bytes()
    for damaged in (whole[: len(whole) - 30], b"not a picture", b""):
        (folder / "images" / "cut.png").write_bytes(damaged)
        with pytest.raises(RecordError, match="id 'x'"):
            load_suite(folder)


def test_a_link_that_leaves_the_folder_is_refused(write_suite: SuiteWriter, tmp_path: Path) -> None:
    folder = write_suite([photo_row("x", image="images/link.png")])
    (tmp_path / "outside.png").write_bytes((folder / "images" / "a.png").read_bytes())
    (folder / "images" / "link.png").symlink_to(tmp_path / "outside.png")
    with pytest.raises(RecordError, match="leaves"):
        load_suite(folder)


def test_good_rows_are_kept_and_bad_ones_listed_when_asked(write_suite: SuiteWriter) -> None:
    folder = write_suite([photo_row("a"), photo_row("b", image="images/none.png"), photo_row("c")])
    with (folder / "items.jsonl").open("ab") as file:
        file.write(b"{broken\n")
    suite = load_suite(folder, keep_going=True)
    assert [item.item_id for item in suite.items] == ["a", "c"]
    assert [(bad.line, bad.item_id) for bad in suite.bad_rows] == [(2, "b"), (4, "")]


def test_a_folder_without_usable_rows_is_refused(write_suite: SuiteWriter, tmp_path: Path) -> None:
    with pytest.raises(RecordError, match="no suite"):
        load_suite(tmp_path)
    with pytest.raises(RecordError, match="no usable row"):
        load_suite(write_suite([]))
    with pytest.raises(RecordError, match=r"no usable row.*first problem"):
        load_suite(write_suite([photo_row("x", image="gone.png")]), keep_going=True)


def test_blank_lines_are_no_rows(write_suite: SuiteWriter) -> None:
    folder = write_suite([])
    (folder / "items.jsonl").write_text("\n" + json.dumps(photo_row("a")) + "\n\n")
    assert len(load_suite(folder).items) == 1
