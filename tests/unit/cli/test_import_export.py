import json
from collections.abc import Callable
from pathlib import Path

import pytest
from PIL import Image
from typer.testing import Result

Invoke = Callable[..., Result]
PAINTER = "synthesis.painter.backend=fake-painter"
SMALL = "synthesis.size_px=64"
ALONE = "synthesis.num_workers=1"


def released(keyword: str, **changes: object) -> dict[str, object]:
    return {
        "id": f"row-{keyword}",
        "image": f"{keyword}.jpg",
        "prompt": f"(({keyword})), in the garden",
        "question": "<image>\nWhat do you see?",
        "answer": f"A {keyword} in the garden.",
        **changes,
    }


def llava(image: str, **changes: object) -> dict[str, object]:
    turns = [{"from": "human", "value": "<image>\nWhat is this?"}, {"from": "gpt", "value": "A cat."}]
    return {"id": "a", "image": image, "conversations": turns, **changes}


def written(path: Path, rows: list[dict[str, object]]) -> Path:
    path.write_text(json.dumps(rows), encoding="utf-8")
    return path


def test_rows_are_painted_verified_and_exported(invoke: Invoke, tmp_path: Path) -> None:
    path = written(tmp_path / "animal.json", [released("cat"), released("dog"), released("cat")])

    imported = invoke("import", path, PAINTER, SMALL, ALONE, "--run", "run", "--json")
    exported = invoke("export", "--run", "run", "--out", "out", "--json")

    assert imported.exit_code == 0, imported.stderr
    report = json.loads(imported.stdout)
    assert (report["num_rows"], report["num_exact_duplicates"], report["num_drawable_keywords"]) == (3, 1, 2)
    assert json.loads(exported.stdout)["num_samples"] == 2
    rows = json.loads((tmp_path / "out" / "llava.json").read_bytes())
    assert all((tmp_path / "out" / row["image"]).is_file() for row in rows)


def test_an_export_in_files_tells_their_number_and_goes_on_where_it_stopped(invoke: Invoke, tmp_path: Path) -> None:
    invoke("import", written(tmp_path / "animal.json", [released("cat"), released("dog")]), PAINTER, SMALL, ALONE)
    tars = ("export", "--run", "runs/import", "--form", "webdataset", "--shard-samples", 1, "--shard-mb", 2)

    first = invoke(*tars)
    (tmp_path / "runs/import/export/webdataset/train-000001.tar").unlink()
    second = invoke(*tars)
    third = invoke(*tars, "--json")
    other = invoke("export", "--run", "runs/import", "--form", "webdataset")

    assert "2 samples with 2 pictures in 2 files, 0.0 MB" in first.stdout
    assert "export: 2/2" in first.stderr
    assert "in 2 files, 0.0 MB, of which 1 stood there already -> runs/import/export/webdataset" in second.stdout
    report = json.loads(third.stdout)
    assert (report["num_files"], report["num_written"], report["is_whole"]) == (2, 0, True)
    assert other.exit_code == 2
    assert "choose another folder with --out, or delete this one" in other.stderr


def test_limits_for_files_are_refused_where_one_file_is_written(invoke: Invoke, tmp_path: Path) -> None:
    invoke("import", written(tmp_path / "animal.json", [released("cat")]), PAINTER, SMALL, ALONE)

    result = invoke("export", "--run", "runs/import", "--form", "messages", "--shard-mb", 5)

    assert result.exit_code == 2
    assert "limits for files go with webdataset or parquet" in result.stderr


@pytest.mark.parametrize(
    ("bad", "said"),
    [
        (released("dog", answer=" "), "'answer' is empty"),
        (released("dog", question="What?"), "0 <image> tags"),
        (released("dog", answer=None), "'answer' must be a text"),
    ],
    ids=["empty-answer", "tags", "no-answer"],
)
def test_a_broken_row_is_named_and_the_good_ones_are_kept(
    invoke: Invoke, tmp_path: Path, bad: dict[str, object], said: str
) -> None:
    path = written(tmp_path / "animal.json", [released("cat"), bad])

    result = invoke("import", path, PAINTER, SMALL, ALONE, "--run", "run", "--json")

    assert result.exit_code == 2
    assert said in result.stderr
    assert "row 2" in result.stderr
    assert json.loads(result.stdout)["synthesis"]["num_accepted"] == 1


def test_a_whole_row_without_a_marked_keyword_is_counted_and_no_mistake(invoke: Invoke, tmp_path: Path) -> None:
    path = written(tmp_path / "animal.json", [released("cat"), released("dog", prompt="dog, garden")])

    result = invoke("import", path, PAINTER, SMALL, ALONE, "--run", "run", "--json")

    assert result.exit_code == 0, result.stderr
    assert json.loads(result.stdout)["synthesis"]["rejected_by_reason"] == {"keyword_not_marked": 1}


@pytest.mark.parametrize(
    ("image", "said"),
    [("gone.png", "is not in"), ("../cat.png", "leaves"), ("torn.png", "truncated")],
    ids=["missing", "leaves", "truncated"],
)
def test_a_row_with_a_bad_picture_is_named_and_the_good_ones_are_kept(
    invoke: Invoke, tmp_path: Path, image: str, said: str
) -> None:
    folder = tmp_path / "theirs"
    folder.mkdir()
    Image.effect_noise((64, 64), 80).save(folder / "cat.png")
    (folder / "torn.png").write_bytes((folder / "cat.png").read_bytes()[:-200])
    path = written(folder / "rows.json", [llava("cat.png"), llava(image, id="b")])

    result = invoke("import", path, "--capability", "animal", "--run", "run", PAINTER, ALONE, "--json")

    assert result.exit_code == 2
    assert said in result.stderr
    assert json.loads(result.stdout)["synthesis"]["num_accepted"] == 1


@pytest.mark.parametrize(
    ("data", "said"),
    [(b'[{"a": "\xff"}]', "is not UTF-8"), (b"[{]", "not JSON"), (b"{}", "expected a list"), (b"[1]", "no row has")],
)
def test_a_file_that_cannot_be_read_is_refused(invoke: Invoke, tmp_path: Path, data: bytes, said: str) -> None:
    path = tmp_path / "animal.json"
    path.write_bytes(data)

    result = invoke("import", path, PAINTER)

    assert result.exit_code == 2
    assert said in result.stderr
    assert "Traceback" not in result.output


def test_a_file_named_after_no_capability_is_answered_with_the_nearest(invoke: Invoke, tmp_path: Path) -> None:
    result = invoke("import", written(tmp_path / "animals.json", [released("cat")]), PAINTER)

    assert result.exit_code == 2
    assert "Did you mean 'animal'?" in result.stderr


def test_an_export_of_nothing_says_what_to_do_first(invoke: Invoke) -> None:
    result = invoke("export", "--run", "nowhere")

    assert result.exit_code == 2
    assert "stablellava synthesize --run nowhere" in result.stderr
