import gzip
import io
import json
import tarfile
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

import tiny_vlm
from broken_rows import say, write_pictures
from stablellava.config.training import SourceSettings
from stablellava.core.errors import ConfigError, RecordError
from stablellava.store.exports import export_samples
from stablellava.store.image_refs import load_rgb
from stablellava.training.data import TrainingExample
from stablellava.training.sources.checking import check_source
from stablellava.training.sources.json_files import JsonFile
from stablellava.training.sources.source import Source, open_source

SHOWN = say("<image>\nWhat?", "A dog.")


@pytest.fixture
def images(tmp_path: Path) -> Path:
    write_pictures(tmp_path / "images")
    return tmp_path / "images"


def open_path(path: Path | str, images: Path | str = "") -> Source:
    return open_source(SourceSettings(path=str(path), images=str(images)), "source")


def examples_of(path: Path | str, images: Path | str = "") -> list[TrainingExample]:
    source = open_path(path, images)
    return [source.read(place).example for place in range(len(source))]


def reasons_of(path: Path | str, images: Path | str = "") -> dict[int, str]:
    return {row.row: row.reason for row in check_source(open_path(path, images)).bad}


def write_json(path: Path, rows: Any) -> Path:
    path.write_text(json.dumps(rows), encoding="utf-8")
    return path


def read_all(path: Path) -> list[Any]:
    file = JsonFile(path)
    return [file.read(place) for place in range(len(file))]


ROWS = [{"a": '}{][" \\'}, {"b": [{"c": "\u72ac \U0001f99a \\\\"}]}, 7, "x, ]", None, [1, [2]], {}, 1.5, True]


@pytest.mark.parametrize("indent", [None, 2])
@pytest.mark.parametrize("ensure_ascii", [False, True])
def test_a_json_list_is_cut_into_its_values(tmp_path: Path, indent: int | None, ensure_ascii: bool) -> None:
    path = tmp_path / "rows.json"
    path.write_text(json.dumps(ROWS, indent=indent, ensure_ascii=ensure_ascii), encoding="utf-8")
    assert read_all(path) == ROWS
    packed = tmp_path / "rows.json.gz"
    packed.write_bytes(gzip.compress(b"\xef\xbb\xbf" + path.read_bytes()))
    assert read_all(packed) == ROWS


def test_json_lines_are_numbered_as_an_editor_does(tmp_path: Path) -> None:
    path = tmp_path / "rows.jsonl"
    path.write_bytes(b'{"a": 1}\r\n\n  \n{"a": "\\n"}\n{"a": \n{"a": 3}')
    file = JsonFile(path)
    assert [file.number_of(place) for place in range(len(file))] == [1, 4, 5, 6]
    assert reasons_of(path)[5] == "not_json"
    assert file.read(3) == {"a": 3}


def test_a_row_that_is_no_json_is_listed_and_its_neighbours_are_kept(tmp_path: Path) -> None:
    good = json.dumps({"conversations": say("What?", "A.")})
    surrogate = good.replace("What", "\\ud800")
    number = good.replace('"What?"', "NaN")
    path = tmp_path / "rows.json"
    path.write_text(f"[{good}, {surrogate}, {good}, {number}, {good}, {{'a': 1}}, {good}]")
    assert reasons_of(path) == {2: "not_json", 4: "not_json", 6: "not_json"}


def test_a_list_that_ends_early_says_so(tmp_path: Path) -> None:
    good = json.dumps({"conversations": say("What?", "A.")})
    for cut, row in ((len(good) + 20, 2), (2 * len(good) + 3, 3)):
        path = tmp_path / "rows.json"
        path.write_text(f"[{good}, {good}, {good}]"[:cut])
        assert reasons_of(path) == {row: "not_json"}, cut


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"", "the file is empty"),
        (b"\xff\xfe[", "neither a JSON list nor JSON lines"),
        (b"hello", "begins with b'hello'"),
    ],
)
def test_what_is_no_table_of_rows_is_refused(tmp_path: Path, content: bytes, message: str) -> None:
    path = tmp_path / "rows.json"
    path.write_bytes(content)
    with pytest.raises(RecordError, match=message):
        open_path(path)


def test_rows_show_none_one_or_several_pictures(tmp_path: Path, images: Path) -> None:
    rows = [
        {"id": 1, "image": "rgb.png", "conversations": SHOWN},
        {
            "id": "two",
            "image": ["rgb.png", "cmyk.jpg"],
            "conversations": say("<image>\nA?", "B.", "<image>\nC?", "D <image>."),
        },
        {"conversations": say("What does <image> mean?", "A tag.")},
        {"image": "rgb.png", "conversations": [{"from": "system", "value": "Be brief."}, *SHOWN]},
    ]
    one, two, text, brief = examples_of(write_json(tmp_path / "rows.json", rows), images)
    assert (one.example_id, one.turns[0].text, one.turns[0].images) == ("1", "What?", (0,))
    assert ([turn.images for turn in two.turns], two.turns[3].text) == ([(0,), (), (1,), ()], "D <image>.")
    assert (text.example_id, text.images, text.turns[0].text) == ("rows.json:3", (), "What does <image> mean?")
    assert brief.system == "Be brief."


def test_released_rows_find_their_pictures_whether_numbers_are_padded_or_not(tmp_path: Path, images: Path) -> None:
    (images / "food").mkdir()
    for name in ("food/0.jpg", "food/000000000012.png", "7.jpg"):
        (images / name).write_bytes((images / "rgb.png").read_bytes())
    rows = [
        {
            "id": "0",
            "image": "food/000000000000.jpg",
            "prompt": "((Ramen))",
            "question": "<image>\nWhat?",
            "answer": "Ramen.",
        },
        {"id": "12", "image": "food/12.jpg", "prompt": "((Soup))", "question": "What?\n<image>", "answer": "Soup."},
        {"id": "7", "prompt": "((Pie))", "question": "<image>", "answer": "Pie."},
        {"id": "8", "image": "food/8.jpg", "prompt": "((Egg))", "question": "<image>", "answer": "Egg."},
    ]
    path = write_json(tmp_path / "released.json", rows)
    source = open_path(path, images)
    found = [source.read(place).example for place in range(3)]
    assert [image.name for example in found for image in example.images] == ["0.jpg", "000000000012.png", "7.jpg"]
    assert found[0].turns[1].text == "Ramen."
    assert reasons_of(path, images) == {4: "image_missing"}


def test_chat_messages_may_be_texts_or_parts(tmp_path: Path, images: Path) -> None:
    part = {"type": "image", "text": None}
    answer = {"role": "assistant", "content": [{"type": "text", "text": "A dog."}]}
    rows = [
        {
            "images": ["rgb.png"],
            "messages": [{"role": "user", "content": [part, {"type": "text", "text": "A?"}]}, answer],
        },
        {"images": ["rgb.png"], "messages": [{"role": "user", "content": "<image>\nA?"}, answer]},
        {"messages": [{"role": "user", "content": [{"type": "image", "image": "rgb.png"}]}, answer]},
        {
            "messages": [
                {"role": "user", "content": [{"type": "image_url", "image_url": {"url": "http://x/a.jpg"}}]},
                answer,
            ]
        },
        {"images": [], "messages": [{"role": "user", "content": [part]}, answer]},
        {"messages": [{"role": "user", "content": "Hi."}, {"role": "tool", "content": "7"}, answer]},
        {"messages": [{"role": "user", "content": "Hi."}, {"role": "assistant", "content": None}]},
        {"messages": [{"role": "user", "content": [{"type": "video"}]}, answer]},
    ]
    path = tmp_path / "rows.jsonl"
    path.write_text("\n".join(map(json.dumps, rows)))
    source = open_path(path, images)
    read = [source.read(place).example for place in range(3)]
    assert [(turns[0].text, turns[0].images) for turns in (example.turns for example in read)] == [
        ("A?", (0,)),
        ("A?", (0,)),
        ("", (0,)),
    ]
    assert reasons_of(path, images) == {
        4: "image_is_remote",
        5: "images_mismatch",
        6: "unknown_speaker",
        7: "field_wrong_type",
        8: "unknown_part",
    }


@pytest.mark.parametrize("form", ["llava", "messages", "webdataset", "parquet"])
def test_our_own_exports_and_run_directories_say_the_same(tmp_path: Path, form: str) -> None:
    data_dir = tmp_path / "run" / "data"
    tiny_vlm.write_samples(data_dir, 5)
    report = export_samples(data_dir, tmp_path / "out", form)
    own = examples_of(tmp_path / "run")
    exported = examples_of(report.path)
    for mine, theirs in zip(own, exported, strict=True):
        assert (mine.example_id, mine.turns) == (theirs.example_id, theirs.turns)
        assert [image.read_bytes() for image in mine.images] == [image.read_bytes() for image in theirs.images]


def test_parquet_pictures_stay_in_their_row_groups_until_they_are_asked_for(tmp_path: Path, images: Path) -> None:
    data = (images / "rgb.png").read_bytes()
    rows = [
        {
            "id": number,
            "images": [{"bytes": data, "path": None}] * (number % 3),
            "conversations": say("<image>" * (number % 3) + "What?", "A."),
        }
        for number in range(10)
    ]
    rows[4]["images"] = [{"bytes": None, "path": "cmyk.jpg"}]
    rows[5]["images"] = [{"bytes": b"<html>", "path": "a.jpg"}, {"bytes": data, "path": "b.jpg"}]
    rows[7]["images"] = [{"bytes": None, "path": None}]
    path = tmp_path / "rows.parquet"
    pq.write_table(pa.Table.from_pylist(rows), path, row_group_size=3)
    assert reasons_of(path, images) == {6: "image_unreadable", 8: "image_missing"}
    read = examples_of(path, images)
    assert [len(example.images) for example in read] == [number % 3 for number in range(10)]
    assert load_rgb(read[9 - 1].images[1]).size == (16, 16)
    assert read[4].images[0].read_bytes() == (images / "cmyk.jpg").read_bytes()
    assert len({image for example in read for image in example.images}) == 9


def test_parquet_columns_of_plain_bytes_and_of_paths_are_read(tmp_path: Path, images: Path) -> None:
    data = (images / "rgb.png").read_bytes()
    for name, values in (("bytes", [data, None]), ("paths", ["rgb.png", None])):
        turns = [say("<image>\nWhat?", "A."), say("What?", "A.")]
        path = tmp_path / f"{name}.parquet"
        pq.write_table(pa.table({"image": values, "conversations": turns}), path)
        read = examples_of(path, images)
        assert [image.read_bytes() for example in read for image in example.images] == [data]


@pytest.mark.parametrize("compression", ["none", "gzip"])
def test_pictures_in_a_damaged_row_group_are_listed_and_those_beside_it_kept(
    tmp_path: Path, images: Path, compression: str
) -> None:
    picture = {"bytes": (images / "rgb.png").read_bytes(), "path": "a.png"}
    path = tmp_path / "rows.parquet"
    table = pa.Table.from_pylist([{"image": picture, "conversations": SHOWN} for _ in range(4)])
    options = {"compression": compression, "use_dictionary": False, "write_statistics": False}
    pq.write_table(table, path, row_group_size=2, **options)
    first = pq.ParquetFile(path).metadata.row_group(0)
    columns = {first.column(place).path_in_schema: first.column(place) for place in range(first.num_columns)}
    start = columns["image.bytes"].data_page_offset + columns["image.bytes"].total_compressed_size // 2
    data = bytearray(path.read_bytes())
    data[start : start + 64] = b"\xff" * 64
    path.write_bytes(data)
    report = check_source(open_path(path, images))
    assert {row.row: row.reason for row in report.bad} == {1: "image_unreadable", 2: "image_unreadable"}
    assert all("row group 0" in row.detail and "None" not in row.detail for row in report.bad)


def add_member(tar: tarfile.TarFile, name: str, data: bytes) -> None:
    member = tarfile.TarInfo(name)
    member.size = len(data)
    tar.addfile(member, io.BytesIO(data))


def write_tar(path: Path, images: Path) -> None:
    picture, row = (images / "rgb.png").read_bytes(), json.dumps({"conversations": SHOWN}).encode()
    with tarfile.open(path, "w") as tar:
        add_member(tar, "a/000.png", picture)
        add_member(tar, "a/000.json", row)
        add_member(
            tar,
            "a/001.json",
            json.dumps({"image": ["x.jpg", "y.jpg"], "conversations": say("<image><image>", "A.")}).encode(),
        )
        add_member(tar, "a/001.0.png", picture)
        add_member(tar, "a/001.1.gif", (images / "animated.gif").read_bytes())
        add_member(tar, "a/002.jpg", picture)
        add_member(tar, "a/002.txt", "A caption, \u72ac.".encode())
        add_member(tar, "a/003.json", json.dumps({"conversations": say("Hi.", "Bye.")}).encode())
        add_member(tar, "a/" + "long" * 60 + ".png", picture)
        add_member(tar, "a/" + "long" * 60 + ".json", row)


def test_tars_are_read_in_place(tmp_path: Path, images: Path) -> None:
    write_tar(tmp_path / "part-0.tar", images)
    write_tar(tmp_path / "part-1.tar", images)
    read = examples_of(tmp_path / "part-*.tar")
    assert [len(example.images) for example in read] == [1, 2, 1, 0, 1] * 2
    assert read[2].turns[1].text == "A caption, \u72ac."
    assert [load_rgb(image).mode for example in read for image in example.images] == ["RGB"] * 10
    assert read[5].images[0].name == "part-1.tar/a/000.png"
    assert reasons_of(tmp_path / "part-*.tar") == {}


def test_no_member_of_a_tar_reaches_outside(tmp_path: Path, images: Path) -> None:
    row, picture = json.dumps({"conversations": SHOWN}).encode(), (images / "rgb.png").read_bytes()
    secret = tmp_path / "secret.png"
    secret.write_bytes(picture)
    path = tmp_path / "tars" / "evil.tar"
    path.parent.mkdir()
    with tarfile.open(path, "w") as tar:
        for name, kind in (("up", tarfile.SYMTYPE), ("hard", tarfile.LNKTYPE), ("device", tarfile.CHRTYPE)):
            member = tarfile.TarInfo(f"{name}.png")
            member.type, member.linkname = kind, str(secret)
            tar.addfile(member)
            add_member(tar, f"{name}.json", row)
        add_member(tar, "../../escaped.json", row)
        add_member(tar, "/absolute.json", row)
        add_member(tar, "named.json", json.dumps({"image": "../secret.png", "conversations": SHOWN}).encode())
        add_member(tar, "picture.png", picture)
        add_member(tar, "broken.json", b"{")
        add_member(tar, "fine.png", picture)
        add_member(tar, "fine.json", row)
    before = sorted(tmp_path.rglob("*"))
    assert reasons_of(path) == {
        **dict.fromkeys((1, 2, 3), "member_not_a_file"),
        **dict.fromkeys((4, 5), "member_outside"),
        6: "image_outside_folder",
        7: "no_text_member",
        8: "not_json",
    }
    assert sorted(tmp_path.rglob("*")) == before


def test_a_tar_that_ends_early_loses_its_last_sample_only(tmp_path: Path, images: Path) -> None:
    path = tmp_path / "part.tar"
    write_tar(path, images)
    with tarfile.open(path) as tar:
        cut = tar.getmember("a/003.json").offset_data + 5
    path.write_bytes(path.read_bytes()[:cut])
    assert reasons_of(path) == {4: "tar_damaged"}


def test_a_compressed_tar_is_refused_with_advice(tmp_path: Path) -> None:
    path = tmp_path / "part.tar"
    path.write_bytes(gzip.compress(b"x" * 2000))
    with pytest.raises(RecordError, match="unpack a compressed one first"):
        open_path(path)


def test_a_folder_is_all_its_files_in_order(tmp_path: Path) -> None:
    for name in ("b.jsonl", "a.json", "notes.txt"):
        (tmp_path / name).write_text(json.dumps({"id": name, "conversations": say("Q", "A")}))
    assert [example.example_id for example in examples_of(tmp_path)] == ["a.json", "b.jsonl"]


@pytest.mark.parametrize(
    ("path", "message"),
    [
        ("gone.json", "is not there"),
        ("*.tar", "is not matched by any file"),
        (".", "nor does it hold files"),
        ("rows.csv", "ends in none of"),
        ("https://x/rows.json", "is not on this machine"),
    ],
)
def test_a_source_that_cannot_be_is_refused_with_its_path(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, path: str, message: str
) -> None:
    (tmp_path / "rows.csv").write_text("a,b")
    monkeypatch.chdir(tmp_path)
    with pytest.raises(ConfigError, match=message) as caught:
        open_path(path)
    assert path in str(caught.value)


def test_links_that_lie_in_the_folder_are_followed(tmp_path: Path, images: Path) -> None:
    (tmp_path / "linked").mkdir()
    (tmp_path / "linked" / "coco").symlink_to(images)
    path = write_json(tmp_path / "rows.json", [{"image": "coco/rgb.png", "conversations": SHOWN}])
    assert reasons_of(path, tmp_path / "linked") == {}


def test_a_file_whose_name_looks_like_a_pattern_is_a_file(tmp_path: Path) -> None:
    path = write_json(tmp_path / "rows [1].json", [{"conversations": say("Q", "A")}])
    assert len(open_path(path)) == 1


def test_a_file_in_the_working_directory_finds_its_pictures_and_nothing_above_them(
    images: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(images.parent)
    inside, outside, beside = (f"{folder}/rgb.png" for folder in ("images", "../images", "images/../../images"))
    rows = [{"image": name, "conversations": SHOWN} for name in (inside, outside, beside)]
    Path("rows.json").write_text(json.dumps(rows))
    report = check_source(open_path("rows.json"), decode=False)
    assert (report.num_rows, report.num_good) == (3, 1)
    assert report.reasons == {"image_outside_folder": 2}


def test_the_folder_above_the_files_of_an_export_is_answered_with_theirs(tmp_path: Path) -> None:
    (tmp_path / "data").mkdir()
    with pytest.raises(ConfigError, match=r"is '.*/data' meant\?"):
        open_path(tmp_path)
