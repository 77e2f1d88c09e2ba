"""Benchmarks from the Hugging Face hub: fetched once and written as the files that the tasks read.

Left out: VizWiz, of whose rows there it is not known whether the questions are as in the official file (lmms-eval
capitalises them anew). SEED-Bench has no middle frames of its videos there, so only its image variant can be asked.
"""

import base64
import csv
import hashlib
import re
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple

import orjson

from stablellava.core.errors import BackendFailed, BackendMissing, ConfigError
from stablellava.core.ids import hash_id
from stablellava.store.assets import cache_dir

Rows = Mapping[str, Any]
"""Datasets by split; pictures are undecoded."""
DEFAULT = "default"
_SPEC = re.compile(r"(?P<dataset>[^@]+?)(:(?P<config>[\w.-]+))?(@(?P<splits>[\w.,-]+))?$")
_UNSAFE = re.compile(r"[^A-Za-z0-9._-]+")


class HubName(NamedTuple):
    """Where rows lie: a dataset's id, or a folder in the hub's layout."""

    dataset: str
    config: str | None
    splits: tuple[str, ...]

    @property
    def words(self) -> str:
        config = f":{self.config}" if self.config else ""
        return f"{self.dataset}{config}@{','.join(self.splits)}"


@dataclass(frozen=True)
class HubSource:
    """A task's dataset, and how its rows become the benchmark's own files."""

    name: HubName
    write: Callable[[Rows, Path], Path]
    """Takes the splits and an empty folder; returns what ``--data`` takes."""


def fetch_task(task: str, spec: str = DEFAULT) -> Path:
    """Return a task's files, fetched from the hub unless they are in the cache.

    ``spec`` is "default" or another dataset with the same columns: DATASET[:CONFIG][@SPLIT,...], also a folder.

    Raises: ConfigError for a task or a dataset that is not there, BackendMissing without the package datasets,
    BackendFailed when the hub cannot be reached.
    """
    if task not in SOURCES:
        raise ConfigError(f"task {task!r} is not read from the hub, but {', '.join(SOURCES)} are; give --data")
    source = SOURCES[task]
    name = source.name if spec == DEFAULT else parse_spec(spec, source.name)
    rows = _load(name)
    prints = [_fingerprint(rows[split]) for split in rows]
    label = _UNSAFE.sub("-", name.words).strip("-")[-80:]
    folder = cache_dir() / "hub" / f"{task}.{label}.{hash_id(name.words, *prints)[:12]}"
    done = folder / "path.txt"
    if not done.is_file():
        folder.mkdir(parents=True, exist_ok=True)
        written = source.write(rows, folder)
        done.write_text(str(written.relative_to(folder)), encoding="utf-8")
    return folder / done.read_text(encoding="utf-8")


def parse_spec(spec: str, default: HubName) -> HubName:
    """Return what a text like "owner/name:config@split" names; what it leaves out is as by default.

    Raises: ConfigError for a text that is none.
    """
    found = _SPEC.match(spec)
    if found is None:
        raise ConfigError(f"--hub {spec!r}: DATASET[:CONFIG][@SPLIT] is needed, as {default.words}")
    splits = tuple(found["splits"].split(",")) if found["splits"] else default.splits
    return HubName(found["dataset"], found["config"] or default.config, splits)


def _load(name: HubName) -> dict[str, Any]:
    """Return datasets by split, their pictures as bytes."""
    try:
        import datasets
    except ImportError as exc:
        raise BackendMissing(f"--hub needs the package {exc.name!r}: pip install 'stablellava[hub]'") from exc
    try:
        loaded = {split: datasets.load_dataset(name.dataset, name.config, split=split) for split in name.splits}
    except ConnectionError as exc:
        raise BackendFailed(
            f"the hub cannot be reached for {name.words}: {exc}; give the benchmark's files with --data instead"
        ) from exc
    except (FileNotFoundError, ValueError) as exc:
        reason = str(exc).split("\n", 1)[0]
        raise ConfigError(f"--hub {name.words}: {reason}; name DATASET[:CONFIG][@SPLIT]") from exc
    return {split: _leave_undecoded(rows) for split, rows in loaded.items()}


def _leave_undecoded(rows: Any) -> Any:
    import datasets

    image = datasets.Image(decode=False)
    for column, feature in rows.features.items():
        if isinstance(feature, datasets.Image):
            rows = rows.cast_column(column, image)
        elif isinstance(getattr(feature, "feature", None), datasets.Image):
            rows = rows.cast_column(column, datasets.List(image))
    return rows


def _fingerprint(rows: Any) -> str:
    return f"{rows._fingerprint} {len(rows)}"


def _write_parquet(splits: Rows, folder: Path) -> Path:
    """Write the rows as they are: the task reads their columns."""
    (rows,) = splits.values()
    path = folder / "rows.parquet"
    rows.to_parquet(str(path))
    return path


def _write_mmbench(splits: Rows, folder: Path) -> Path:
    (rows,) = splits.values()
    path = folder / "mmbench.tsv"
    texts = [column for column in rows.column_names if column != "image"]
    with path.open("w", encoding="utf-8", newline="") as file:
        writer = csv.writer(file, delimiter="\t")
        writer.writerow([*(text.replace("L2-", "l2-") for text in texts), "image"])
        for row in rows:
            cells = ["" if row[text] is None else row[text] for text in texts]
            writer.writerow([*cells, base64.b64encode(_picture(row["image"])).decode()])
    return path


def _write_pope(splits: Rows, folder: Path) -> Path:
    for split, rows in splits.items():
        lines = (
            {
                "question_id": row["question_id"],
                "image": _store(row["image"], folder / "images"),
                "text": row["question"],
                "label": row["answer"].strip().lower(),
            }
            for row in rows
        )
        _write_lines(folder / f"coco_pope_{split}.json", lines)
    return folder


def _write_seedbench(splits: Rows, folder: Path) -> Path:
    (rows,) = splits.values()
    questions = []
    for row in rows:
        kept = {column: row[column] for column in rows.column_names if column not in ("image", "segment")}
        if row["data_type"] == "image":
            cell = row["image"][0] if isinstance(row["image"], list) else row["image"]
            kept["data_id"] = _store(cell, folder / "SEED-Bench-image")
        questions.append(kept)
    (folder / "SEED-Bench.json").write_bytes(orjson.dumps({"questions": questions}))
    return folder / "SEED-Bench.json"


def _write_mmvet(splits: Rows, folder: Path) -> Path:
    (rows,) = splits.values()
    entries = {}
    for row in rows:
        capability = row["capability"]
        entries[row["question_id"]] = {
            "imagename": _store(row["image"], folder / "images"),
            "question": row["question"],
            "answer": row["answer"],
            "capability": capability.split(",") if isinstance(capability, str) else capability,
        }
    (folder / "mm-vet.json").write_bytes(orjson.dumps(entries))
    return folder / "mm-vet.json"


def _write_llavabench(splits: Rows, folder: Path) -> Path:
    (rows,) = splits.values()
    questions, captions, answers = [], {}, []
    for row in rows:
        image, caption = _store(row["image"], folder / "images"), row["caption"]
        questions.append({**_take(row, "question_id", "category"), "image": image, "text": row["question"]})
        captions[image] = "\n".join(caption) if isinstance(caption, list) else caption
        answers.append({"question_id": row["question_id"], "text": row["gpt_answer"]})
    _write_lines(folder / "questions.jsonl", questions)
    _write_lines(folder / "context.jsonl", [{"image": name, "caption": text} for name, text in captions.items()])
    _write_lines(folder / "answers_gpt4.jsonl", answers)
    return folder


def _write_scienceqa(splits: Rows, folder: Path) -> Path:
    """Write the problems; their ids are their places, since the hub's rows have none."""
    (rows,) = splits.values()
    problems = {}
    for place, row in enumerate(rows):
        image = _store(row["image"], folder / "images" / "test" / str(place)) if row["image"] else None
        kept = _take(row, "question", "choices", "answer", "hint", "grade", "subject")
        problems[str(place)] = {**kept, "image": image}
    (folder / "problems.json").write_bytes(orjson.dumps(problems))
    return folder


def _take(row: Mapping[str, Any], *columns: str) -> dict[str, Any]:
    return {column: row[column] for column in columns}


def _store(cell: Mapping[str, Any], folder: Path) -> str:
    """Write a picture under its content's name; return that."""
    data = _picture(cell)
    name = f"{hashlib.sha256(data).hexdigest()}{Path(cell.get('path') or '').suffix or '.png'}"
    folder.mkdir(parents=True, exist_ok=True)
    (folder / name).write_bytes(data)
    return name


def _picture(cell: Mapping[str, Any]) -> bytes:
    data = cell["bytes"]
    return Path(cell["path"]).read_bytes() if data is None else bytes(data)


def _write_lines(path: Path, rows: Iterator[dict[str, Any]] | list[dict[str, Any]]) -> None:
    with path.open("wb") as file:
        for row in rows:
            file.write(orjson.dumps(row) + b"\n")


def _source(dataset: str, config: str | None, splits: str, write: Callable[[Rows, Path], Path]) -> HubSource:
    return HubSource(HubName(f"lmms-lab/{dataset}", config, tuple(splits.split(","))), write)


SOURCES: Mapping[str, HubSource] = {
    "mmbench": _source("MMBench", "en", "dev", _write_mmbench),
    "mmbench-cn": _source("MMBench", "cn", "dev", _write_mmbench),
    "mmmu": _source("MMMU", None, "validation", _write_parquet),
    "ai2d": _source("ai2d", None, "test", _write_parquet),
    "seedbench": _source("SEED-Bench", None, "test", _write_seedbench),
    "mme": _source("MME", None, "test", _write_parquet),
    "mmvet": _source("MMVet", None, "test", _write_mmvet),
    "pope": _source("POPE", "Full", "random,popular,adversarial", _write_pope),
    "llavabench": _source("llava-bench-in-the-wild", None, "train", _write_llavabench),
    "scienceqa": _source("ScienceQA", "ScienceQA-FULL", "test", _write_scienceqa),
    "textvqa": _source("textvqa", None, "validation", _write_parquet),
}
"""What each task takes by default, as lmms-eval does."""
