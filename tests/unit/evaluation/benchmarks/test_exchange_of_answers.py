"""Files to upload, and answers that other tools collected."""

import io
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from openpyxl import Workbook, load_workbook

import benchmark_files as files
from stablellava.core.errors import ConfigError, RecordError
from stablellava.core.score import TaskLog
from stablellava.evaluation.answer_files import match_answers, read_answers
from stablellava.evaluation.benchmarks.base import Answered
from stablellava.evaluation.benchmarks.loading import LoadedTask, load_task
from stablellava.evaluation.benchmarks.registry import find_task
from stablellava.evaluation.benchmarks.running import score_recorded


def load(name: str, folder: Path, writer: Callable[..., Path] | None = None) -> LoadedTask:
    return load_task(find_task(name), (writer or files.WRITERS[name])(folder), folder / "out")


def render(name: str, folder: Path, texts: list[str], writer: Callable[..., Path] | None = None) -> dict[str, bytes]:
    loaded = load(name, folder, writer)
    submission = loaded.task.submission
    assert submission is not None
    answered = [Answered(item, text) for item, text in zip(loaded.items, texts, strict=True)]
    return submission.render(answered)


def test_mmbench_is_uploaded_as_a_row_per_pass_with_the_prediction_in_place_six(tmp_path: Path) -> None:
    data = render("mmbench", tmp_path, ["B", "=1+1", "C\x0b", "D", "A", "B"])[""]
    header, *rows = load_workbook(io.BytesIO(data)).active.iter_rows(values_only=True)
    assert header == ("index", "question", "A", "B", "C", "D", "prediction", "answer", "split")
    assert rows[0] == (1, "What is it?", "cat", "dog", "owl", "fox", "B", "B", "dev")
    assert [row[0] for row in rows] == [1, 1_000_001, 2_000_001, 3_000_001, 2, 1_000_002]
    assert (rows[1][6], rows[2][6]) == ("=1+1", "C")
    assert rows[4][2:6] == ("yes", "no", None, None)


def test_vizwiz_is_uploaded_with_normalised_answers(tmp_path: Path) -> None:
    rows = json.loads(render("vizwiz", tmp_path, ["The Red one.", "Unanswerable"])[""])
    assert rows == [
        {"image": "VizWiz_val_00000000.jpg", "answer": "red 1"},
        {"image": "VizWiz_val_00000001.jpg", "answer": "unanswerable"},
    ]


def test_seedbench_is_uploaded_as_lines_of_predictions(tmp_path: Path) -> None:
    lines = render("seedbench", tmp_path, ["A", "B", "C"])[""].splitlines()
    assert json.loads(lines[0]) == {"question_id": "101669", "prediction": "A"}
    assert len(lines) == 3


def test_mmmu_is_uploaded_as_letters_and_texts(tmp_path: Path) -> None:
    answers = json.loads(render("mmmu", tmp_path, ["three", "I say (B).", "no letter"])[""])
    assert answers["validation_Art_2"] == "three"
    assert answers["validation_Art_3"] == "B"
    assert answers["validation_Music_1"] in "ABCD"


def test_mme_is_written_as_the_official_tool_reads_it(tmp_path: Path) -> None:
    rendered = render("mme", tmp_path, ["Yes", "No,\nnot at all", "Yes", "No"])
    assert set(rendered) == {"existence.txt", "posters.txt"}
    assert rendered["existence.txt"].decode().splitlines() == [
        "1.jpg\tIs there a dog? Please answer yes or no.\tYes\tYes",
        "1.jpg\tIs there a car? Please answer yes or no.\tNo\tNo, not at all",
    ]


def test_mmvet_is_uploaded_as_texts_by_id(tmp_path: Path) -> None:
    assert json.loads(render("mmvet", tmp_path, ["x", "y"])[""]) == {"v1_0": "x", "v1_1": "y"}


def llava_rows(loaded: LoadedTask) -> list[dict[str, Any]]:
    """Write down right answers as LLaVA's scripts do, under their ids."""
    rows = []
    for item in loaded.items:
        foreign = item.also_known_as[0] if item.also_known_as else item.item_id
        rows.append({"question_id": foreign, "prompt": item.prompt, "text": item.reference[0], "answer_id": "x"})
    return rows


@pytest.mark.parametrize(
    "name", ["mmbench", "mmmu", "seedbench", "mme", "vizwiz", "pope", "scienceqa", "textvqa", "ai2d"]
)
def test_answers_of_llavas_scripts_find_their_items(name: str, tmp_path: Path) -> None:
    loaded = load(name, tmp_path)
    path = files.write_json_lines(tmp_path / "answers.jsonl", llava_rows(loaded))
    matched = match_answers(read_answers(path, "llava"), loaded.items)
    assert matched.texts == {item.item_id: item.reference[0] for item in loaded.items}
    log = score_recorded(loaded, matched.texts, tmp_path / "out" / "log.jsonl", model="m", answers_from="llava")
    assert (log.header.answers_from, log.header.reports[0].num_unscored) == ("llava", 0)


def test_answers_of_lmms_eval_are_found_by_their_documents(tmp_path: Path) -> None:
    loaded = load("pope", tmp_path)
    rows = [
        {
            "doc_id": number,
            "doc": {
                "question_id": item.also_known_as[0],
                "category": item.group,
                "question": item.question,
                "image_source": "x",
            },
            "filtered_resps": [item.reference[0]] if number % 2 else item.reference[0],
            "resps": [["unfiltered"]],
        }
        for number, item in enumerate(loaded.items)
    ]
    path = files.write_json_lines(tmp_path / "samples_pope.jsonl", rows)
    log = score(loaded, path, "lmms-eval", tmp_path)
    assert log.header.reports[0].value == 1.0


def test_answers_without_ids_are_found_by_their_question(tmp_path: Path) -> None:
    loaded = load("ai2d", tmp_path, files.ai2d_parquet)
    rows = [{"doc": {"question": item.question}, "resps": [[item.reference[0]]]} for item in reversed(loaded.items)]
    path = files.write_json_lines(tmp_path / "samples_ai2d.jsonl", rows)
    assert score(loaded, path, "lmms-eval", tmp_path).header.reports[0].value == 1.0


@pytest.mark.parametrize("suffix", ["xlsx", "tsv", "csv"])
def test_answers_of_vlmevalkit_are_read_from_its_sheets(suffix: str, tmp_path: Path) -> None:
    loaded = load("mmbench", tmp_path)
    path = tmp_path / f"model_MMBench.{suffix}"
    rows = [("index", "question", "prediction")]
    rows += [(item.item_id, item.question, item.reference[0]) for item in loaded.items]
    if suffix == "xlsx":
        book = Workbook()
        for index, question, prediction in rows:
            book.active.append([int(index) if index.isdigit() else index, question, prediction])
        book.save(path)
    else:
        parting = "\t" if suffix == "tsv" else ","
        path.write_text("".join(parting.join(row) + "\n" for row in rows))
    assert score(loaded, path, "vlmevalkit", tmp_path).header.reports[0].value == 1.0


def test_an_id_is_not_believed_where_the_question_is_another(tmp_path: Path) -> None:
    loaded = load("mmbench", tmp_path)
    path = tmp_path / "model.tsv"
    path.write_text("index\tquestion\tprediction\n1\tWhat is that?\tA\n")
    with pytest.raises(RecordError, match=r"model\.tsv, row 2: '1' is asked something else .* than 'What is that\?'"):
        score(loaded, path, "vlmevalkit", tmp_path)


BAD_ANSWERS = [
    ({"question_id": 7, "prompt": "x", "text": "A"}, r"line 1: '7' names no item of this task's file"),
    ({"question_id": 1, "text": None}, r"line 1, column 'text': got None; the answer's text is needed"),
    ({"prompt": "x", "text": "A"}, r"line 1, column 'question_id': missing"),
    ({"question_id": 1, "round_id": 1, "text": "A"}, r"column 'round_id': got 1; only answers of the first round"),
    ({"question_id": 1, "round_id": "one", "text": "A"}, r"column 'round_id': got 'one'; a whole number is needed"),
]


@pytest.mark.parametrize(
    ("row", "message"), BAD_ANSWERS, ids=["unknown", "no text", "no id", "later round", "no round"]
)
def test_a_bad_answer_is_told_in_one_line(row: dict[str, Any], message: str, tmp_path: Path) -> None:
    path = files.write_json_lines(tmp_path / "answers.jsonl", [row])
    with pytest.raises(RecordError, match=message):
        score(load("mmbench", tmp_path), path, "llava", tmp_path)


def test_a_second_answer_to_an_item_is_refused_or_listed(tmp_path: Path) -> None:
    loaded = load("mmbench", tmp_path)
    rows = llava_rows(loaded)
    path = files.write_json_lines(tmp_path / "answers.jsonl", [*rows, rows[0]])
    with pytest.raises(RecordError, match="line 7: item '1' is answered in an earlier row already"):
        match_answers(read_answers(path, "llava"), loaded.items)
    kept = match_answers(read_answers(path, "llava"), loaded.items, keep_going=True)
    assert (len(kept.texts), len(kept.left_out)) == (6, 1)


def test_a_second_answer_in_the_same_words_is_no_less_a_second_one(tmp_path: Path) -> None:
    rows = [{"question_id": 1, "prompt": "", "text": "A"}] * 2
    path = files.write_json_lines(tmp_path / "answers.jsonl", rows)
    with pytest.raises(RecordError, match="line 2: item '1' is answered in an earlier row already"):
        match_answers(read_answers(path, "llava"), load("mmbench", tmp_path).items)


@pytest.mark.parametrize(
    ("name", "data", "message"),
    [
        ("a.csv", b"index,prediction\n1,\xff\n", r"a\.csv, line 2: byte 0xff is not UTF-8"),
        ("a.csv", b"index,prediction\n1,A,B\n", r"row 2: 3 cells for 2 columns; quote the commas"),
        ("a.xlsx", b"index", r"a\.xlsx: not a readable XLSX file"),
    ],
)
def test_a_sheet_that_cannot_be_read_is_told_in_one_line(name: str, data: bytes, message: str, tmp_path: Path) -> None:
    (tmp_path / name).write_bytes(data)
    with pytest.raises(RecordError, match=message):
        list(read_answers(tmp_path / name, "vlmevalkit"))


def test_cells_of_sheets_may_be_long_and_rows_empty(tmp_path: Path) -> None:
    table = tmp_path / "a.csv"
    table.write_text(f"index,image,prediction\n1,{'x' * 200_000},A\n")
    assert [answer.text for answer in read_answers(table, "vlmevalkit")] == ["A"]
    book = Workbook()
    for row in (["index", "prediction"], [1, "A"], [None, None], [2, None]):
        book.active.append(row)
    book.save(tmp_path / "a.xlsx")
    answers = list(read_answers(tmp_path / "a.xlsx", "vlmevalkit"))
    assert [(answer.ids, answer.text) for answer in answers] == [(("1",), "A"), (("2",), "")]


def test_an_id_that_is_no_number_is_none(tmp_path: Path) -> None:
    path = tmp_path / "samples.jsonl"
    path.write_text('{"doc": {"index": NaN, "question_id": 7.0, "question": "q"}, "resps": [["A"]]}\n')
    assert [answer.ids for answer in read_answers(path, "lmms-eval")] == [("7",)]


def test_items_without_an_answer_are_unscored(tmp_path: Path) -> None:
    loaded = load("vizwiz", tmp_path)
    path = files.write_json_lines(tmp_path / "answers.jsonl", llava_rows(loaded)[:1])
    log = score(loaded, path, "llava", tmp_path)
    assert (log.header.reports[0].num_items, log.header.reports[0].num_unscored) == (2, 1)
    assert log.entries[1].score.why == "no answer in the file"


def test_unknown_forms_of_answer_files_are_named(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="Did you mean 'lmms-eval'"):
        score(load("vizwiz", tmp_path), tmp_path / "x", "lmms_eval", tmp_path)
    with pytest.raises(RecordError, match=r"'\.pkl' is none of"):
        (tmp_path / "x.pkl").write_bytes(b"x")
        score(load("vizwiz", tmp_path), tmp_path / "x.pkl", "vlmevalkit", tmp_path)


def score(loaded: LoadedTask, path: Path, form: str, folder: Path) -> TaskLog:
    texts = match_answers(read_answers(path, form), loaded.items).texts
    return score_recorded(loaded, texts, folder / "out" / "log.jsonl", model="m", answers_from=form)
