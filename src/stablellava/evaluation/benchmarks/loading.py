"""From a benchmark's files to checked items with their pictures, before any model is loaded."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

from stablellava.core.errors import ConfigError, RecordError
from stablellava.core.ids import hash_id
from stablellava.core.score import ContaminationNote, TaskItem
from stablellava.core.suggesting import suggest_name
from stablellava.evaluation.benchmarks.base import Source, SourceItem, Task
from stablellava.evaluation.benchmarks.pictures import PictureShelf
from stablellava.evaluation.benchmarks.rows import RowError


@dataclass(frozen=True)
class LoadedTask:
    """Items ready to be asked."""

    task: Task
    variant: str
    path: Path
    items: tuple[TaskItem, ...]
    image_dir: Path
    """What the items' image paths are relative to."""
    left_out: tuple[str, ...] = ()
    """Messages about rows that could not be used."""
    limit: int | None = None
    contamination: ContaminationNote | None = None

    @cached_property
    def fingerprint(self) -> str:
        """Changes with every prompt, reference and picture."""
        return hash_id(self.task.name, self.variant, *(item.model_dump(mode="json") for item in self.items))


def load_task(
    task: Task,
    path: Path,
    image_dir: Path,
    *,
    variant: str = "",
    images_dir: Path | None = None,
    limit: int | None = None,
    keep_going: bool = False,
) -> LoadedTask:
    """Read and check a benchmark's files and copy its pictures to ``image_dir``.

    With ``keep_going`` bad rows are listed in the result instead of stopping at the first. ``limit`` takes the
    first questions and looks at no picture of the others.

    Raises: ConfigError for an unknown variant or a limit below 1; RecordError naming file, row, column, value and
    what would work; also if nothing usable is left.
    """
    chosen = variant or task.default_variant
    if chosen not in task.variants:
        raise ConfigError(f"{task.name} has no variant {chosen!r}. {suggest_name(chosen, task.variants)}")
    if limit is not None and limit < 1:
        raise ConfigError(f"a limit of {limit}: at least 1 question is needed")
    source = Source(path, chosen, images_dir)
    problems = _Problems(keep_going)
    found = _read_items(task, source, problems)
    arranged = task.arrange(_drop_repeated(found, problems), source)
    for message in arranged.problems:
        problems.add(message)
    kept = _take_first(task, arranged.items, limit)
    items = _fetch_pictures(task, kept, PictureShelf(image_dir), problems)
    if not items:
        first = f" (first problem: {problems.messages[0]})" if problems.messages else ""
        raise RecordError(f"{path} holds no usable row for {task.name}{first}; needed: {task.needs}")
    return LoadedTask(task, chosen, path, tuple(items), image_dir, tuple(problems.messages), limit)


class _Problems:
    """Rows that cannot be used: the first one stops, or all are listed."""

    def __init__(self, keep_going: bool) -> None:
        self._keep_going = keep_going
        self.messages: list[str] = []

    def add(self, message: str, cause: Exception | None = None) -> None:
        if not self._keep_going:
            raise RecordError(message) from cause
        self.messages.append(message)


def _read_items(task: Task, source: Source, problems: _Problems) -> list[SourceItem]:
    items: list[SourceItem] = []
    try:
        for row in task.open_rows(source):
            try:
                items.extend(task.read_row(row.checked(), source))
            except RowError as exc:
                problems.add(str(exc), exc)
    except RowError as exc:
        # A file beside the rows, which all of them need.
        raise RecordError(str(exc)) from exc
    return items


def _drop_repeated(items: Iterable[SourceItem], problems: _Problems) -> list[SourceItem]:
    kept: dict[str, SourceItem] = {}
    for entry in items:
        earlier = kept.setdefault(entry.item.item_id, entry)
        if earlier is not entry:
            where = f"stands in {earlier.row.place} already"
            problems.add(str(entry.row.error("", f"the id {entry.item.item_id!r} {where}; ids must be unique")))
    return list(kept.values())


def _take_first(task: Task, items: Sequence[SourceItem], limit: int | None) -> list[SourceItem]:
    if limit is None:
        return list(items)
    units = list(dict.fromkeys(task.unit_of(entry.item) for entry in items))
    taken = frozenset(units[:limit])
    return [entry for entry in items if task.unit_of(entry.item) in taken]


def _fetch_pictures(
    task: Task, items: Sequence[SourceItem], shelf: PictureShelf, problems: _Problems
) -> list[TaskItem]:
    """Return items with their images; a unit that lacks one is left out as a whole."""
    fetched: list[TaskItem] = []
    broken: set[str] = set()
    for entry in items:
        try:
            stored = [shelf.put(picture) for picture in entry.pictures]
        except RecordError as exc:
            broken.add(task.unit_of(entry.item))
            problems.add(str(entry.row.error(entry.picture_column, str(exc))), exc)
            continue
        update = {"images": tuple(name for name, _ in stored), "images_sha256": tuple(sha for _, sha in stored)}
        fetched.append(entry.item.model_copy(update=update))
    return [item for item in fetched if task.unit_of(item) not in broken]
