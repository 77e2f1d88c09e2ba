"""Every row of a source looked at before training: what can be used, and what not and why."""

from collections import Counter
from collections.abc import Callable, Iterator, Sequence
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
_Outcome = SourceRow | RowRefused | PictureRefused


class SourceReport(Record):
    """What is in a source."""

    source: str
    files: tuple[str, ...]
    identity: str
    """Hash of the files' names, sizes and times, of where their pictures lie and of how they were checked."""
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
    for place, row in _look_at(source, range(len(source)), decode, num_workers, progress):
        if isinstance(row, SourceRow):
            tally.add(row)
        else:
            bad.append(_describe(source, place, row))
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
    """Return a hash by which a source's own files are known to be unchanged since it was checked."""
    states = [(str(file), file.stat().st_size, file.stat().st_mtime_ns) for file in source.files]
    return hash_id(source.name, len(source), decode, states, str(source.image_dir))


def is_still_bad(source: Source, report: SourceReport, decode: bool = True, num_workers: int = 1) -> bool:
    """Tell whether every row that was left out still has to be: pictures come and go beside the source's files."""
    rows = _look_at(source, [row.index for row in report.bad], decode, num_workers)
    return not any(isinstance(row, SourceRow) for _, row in rows)


def _look_at(
    source: Source, places: Sequence[int], decode: bool, num_workers: int, progress: Progress | None = None
) -> Iterator[tuple[int, _Outcome]]:
    """Yield each row with its place, or what is wrong with it or with one of its pictures."""
    known: dict[Path, PictureRefused | None] = {}
    with ThreadPoolExecutor(num_workers) as pool:
        for start in range(0, len(places), _ROWS_AT_ONCE):
            chosen = places[start : start + _ROWS_AT_ONCE]
            rows = [_try_to_read(source, place) for place in chosen]
            broken = _check_pictures(rows, known, pool) if decode else {}
            for place, row in zip(chosen, rows, strict=True):
                problem = _first_broken(row, broken) if isinstance(row, SourceRow) else None
                yield place, problem or row
            if progress is not None:
                progress(start + len(chosen), len(places))


def _try_to_read(source: Source, place: int) -> _Outcome:
    try:
        return source.read(place)
    except (RowRefused, PictureRefused) as exc:
        return exc


def _check_pictures(
    rows: Sequence[_Outcome],
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
