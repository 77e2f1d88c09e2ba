"""Small files in every benchmark's official form, for tests."""

import base64
import csv
import io
import json
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
from PIL import Image

Rows = list[dict[str, Any]]
Change = Callable[[Any], None]
"""Edits a file's content before it is written."""


def draw(color: str, size: int = 8) -> bytes:
    data = io.BytesIO()
    Image.new("RGB", (size, size), color).save(data, format="PNG")
    return data.getvalue()


def encode(color: str, size: int = 8) -> str:
    return base64.b64encode(draw(color, size)).decode()


def put_image(path: Path, color: str = "teal") -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(draw(color))


def write_tsv(path: Path, rows: Sequence[dict[str, Any]]) -> Path:
    with path.open("w", encoding="utf-8", newline="") as file:
        writer = csv.DictWriter(file, list(rows[0]), delimiter="\t")
        writer.writeheader()
        writer.writerows(rows)
    return path


def write_json(path: Path, content: Any) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps(content), encoding="utf-8")
    return path


def write_json_lines(path: Path, rows: Sequence[Any]) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text("".join(json.dumps(row) + "\n" for row in rows), encoding="utf-8")
    return path


def write_parquet(path: Path, rows: Rows) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    pq.write_table(pa.Table.from_pylist(rows), path, row_group_size=2)
    return path


def mmbench(folder: Path, change: Change = lambda rows: None) -> Path:
    """Two questions, of 4 and of 2 options; the second shows the first one's picture by its index."""
    empty = {"C": "nan", "D": ""}
    rows = [
        {
            "index": 1, "question": "What is it?", "hint": "Look closely.", "A": "cat", "B": "dog", "C": "owl",
            "D": "fox", "answer": "B", "category": "image_scene", "image": encode("teal"),
            "l2-category": "coarse_perception", "split": "dev",
        },
        {
            "index": 2, "question": "Which is next?", "hint": "nan", "A": "yes", "B": "no", **empty, "answer": "A",
            "category": "future_prediction", "image": "1", "l2-category": "logic_reasoning", "split": "dev",
        },
    ]  # fmt: skip
    change(rows)
    folder.mkdir(parents=True, exist_ok=True)
    return write_tsv(folder / "mmbench.tsv", rows)


def mmbench_cn(folder: Path, change: Change = lambda rows: None) -> Path:
    """The same with Chinese questions."""

    def translate(rows: Rows) -> None:
        for row in rows:
            row |= {"question": "\u8fd9\u662f\u4ec0\u4e48\uff1f", "hint": "nan"}
        change(rows)

    return mmbench(folder / "cn", translate)


def mmbench_passes(folder: Path, change: Change = lambda rows: None) -> Path:
    """The same with all passes in the file, as the official dev file has them."""

    def add_passes(rows: Rows) -> None:
        first, second = rows
        for shift, answer in ((1, "C"), (2, "D"), (3, "A")):
            texts = [first[letter] for letter in "ABCD"]
            moved = dict(zip("ABCD", texts[-shift:] + texts[:-shift], strict=True))
            rows.append({**first, **moved, "index": 1 + shift * 1_000_000, "answer": answer, "image": "1"})
        rows.append({**second, "index": 1_000_002, "A": "no", "B": "yes", "answer": "B"})
        change(rows)

    return mmbench(folder, add_passes)


def mmmu_rows(change: Change = lambda rows: None) -> Rows:
    rows = [
        {
            "id": "validation_Music_1", "question": "Which note is <image 1>?", "options": "['C', 'D', 'E', 'F']",
            "answer": "C", "question_type": "multiple-choice", "subfield": "Theory",
            "image_1": {"bytes": draw("teal"), "path": "a.png"}, "image_2": None,
        },
        {
            "id": "validation_Art_2", "question": "How many in <image 1> and <image 2>?", "options": "[]",
            "answer": "['3', 'three']", "question_type": "open", "subfield": "History",
            "image_1": {"bytes": draw("navy"), "path": "b.png"},
            "image_2": {"bytes": draw("red"), "path": "c.png"},
        },
        {
            "id": "validation_Art_3", "question": "Who painted <image 1>?", "options": "['Klee', 'Miro']",
            "answer": "A", "question_type": "multiple-choice", "subfield": "History",
            "image_1": {"bytes": draw("gold"), "path": "d.png"}, "image_2": None,
        },
    ]  # fmt: skip
    change(rows)
    return rows


def mmmu(folder: Path, change: Change = lambda rows: None) -> Path:
    """Subjects in folders of their own, as the hub has them."""
    by_subject: dict[str, Rows] = {}
    for row in mmmu_rows(change):
        by_subject.setdefault(str(row["id"]).split("_")[1], []).append(row)
    for subject, rows in by_subject.items():
        write_parquet(folder / "mmmu" / subject / "validation-00000-of-00001.parquet", rows)
    return folder / "mmmu"


def mmmu_json(folder: Path, change: Change = lambda rows: None) -> Path:
    rows = mmmu_rows()
    for row in rows:
        for column in ("image_1", "image_2"):
            if row[column]:
                put_image(folder / row[column]["path"])
                row[column] = row[column]["path"]
    change(rows)
    return write_json(folder / "mmmu.json", rows)


def ai2d(folder: Path, change: Change = lambda content: None) -> Path:
    root = folder / "ai2d"
    content = {
        "imageName": "7.png",
        "questions": {
            "Which is the sun?": {
                "answerTexts": ["A", "B", "C", "D"], "correctAnswer": 1, "questionId": "7-0", "abcLabel": True,
            },
            "What is shown?": {
                "answerTexts": ["a leaf", "a star", "a cell", "a rock"], "correctAnswer": 0, "questionId": "7-1",
                "abcLabel": False,
            },
        },
    }  # fmt: skip
    change(content)
    write_json(root / "questions" / "7.png.json", content)
    put_image(root / "images" / "7.png")
    boxes = {"T0": {"rectangle": [[0, 0], [4, 4]], "replacementText": "B", "value": "sun"}}
    write_json(root / "annotations" / "7.png.json", {"text": boxes})
    return root


def ai2d_tsv(folder: Path, change: Change = lambda rows: None) -> Path:
    rows = [
        {"index": 0, "question": "Sun?", "A": "x", "B": "y", "C": "z", "D": "w", "answer": "B", "image": encode("red"),
         "category": "space"},
        {"index": 1, "question": "Leaf?", "A": "x", "B": "y", "C": "z", "D": "w", "answer": "A", "image": "0",
         "category": "plant"},
    ]  # fmt: skip
    change(rows)
    return write_tsv(folder / "ai2d.tsv", rows)


def ai2d_parquet(folder: Path, change: Change = lambda rows: None) -> Path:
    rows: Rows = [
        {"question": f"Which {index}?", "options": ["p", "q", "r", "s"], "answer": str(index),
         "image": {"bytes": draw("gold", 8 + index), "path": None}}
        for index in range(3)
    ]  # fmt: skip
    change(rows)
    return write_parquet(folder / "ai2d.parquet", rows)


def seedbench(folder: Path, change: Change = lambda content: None) -> Path:
    root = folder / "seed"
    options = {"choice_a": "One", "choice_b": "Two", "choice_c": "Three", "choice_d": "Four"}
    content = {
        "question_type": {"Scene Understanding": 1, "Instances Counting": 5, "Action Recognition": 10},
        "questions": [
            {**options, "answer": "A", "data_id": "100_200", "data_type": "image", "question": "How many towels?",
             "question_id": "101669", "question_type_id": 1},
            {**options, "answer": "C", "data_id": "100_200", "data_type": "image", "question": "How many dogs?",
             "question_id": "101670", "question_type_id": 5},
            {**options, "answer": "D", "data_id": "v_9.webm", "data_type": "video", "question": "What is done?",
             "question_id": "900", "question_type_id": 10, "segment": []},
        ],
    }  # fmt: skip
    change(content)
    put_image(root / "SEED-Bench-image" / "100_200")
    put_image(root / "SEED-Bench-video-image" / "900.png", "navy")
    return write_json(root / "SEED-Bench.json", content)


def mme(folder: Path, change: Change = lambda lines: None) -> Path:
    """Two subtasks, one with its pictures in a folder of their own, as the release has them."""
    root = folder / "mme"
    lines = {
        "existence/1": [
            "Is there a dog? Please answer yes or no.\tYes",
            "Is there a car? Please answer yes or no.\tNo",
        ],
        "posters/p": ["Is it A? Please answer yes or no.\tYes", "Is it B? Please answer yes or no.\tNo"],
    }
    change(lines)
    put_image(root / "existence" / "1.jpg")
    put_image(root / "posters" / "images" / "p.jpg", "gold")
    for name, texts in lines.items():
        subtask, image = name.split("/")
        below = "questions_answers_YN/" if subtask == "posters" else ""
        path = root / subtask / f"{below}{image}.txt"
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text("\n".join(texts) + "\n", encoding="utf-8")
    return root


def mme_parquet(folder: Path, change: Change = lambda rows: None) -> Path:
    rows: Rows = [
        {"question_id": "code_reasoning/0020.png", "image": {"bytes": draw("red"), "path": None},
         "question": f"Is it {value}? Please answer yes or no.", "answer": answer, "category": "code_reasoning"}
        for value, answer in ((1, "Yes"), (2, "No"))
    ]  # fmt: skip
    change(rows)
    return write_parquet(folder / "mme.parquet", rows)


def mmvet(folder: Path, change: Change = lambda content: None) -> Path:
    root = folder / "mm-vet"
    content = {
        "v1_0": {
            "imagename": "v1_0.png",
            "question": "What is x?",
            "answer": "-1<AND>-5",
            "capability": ["ocr", "math"],
        },
        "v1_1": {"imagename": "v1_1.png", "question": "What is it?", "answer": "a cat<OR>cat", "capability": ["rec"]},
    }
    change(content)
    for name in ("v1_0", "v1_1"):
        put_image(root / "images" / f"{name}.png", "navy" if name == "v1_0" else "gold")
    return write_json(root / "mm-vet.json", content)


def vizwiz(folder: Path, change: Change = lambda rows: None) -> Path:
    root = folder / "vizwiz"
    said = [{"answer": "red", "answer_confidence": "yes"}] * 3 + [{"answer": "blue", "answer_confidence": "no"}] * 7
    rows = [
        {"image": f"VizWiz_val_0000000{index}.jpg", "question": f"What color {index}?", "answers": list(said),
         "answer_type": "other", "answerable": 1}
        for index in range(2)
    ]  # fmt: skip
    change(rows)
    for index in range(2):
        put_image(root / f"VizWiz_val_0000000{index}.jpg")
    return write_json(root / "val.json", rows)


def pope(folder: Path, change: Change = lambda rows: None) -> Path:
    root = folder / "pope"
    for place, split in enumerate(("random", "popular", "adversarial")):
        rows = [
            {"question_id": index, "image": f"COCO_{index % 2}.jpg",
             "text": f"Is there a {split} {index} in the image?",
             "label": "yes" if index % 2 else "no"}
            for index in range(1, 5)
        ]  # fmt: skip
        if place == 0:
            change(rows)
        write_json_lines(root / f"coco_pope_{split}.json", rows)
    for index in range(2):
        put_image(root / "val2014" / f"COCO_{index}.jpg", ("teal", "red")[index])
    return root


def llavabench(folder: Path, change: Change = lambda files: None) -> Path:
    root = folder / "llava-bench"
    files: dict[str, Rows] = {
        "questions.jsonl": [
            {"question_id": 0, "image": "001.jpg", "category": "conv", "text": "What is this?"},
            {"question_id": 1, "image": "001.jpg", "category": "detail", "text": "Describe it."},
        ],
        "context.jsonl": [{"image": "001.jpg", "caption": "A volcano."}],
        "answers_gpt4.jsonl": [{"question_id": 0, "text": "A volcano."}, {"question_id": 1, "text": "A tall one."}],
    }
    change(files)
    for name, rows in files.items():
        write_json_lines(root / name, rows)
    put_image(root / "images" / "001.jpg")
    return root


def scienceqa(folder: Path, change: Change = lambda problems: None) -> Path:
    root = folder / "scienceqa"
    shared = {"task": "closed choice", "category": "c", "skill": "s", "lecture": "", "solution": "", "topic": "t"}
    problems = {
        "1": {**shared, "question": "Which is bigger?", "choices": ["a", "b"], "answer": 1, "hint": "Look.",
              "image": "image.png", "grade": "grade2", "subject": "natural science", "split": "test"},
        "2": {**shared, "question": "Which word?", "choices": ["x", "y", "z"], "answer": 0, "hint": "",
              "image": None, "grade": "grade8", "subject": "language science", "split": "test"},
        "3": {**shared, "question": "Training?", "choices": ["x", "y"], "answer": 0, "hint": "", "image": None,
              "grade": "grade8", "subject": "language science", "split": "train"},
    }  # fmt: skip
    change(problems)
    put_image(root / "images" / "test" / "1" / "image.png")
    write_json(root / "pid_splits.json", {"train": ["3"], "val": [], "test": ["1", "2"]})
    write_json(root / "problems.json", problems)
    return root


def textvqa(folder: Path, change: Change = lambda content: None) -> Path:
    root = folder / "textvqa"
    answers = ["nokia"] * 4 + ["toshiba"] * 6
    content = {
        "data": [
            {"image_id": "abc", "question": "what is the brand?", "answers": list(answers), "question_id": 34602},
            {"image_id": "abc", "question": "what is below?", "answers": ["nan"] * 10, "question_id": 34603},
        ]
    }
    change(content)
    put_image(root / "train_images" / "abc.jpg")
    ocr = {"data": [{"image_id": "abc", "ocr_tokens": ["NOKIA", "N95"]}]}
    write_json(root / "TextVQA_Rosetta_OCR_v0.2_val.json", ocr)
    return write_json(root / "TextVQA_0.5.1_val.json", content)


def photos(folder: Path, change: Change = lambda rows: None) -> Path:
    root = folder / "photos"
    rows = [
        {"id": f"p{index}", "image": "a.png", "capability": "animal", "question": "What is it?", "keywords": ["cat"]}
        for index in range(3)
    ]
    change(rows)
    put_image(root / "a.png")
    write_json_lines(root / "items.jsonl", rows)
    return root


WRITERS: dict[str, Callable[..., Path]] = {
    "mmbench": mmbench,
    "mmbench-cn": mmbench_cn,
    "mmmu": mmmu,
    "ai2d": ai2d,
    "seedbench": seedbench,
    "mme": mme,
    "mmvet": mmvet,
    "vizwiz": vizwiz,
    "pope": pope,
    "llavabench": llavabench,
    "scienceqa": scienceqa,
    "textvqa": textvqa,
    "photos": photos,
}
