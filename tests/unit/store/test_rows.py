import gzip
import io
import json
from pathlib import Path
from typing import Any

import pytest

from stablellava.core.errors import RecordError
from stablellava.core.sample import Rejected
from stablellava.store.imports import ImportedFile, ImportedRow, parse_bracketed, read_rows

GOOD = {
    "id": "0",
    "image": "animal/0.jpg",
    "prompt": "((Peacock)), garden",
    "question": "<image>\nWhat?",
    "answer": "A.",
}


def released(tmp_path: Path, *rows: Any) -> ImportedFile:
    path = tmp_path / "animal.json"
    path.write_text(json.dumps(rows))
    return read_rows(path, "animal")


def llava(tmp_path: Path, image: Any, *turns: tuple[str, str]) -> ImportedRow | Rejected:
    conversations = [{"from": speaker, "value": value} for speaker, value in turns]
    path = tmp_path / "rows.json"
    path.write_text(json.dumps([{"id": "1", "image": image, "conversations": conversations}]))
    return read_rows(path, "animal").rows[0]


def test_a_released_row_becomes_a_draft_with_its_emphasis_as_data(tmp_path: Path) -> None:
    (row,) = released(tmp_path, GOOD).rows
    assert isinstance(row, ImportedRow)
    assert row.draft.prompts[0].text == "peacock, garden"
    assert row.draft.prompts[0].emphasis[0][0] == row.draft.keyword == "peacock"
    assert [turn.text for turn in row.draft.turns] == ["What?", "A."]
    assert row.draft.turns[0].images == (0,)


def test_a_packed_file_reads_like_a_plain_one(tmp_path: Path) -> None:
    plain = released(tmp_path, GOOD).rows
    packed = tmp_path / "animal.json.gz"
    packed.write_bytes(gzip.compress(json.dumps([GOOD]).encode()))
    assert read_rows(packed, "animal").rows == plain


@pytest.mark.parametrize(
    ("changes", "reason"),
    [
        ({"answer": " "}, "empty_turn"),
        ({"question": "<image>\n"}, "empty_turn"),
        ({"answer": None}, "field_missing"),
        ({"question": "What?"}, "images_mismatch"),
        ({"question": "<image> and <image>?"}, "images_mismatch"),
        ({"answer": "<image> A."}, "images_mismatch"),
        ({"prompt": "peacock, garden"}, "keyword_not_marked"),
    ],
)
def test_a_bad_row_is_listed_with_number_and_reason_and_the_others_stay(
    tmp_path: Path, changes: dict[str, Any], reason: str
) -> None:
    first, bad, last = released(tmp_path, GOOD, {**GOOD, **changes}, {**GOOD, "answer": "Another."}).rows
    assert isinstance(first, ImportedRow) and isinstance(last, ImportedRow)
    assert isinstance(bad, Rejected)
    assert (bad.reason, bad.stage) == (reason, "import")
    assert bad.detail.startswith("row 2: ")


def test_rows_that_repeat_an_earlier_one_are_counted_and_dropped(tmp_path: Path) -> None:
    file = released(tmp_path, GOOD, {**GOOD, "id": "1", "image": "animal/1.jpg"}, "no row", {**GOOD, "answer": "B."})
    assert file.num_exact_duplicates == 1
    assert [row.reason for row in file.rows if isinstance(row, Rejected)] == ["duplicate_row", "not_an_object"]


def test_hyphens_and_brackets_of_released_prompts_are_undone() -> None:
    prompt = parse_bracketed("((Yellow-cornflower)), field, , 8k")
    assert prompt.text == "yellow cornflower, field, 8k"
    assert prompt.bracketed == "((yellow cornflower)), field, 8k"


def test_llava_rows_keep_their_turns_and_pictures(tmp_path: Path) -> None:
    turns = (("human", "<image>\n<image>\nCompare."), ("gpt", "Two."), ("human", "Why?"), ("gpt", "So."))
    row = llava(tmp_path, ["a.png", "b.png"], *turns)
    assert isinstance(row, ImportedRow)
    assert row.images == ("a.png", "b.png")
    assert [turn.images for turn in row.draft.turns] == [(0, 1), (), (), ()]


@pytest.mark.parametrize(
    ("image", "turns", "reason"),
    [
        ("a.png", (("human", "What?"), ("gpt", "A.")), "images_mismatch"),
        (["a.png"], (("human", "<image><image> What?"), ("gpt", "A.")), "images_mismatch"),
        ("a.png", (("human", "<image> What?"), ("gpt", "")), "empty_turn"),
        ("a.png", (("gpt", "A."), ("human", "<image> What?")), "turns_out_of_order"),
        ("a.png", (("robot", "<image> What?"),), "bad_speaker"),
        ("a.png", (), "field_missing"),
        (None, (("human", "<image> What?"), ("gpt", "A.")), "field_missing"),
    ],
)
def test_bad_llava_rows_have_a_reason(
    tmp_path: Path, image: Any, turns: tuple[tuple[str, str], ...], reason: str
) -> None:
    row = llava(tmp_path, image, *turns)
    assert isinstance(row, Rejected)
    assert row.reason == reason


@pytest.mark.parametrize(
    ("data", "message"),
    [
        ("[{'a'".encode("utf-16"), "not UTF-8; save the file as UTF-8"),
        (b'[{"prompt": "caf\xe9"}]', "line 1, byte 16 is not UTF-8"),
        (b"[{", "not JSON"),
        (b"{}", "expected a list of rows"),
        (b"[]", "empty list"),
        (b'[{"a": 1}]', "no row has 'conversations'"),
    ],
)
def test_a_file_of_the_wrong_kind_is_one_clear_error(tmp_path: Path, data: bytes, message: str) -> None:
    path = tmp_path / "animal.json"
    path.write_bytes(data)
    with pytest.raises(RecordError, match=message):
        read_rows(path, "animal")


def test_a_missing_or_torn_file_is_one_clear_error(tmp_path: Path) -> None:
    with pytest.raises(RecordError, match="no such file"):
        read_rows(tmp_path / "no.json", "animal")
    buffer = io.BytesIO()
    with gzip.GzipFile(fileobj=buffer, mode="wb") as file:
        file.write(json.dumps([GOOD] * 50).encode())
    torn = tmp_path / "animal.json.gz"
    torn.write_bytes(buffer.getvalue()[:-20])
    with pytest.raises(RecordError, match="cannot be read"):
        read_rows(torn, "animal")
