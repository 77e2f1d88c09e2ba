"""What is wrong with a file is said in one line: file, row, column, value, and what would work."""

import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

import benchmark_files as files
from stablellava.core.errors import RecordError
from stablellava.evaluation.benchmarks.loading import LoadedTask, load_task
from stablellava.evaluation.benchmarks.registry import find_task

_GONE = object()


def put(*path: Any, value: Any) -> files.Change:
    """Set what lies at the path in the file's content, or take it away."""

    def change(content: Any) -> None:
        *way, last = path
        for key in way:
            content = content[key]
        if value is _GONE:
            del content[last]
        else:
            content[last] = value

    return change


def drop_column(name: str) -> files.Change:
    return lambda rows: [row.pop(name) for row in rows] and None


def copy_first(rows: files.Rows) -> None:
    rows.append(dict(rows[0]))


CASES: list[tuple[Callable[..., Path], files.Change, str]] = [
    # MMBench
    (files.mmbench, drop_column("question"),
     r"mmbench\.tsv, row 2, column 'question': missing; the columns here are index"),
    (files.mmbench, put(0, "B", value="nan"), r"row 2, column 'B': got 'nan', but option C has a text"),
    (files.mmbench, put(1, "B", value=""), r"row 3, column 'B': got ''; a question needs at least two options"),
    (files.mmbench, put(1, "answer", value="C"), r"row 3, column 'answer': got 'C', but the options are A, B"),
    (files.mmbench, put(1, "image", value="77"),
     r"row 3, column 'image': got '77': neither base64 nor the index of a row"),
    (files.mmbench, put(0, "image", value="!" * 99), r"row 2, column 'image': broken base64 that begins '!!!!"),
    (files.mmbench, put(0, "image", value="AAAA" * 99), r"row 2, column 'image': the picture: not a whole PNG"),
    (files.mmbench, put(0, "index", value="one"), r"row 2, column 'index': got 'one'; a whole number is needed"),
    (files.mmbench, copy_first, r"row 4: the id '1' stands in row 2 already; ids must be unique"),
    (files.mmbench_passes, lambda rows: rows.pop(),
     r"row 3, column 'index': question 2 has 1 usable passes \(2\) for 2 options"),
    (files.mmbench_passes, put(2, "index", value=5_000_001),
     r"question 1 has 4 usable passes .* for 4 options; give one pass"),
    # MMMU
    (files.mmmu_json, put(0, "options", value="['C', "),
     r"mmmu\.json, entry 1, column 'options': got \"\['C', \"; a list of texts"),
    (files.mmmu_json, put(0, "options", value=["C", float("nan")]),
     r"column 'options': element 2 is nan; a text is needed"),
    (files.mmmu_json, put(0, "answer", value="E"), r"column 'answer': got 'E', but the options are A, B, C, D"),
    (files.mmmu_json, put(1, "image_2", value=None), r"column 'image_2': got None, but the question shows <image 2>"),
    (files.mmmu_json, put(0, "image_1", value="gone.png"), r"column 'image_1': no picture 'gone.png' in .*--images"),
    (files.mmmu_json, put(0, "question_type", value="essay"),
     r"column 'question_type': got 'essay'; it must be one of multiple"),
    (files.mmmu_json, copy_first, r"entry 4: the id 'validation_Music_1' stands in entry 1 already"),
    (files.mmmu, put(0, "image_1", "bytes", value=b"PNG?"),
     r"Music.*row 1, column 'image_1': the picture: not a whole PNG"),
    (files.mmmu, put(0, "answer", value="Z"), r"Music.*\.parquet, row 1, column 'answer': got 'Z'"),
    # AI2D
    (files.ai2d, put("questions", "What is shown?", "correctAnswer", value=4),
     r"question 2, column 'correctAnswer': got 4"),
    (files.ai2d, put("questions", "What is shown?", "answerTexts", value=["x"]),
     r"column 'answerTexts': got 1 options; 2 to 4"),
    (files.ai2d, put("imageName", value="8.png"), r"column 'imageName': no picture '8.png'"),
    (files.ai2d, put("imageName", value="../questions/7.png.json"), r"column 'imageName': '\.\./questions.*' leaves"),
    (files.ai2d, put("questions", value=[]), r"7\.png\.json holds '\[\]'; a JSON object is needed"),
    (files.ai2d, put("questions", "What is shown?", value="a leaf"), r"question 2: 'a leaf' is no JSON object"),
    (files.ai2d_tsv, put(0, "answer", value="E"),
     r"ai2d\.tsv, row 2, column 'answer': got 'E'; it must be one of A, B, C, D"),
    (files.ai2d_tsv, put(1, "image", value="9"), r"row 3, column 'image': got '9': neither a picture nor the index"),
    (files.ai2d_parquet, put(1, "answer", value="4"),
     r"ai2d\.parquet, row 2, column 'answer': got 4; it is the index of one of 4"),
    # SEED-Bench
    (files.seedbench, put("questions", value=_GONE), r'SEED-Bench\.json: no list under "questions"'),
    (files.seedbench, put("questions", 0, "choice_c", value=_GONE),
     r"question 1, column 'choice_c': missing; the columns here"),
    (files.seedbench, put("questions", 1, "choice_b", value="nan"),
     r"question 2, column 'choice_b': got 'nan'; a text is needed"),
    (files.seedbench, put("questions", 0, "answer", value="E"),
     r"question 1, column 'answer': got 'E'; it must be one of A"),
    (files.seedbench, put("questions", 0, "question_type_id", value=13),
     r"'question_type_id': got 13; known are 1 to 12"),
    (files.seedbench, put("questions", 1, "data_id", value="no"), r"question 2, column 'data_id': no picture 'no' in"),
    (files.seedbench, put("questions", 2, "question_id", value="901"), r"column 'data_id': .*middle frame as 901.png"),
    (files.seedbench, put("questions", 1, "question_id", value="101669"),
     r"question 2: the id '101669' stands in question 1"),
    # MME
    (files.mme, put("existence/1", value=["Is it? Please answer yes or no.\tYes"]),
     r"line 1, column 'question': image 'existence/1.jpg' has 1"),
    (files.mme, put("existence/1", 1, value="Is it?\tMaybe"),
     r"1\.txt, line 2, column 'answer': got 'Maybe'; it must be Yes or No"),
    (files.mme, put("existence/1", 1, value="Is it?"),
     r"line 2, column 'answer': missing; the columns here are image, question"),
    (files.mme, put("existence/2", value=["A?\tYes", "B?\tNo"]), r"2\.txt, line 1, column 'image': no picture '2' in"),
    (files.mme_parquet, put(1, "category", value="codes"),
     r"mme\.parquet, row 2, column 'category': got 'codes'; it must be one of"),
    (files.mme_parquet, put(1, "question", value="Is it 1? Please answer yes or no."),
     r"row 2: the id .* stands in row 1 already"),
    # MM-Vet
    (files.mmvet, put("v1_0", "answer", value=_GONE), r"mm-vet\.json, entry 'v1_0', column 'answer': missing"),
    (files.mmvet, put("v1_0", "capability", value=["ocr", "art"]),
     r"entry 'v1_0', column 'capability': got \['ocr', 'art'\]"),
    (files.mmvet, put("v1_1", "imagename", value="x.png"), r"entry 'v1_1', column 'imagename': no picture 'x.png'"),
    (files.mmvet, put("v1_1", value="text"), r"entry 'v1_1': 'text' is no JSON object"),
    # VizWiz
    (files.vizwiz, put(0, "answers", value="red"),
     r"val\.json, entry 1, column 'answers': got 'red'; a list of the annotators'"),
    (files.vizwiz, put(1, "answers", 2, value={"answer": None}),
     r"entry 2, column 'answers': answer 3 is None; a text is needed"),
    (files.vizwiz, put(1, "image", value="../x.jpg"), r"entry 2, column 'image': '../x.jpg' leaves"),
    (files.vizwiz, copy_first, r"entry 3: the id 'VizWiz_val_00000000.jpg' stands in entry 1"),
    # POPE
    (files.pope, put(0, "label", value="maybe"),
     r"coco_pope_random\.json, line 1, column 'label': got 'maybe'; it must be one of yes, no"),
    (files.pope, put(1, "text", value=_GONE), r"line 2, column 'text': missing"),
    (files.pope, put(2, "image", value="none.jpg"), r"line 3, column 'image': no picture 'none.jpg'"),
    (files.pope, copy_first, r"line 5: the id 'random/1' stands in line 1 already"),
    # LLaVA-Bench
    (files.llavabench, put("answers_gpt4.jsonl", 1, "question_id", value=9),
     r"questions\.jsonl, line 2, column 'question_id': 1 stands in no row of answers_gpt4"),
    (files.llavabench, put("context.jsonl", 0, "image", value="x"),
     r"column 'image': '001.jpg' stands in no row of context.jsonl"),
    (files.llavabench, put("questions.jsonl", 0, "category", value="talk"), r"line 1, column 'category': got 'talk'"),
    # ScienceQA
    (files.scienceqa, put("1", "choices", value=["a"]),
     r"problems\.json, problem '1', column 'choices': got 1 choices; 2 to 5"),
    (files.scienceqa, put("2", "answer", value=3),
     r"problem '2', column 'answer': got 3; it is the index of one of 3 choices"),
    (files.scienceqa, put("2", "choices", value=["a", None]), r"problem '2', column 'choices': element 2 is None"),
    (files.scienceqa, put("1", "image", value="x.png"), r"problem '1', column 'image': no picture '1/x.png'"),
    # TextVQA
    (files.textvqa, put("data", 0, "answers", value=["a"] * 9),
     r"data entry 1, column 'answers': got 9 answers; exactly 10"),
    (files.textvqa, put("data", 1, "image_id", value="zzz"),
     r"data entry 2, column 'ocr_tokens': got None; .*--variant no-ocr"),
    (files.textvqa, put("data", value=None), r'TextVQA_0\.5\.1_val\.json: no list under "data"'),
    # Capability suites
    (files.photos, put(0, "keywords", value=[]), r"items\.jsonl, line 1: keywords are empty"),
    (files.photos, put(1, "id", value="p0"), r"line 2: the id 'p0' stands in line 1 already"),
    (files.photos, put(2, "image", value="b.png"), r"line 3: no picture 'b.png'"),
]  # fmt: skip


def load(writer: Callable[..., Path], change: files.Change, folder: Path, *, keep_going: bool = False) -> LoadedTask:
    task = find_task(writer.__name__.split("_")[0])
    return load_task(task, writer(folder, change), folder / "out", keep_going=keep_going)


@pytest.mark.parametrize(
    ("writer", "change", "message"), CASES, ids=[f"{index}-{case[0].__name__}" for index, case in enumerate(CASES)]
)
def test_a_bad_cell_is_told_in_one_line(
    writer: Callable[..., Path], change: files.Change, message: str, tmp_path: Path
) -> None:
    with pytest.raises(RecordError) as caught:
        load(writer, change, tmp_path)
    assert re.search(message, str(caught.value)), str(caught.value)
    assert "\n" not in str(caught.value)


def test_labels_of_a_diagram_that_cannot_be_read_are_told_in_one_line(tmp_path: Path) -> None:
    path = files.ai2d(tmp_path)
    files.write_json(path / "annotations" / "7.png.json", {"text": {"T0": {"rectangle": [0, 0]}}})
    with pytest.raises(RecordError, match=r"question 1, column 'image': .*7\.png\.json: not a text box with rectangle"):
        load_task(find_task("ai2d"), path, tmp_path / "out")
    with pytest.raises(RecordError, match=r"7\.png\.json: broken JSON"):
        (path / "annotations" / "7.png.json").write_text("{")
        load_task(find_task("ai2d"), path, tmp_path / "out")


def test_a_limit_draws_no_diagram_of_later_questions(tmp_path: Path) -> None:
    def swap(content: dict[str, Any]) -> None:
        content["questions"] = dict(reversed(content["questions"].items()))

    path = files.ai2d(tmp_path, swap)
    files.write_json(path / "annotations" / "7.png.json", "no labels")
    loaded = load_task(find_task("ai2d"), path, tmp_path / "out", limit=1)
    assert [item.question for item in loaded.items] == ["What is shown?"]


BESIDE: list[tuple[str, str, str, str]] = [
    ("llavabench", "context.jsonl", "{", r"context\.jsonl, line 1: broken JSON"),
    ("llavabench", "answers_gpt4.jsonl", "[]", r"answers_gpt4\.jsonl, line 1: '\[\]' is no JSON object"),
    ("textvqa", "TextVQA_Rosetta_OCR_v0.2_val.json", "[]", r'Rosetta.*: no list under "data"; the file is TextVQA_Ros'),
    ("textvqa", "TextVQA_Rosetta_OCR_v0.2_val.json", '{"data": [{"image_id": "abc"}]}',
     r"Rosetta.*, data entry 1, column 'ocr_tokens': got None; a list of texts is needed"),
    ("textvqa", "x_ocr.jsonl", '{"question_id": "abc", "text": "what?"}',
     r"x_ocr\.jsonl, line 1, column 'text': got 'what\?'; LLaVA's prompt has the question on a line of its own"),
    ("textvqa", "x_ocr.jsonl", "{", r"x_ocr\.jsonl, line 1: broken JSON"),
]  # fmt: skip


@pytest.mark.parametrize(("task", "name", "content", "message"), BESIDE)
def test_a_bad_file_beside_the_rows_is_told_in_one_line(
    task: str, name: str, content: str, message: str, tmp_path: Path
) -> None:
    path = files.WRITERS[task](tmp_path)
    ((path if path.is_dir() else path.parent) / name).write_text(content)
    with pytest.raises(RecordError, match=message) as caught:
        load_task(find_task(task), path, tmp_path / "out")
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    ("writer", "change", "num_kept"),
    [
        (files.mmbench, put(0, "answer", value="Q"), 2),
        (files.mmbench_passes, put(2, "answer", value="Q"), 2),
        (files.mmbench_passes, put(2, "image", value="!" * 99), 2),
        (files.mmmu_json, put(0, "answer", value="E"), 2),
        (files.ai2d_tsv, put(0, "answer", value="E"), 1),
        (files.seedbench, put("questions", 0, "answer", value="E"), 2),
        (files.mme, put("existence/1", 1, value="Is it?\tMaybe"), 2),
        (files.mmvet, put("v1_0", "answer", value=_GONE), 1),
        (files.vizwiz, put(0, "answers", value="red"), 1),
        (files.pope, put(0, "label", value="maybe"), 11),
        (files.llavabench, put("questions.jsonl", 0, "category", value="talk"), 1),
        (files.scienceqa, put("2", "answer", value=3), 1),
        (files.textvqa, put("data", 0, "answers", value=[]), 1),
        (files.photos, put(0, "keywords", value=[]), 2),
    ],
    ids=lambda value: getattr(value, "__name__", ""),
)
def test_keep_going_lists_bad_rows_and_keeps_the_others(
    writer: Callable[..., Path], change: files.Change, num_kept: int, tmp_path: Path
) -> None:
    loaded = load(writer, change, tmp_path, keep_going=True)
    assert len(loaded.items) == num_kept
    assert loaded.left_out


@pytest.mark.parametrize(
    ("name", "data", "message"),
    [
        ("a.tsv", b"", "is empty; a table with a header row"),
        ("a.tsv", b"index\tquestion\n1\tx\ty\n", "row 2: 3 cells for 2 columns"),
        ("a.tsv", b"index\n\xff\n", r"line 2: byte 0xff is not UTF-8"),
        ("a.json", b'{"questions": [', r"a\.json: broken JSON: .* line 1 column"),
        ("a.jsonl", b"[2]\n", r"a\.jsonl, line 1: '\[2\]' is no JSON object"),
        pytest.param("a.jsonl", b"[" * 100_000, r"a\.jsonl, line 1: broken JSON: nested too deeply", id="deep"),
        ("a.jsonl", b'{"text": "half of \\ud83d"}\n', r"a\.jsonl, line 1: broken JSON: .*surrogates not allowed"),
        ("a.jsonl", b'{"text": \n', r"a\.jsonl, line 1: broken JSON: "),
        ("a.parquet", b"PAR1", r"a\.parquet: not a readable parquet file"),
        ("a.csv", b"x", r"the suffix '\.csv' is none of"),
    ],
)
def test_a_file_that_cannot_be_read_is_told_in_one_line(name: str, data: bytes, message: str, tmp_path: Path) -> None:
    (tmp_path / name).write_bytes(data)
    task = {"tsv": "mmbench", "json": "seedbench", "jsonl": "pope"}.get(name.split(".")[1], "vizwiz")
    with pytest.raises(RecordError, match=message) as caught:
        load_task(find_task(task), tmp_path / name, tmp_path / "out")
    assert "\n" not in str(caught.value)


def test_a_missing_file_and_a_file_without_rows_say_what_is_needed(tmp_path: Path) -> None:
    with pytest.raises(RecordError, match="does not exist; check the path"):
        load_task(find_task("vizwiz"), tmp_path / "none.json", tmp_path / "out")
    with pytest.raises(RecordError, match="does not exist; check the path"):
        load_task(find_task("mme"), tmp_path / "no-folder", tmp_path / "out")
    with pytest.raises(RecordError, match="is a folder; name a file in it"):
        load_task(find_task("vizwiz"), tmp_path, tmp_path / "out")
    files.write_json(tmp_path / "val.json", [])
    with pytest.raises(RecordError, match="holds no usable row for vizwiz; needed: the annotations as JSON"):
        load_task(find_task("vizwiz"), tmp_path / "val.json", tmp_path / "out")
