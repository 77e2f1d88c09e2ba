"""Every row of a source looked at before training: what can be used, and what not and why."""

from collections import Counter
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from stablellava.core.ids import hash_id
from stablellava.core.record import Record
from stablellava.store.image_refs import ImageRef, load_rgb
from stablellava.store.images import PictureRefused
from stablellava.training.sources.rows import BadRow, RowRefused, shorten
from stablellava.training.sources.source import Source, SourceRow

_ROWS_AT_ONCE = 256

Progress = Callable[[int, int], None]
"""Called with rows done and rows in all."""


class SourceReport(Record):
    """What is in a source."""

    source: str
    files: tuple[str, ...]
    identity: str
    """Hash of the files' names, sizes and times and of how they were checked."""
    num_rows: int
    num_good: int
    num_shown: int
    """Pictures shown by good rows, repeats counted."""
    reasons: dict[str, int]
    """Reason -> bad rows, the most frequent first."""
    notes: dict[str, int]
    """Kind of row, or oddity that was put right -> good rows."""
    bad: tuple[BadRow, ...]

    @property
    def good_rows(self) -> NDArray[np.int64]:
        """Places of the rows that can be used."""
        return np.setdiff1d(np.arange(self.num_rows), np.array([row.index for row in self.bad], dtype=np.int64))


@dataclass
class _Tally:
    notes: Counter[str] = field(default_factory=Counter)
    ids: set[int] = field(default_factory=set)
    num_shown: int = 0

    def add(self, row: SourceRow) -> None:
        images = row.example.images
        kind = "multi_image" if len(images) > 1 else "single_image" if images else "text_only"
        self.notes.update((kind, *row.notes))
        self.num_shown += len(images)
        seen = hash(row.example.example_id)
        self.notes["repeated_id"] += seen in self.ids
        self.ids.add(seen)


def check_source(
    source: Source, decode: bool = True, num_workers: int = 1, progress: Progress | None = None
) -> SourceReport:
    """Read every row and, with ``decode``, every picture once; pictures are decoded by ``num_workers`` threads."""
    tally, bad = _Tally(), list[BadRow]()
    known: dict[Path, PictureRefused | None] = {}
    with ThreadPoolExecutor(num_workers) as pool:
        for start in range(0, len(source), _ROWS_AT_ONCE):
            places = range(start, min(start + _ROWS_AT_ONCE, len(source)))
            rows = [_try_to_read(source, place) for place in places]
            broken = _check_pictures(rows, known, pool) if decode else {}
            for place, row in zip(places, rows, strict=True):
                problem = row if isinstance(row, RowRefused | PictureRefused) else _first_broken(row, broken)
                if problem is not None:
                    bad.append(_describe(source, place, problem))
                elif isinstance(row, SourceRow):
                    tally.add(row)
            if progress is not None:
                progress(places.stop, len(source))
    return SourceReport(
        source=source.name,
        files=tuple(str(file) for file in source.files),
        identity=identify_source(source, decode),
        num_rows=len(source),
        num_good=len(source) - len(bad),
        num_shown=tally.num_shown,
        reasons=dict(Counter(row.reason for row in bad).most_common()),
        notes={note: count for note, count in sorted(tally.notes.items()) if count},
        bad=tuple(bad),
    )


def identify_source(source: Source, decode: bool) -> str:
    """Return a hash by which a source is known to be unchanged since it was checked."""
    states = [(str(file), file.stat().st_size, file.stat().st_mtime_ns) for file in source.files]
    return hash_id(source.name, len(source), decode, states)


def _try_to_read(source: Source, place: int) -> SourceRow | RowRefused | PictureRefused:
    try:
        return source.read(place)
    except (RowRefused, PictureRefused) as exc:
        return exc


def _check_pictures(
    rows: Sequence[SourceRow | RowRefused | PictureRefused],
    known: dict[Path, PictureRefused | None],
    pool: ThreadPoolExecutor,
) -> dict[ImageRef, PictureRefused]:
    """Return what is wrong with the rows' pictures; files are remembered, for many rows may show one."""
    shown = dict.fromkeys(image for row in rows if isinstance(row, SourceRow) for image in row.example.images)
    new = [image for image in shown if image not in known]
    outcomes: dict[ImageRef, PictureRefused | None] = dict(zip(new, pool.map(_problem_of, new), strict=True))
    known.update((image, outcome) for image, outcome in outcomes.items() if isinstance(image, Path))
    outcomes.update((image, known[image]) for image in shown if isinstance(image, Path))
    return {image: problem for image, problem in outcomes.items() if problem is not None}


def _problem_of(image: ImageRef) -> PictureRefused | None:
    try:
        load_rgb(image)
    except PictureRefused as exc:
        return exc
    return None


def _first_broken(row: SourceRow, broken: dict[ImageRef, PictureRefused]) -> PictureRefused | None:
    return next((broken[image] for image in row.example.images if image in broken), None)


def _describe(source: Source, place: int, problem: RowRefused | PictureRefused) -> BadRow:
    file, number = source.locate(place)
    return BadRow(
        source=source.name,
        file=str(file),
        row=number,
        row_id=shorten(source.row_id(place)),
        reason=problem.reason,
        detail=str(problem),
        value=problem.value if isinstance(problem, RowRefused) else "",
        index=place,
    )
