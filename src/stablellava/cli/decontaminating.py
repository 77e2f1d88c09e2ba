"""From the words of --against to what no sample may repeat."""

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from stablellava.cli.study import read_backend

if TYPE_CHECKING:
    from stablellava.core.score import EvalItem, TaskItem
    from stablellava.filters.benchmark_items import BenchmarkIndex

_SPELLING = "TASK:{data: PATH, images: DIR}"
_OPTIONS = ("data", "images")


def read_benchmarks(words: Sequence[str], shelf: Path) -> "BenchmarkIndex | None":
    """Return the pictures and questions of suites (by folder) and of benchmarks' own files (``TASK:{data: PATH}``).

    Pictures of benchmarks are put on the shelf, a folder that must stay as long as the index is used.

    Raises: ConfigError for words that name neither, RecordError for a row or a picture that cannot be used.
    """
    from stablellava.filters.benchmark_items import BenchmarkIndex

    if not words:
        return None
    index = BenchmarkIndex()
    for word in words:
        label, folder, items = _read_items(word, shelf)
        asked: set[tuple[str, str]] = set()
        shown: set[str] = set()
        for item in items:
            name = f"{label}/{item.item_id}"
            for image in item.images:
                if image not in shown:
                    index.add_image(name, folder / image)
            shown.update(item.images)
            # The passes of one question are one item.
            unit = getattr(item, "unit", "") or item.item_id
            if (unit, item.question) not in asked:
                index.add_question(name, item.question)
            asked.add((unit, item.question))
    return index


def _read_items(word: str, shelf: Path) -> "tuple[str, Path, Sequence[EvalItem | TaskItem]]":
    """Return what to call the items, what their pictures' paths are relative to, and the items."""
    from stablellava.core.errors import ConfigError
    from stablellava.core.suggesting import suggest_name
    from stablellava.evaluation.benchmarks.loading import load_task
    from stablellava.evaluation.benchmarks.registry import find_task, list_tasks
    from stablellava.evaluation.suites import load_suite

    folder = Path(word)
    if folder.is_dir() or (":{" not in word and word not in list_tasks()):
        return folder.name, folder, load_suite(folder).items
    read = read_backend(word)
    task, options = find_task(read.backend), {name: str(value) for name, value in read.options.items()}
    for name in options:
        if name not in _OPTIONS:
            raise ConfigError(f"--against {word}: unknown option {name!r}. {suggest_name(name, _OPTIONS)}")
    if "data" not in options:
        raise ConfigError(f"--against {word}: write {_SPELLING}; data is {task.needs}")
    images_dir = Path(options["images"]) if "images" in options else None
    loaded = load_task(task, Path(options["data"]), shelf, images_dir=images_dir)
    return task.name, shelf, loaded.items
