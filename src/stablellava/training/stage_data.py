"""What a stage learns from: the run's own samples, or the rows of its sources that can be used.

<run>/training/<stage>/sources.json   what was found in each source, with every row that was left out
"""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import overload

import numpy as np
from numpy.typing import NDArray

from stablellava.config.training import StageConfig
from stablellava.core.errors import ConfigError, RecordError
from stablellava.core.record import Record
from stablellava.store.files import write_atomic
from stablellava.training.data import DataKind, TrainingExample, delay_description, load_examples, shape_example
from stablellava.training.mixing import name_sources
from stablellava.training.sources.checking import SourceReport, check_source, identify_source, is_still_bad
from stablellava.training.sources.source import Source, open_source

SOURCES_FILE = "sources.json"

Progress = Callable[[str, int, int], None]
"""Called with a source's name, rows checked and rows in all."""


class SourceReports(Record):
    """What was found in the sources of a stage."""

    sources: tuple[SourceReport, ...]


class StageExamples(Sequence[TrainingExample]):
    """The usable rows of all sources, one source after the other; a row is read when it is asked for."""

    def __init__(self, stage: StageConfig, sources: Sequence[Source], reports: Sequence[SourceReport]):
        self._sources = sources
        self._rows: list[NDArray[np.int64]] = [report.good_rows for report in reports]
        self._starts = np.concatenate([[0], np.cumsum([len(rows) for rows in self._rows])])
        self._kinds: list[DataKind] = [settings.data or stage.data for settings in stage.sources]
        self._delayed_share = stage.delayed_description_share

    def __len__(self) -> int:
        return int(self._starts[-1])

    @overload
    def __getitem__(self, index: int) -> TrainingExample: ...
    @overload
    def __getitem__(self, index: slice) -> list[TrainingExample]: ...
    def __getitem__(self, index: int | slice) -> TrainingExample | list[TrainingExample]:
        if isinstance(index, slice):
            return [self[place] for place in range(*index.indices(len(self)))]
        if not -len(self) <= index < len(self):
            raise IndexError(f"row {index} of {len(self)}")
        index %= len(self)
        number = int(np.searchsorted(self._starts, index, side="right")) - 1
        row = self._sources[number].read(int(self._rows[number][index - self._starts[number]]))
        return delay_description(shape_example(row.example, self._kinds[number]), self._delayed_share)

    def __iter__(self) -> Iterator[TrainingExample]:
        return (self[index] for index in range(len(self)))


@dataclass(frozen=True)
class StageData:
    """Examples whose ``source`` is their place among the stage's sources, and what was left out."""

    examples: Sequence[TrainingExample]
    reports: tuple[SourceReport, ...] = ()


def load_stage_data(
    stage: StageConfig,
    data_dir: Path,
    report_dir: Path,
    decode: bool = True,
    num_workers: int = 1,
    progress: Progress | None = None,
) -> StageData:
    """Return what a stage learns from, every source checked up front; bad rows are reported and left out.

    A source that was checked before and whose files did not change is not checked again, but for its bad rows.

    Raises: ConfigError for a source that is not there or an amount that none would heed, RecordError if a source has
        no usable row.
    """
    if not stage.sources:
        own = load_examples(data_dir, stage.data)
        return StageData([delay_description(example, stage.delayed_description_share) for example in own])
    _refuse_unheeded_amount(stage)
    names = name_sources(stage.sources)
    sources = [
        open_source(settings, name, data_dir, number)
        for number, (settings, name) in enumerate(zip(stage.sources, names, strict=True))
    ]
    path = report_dir / SOURCES_FILE
    known = _read_reports(path)
    reports: list[SourceReport] = []
    for source in sources:
        report = known.get(identify_source(source, decode))
        if report is None or not is_still_bad(source, report, decode, num_workers):
            report = check_source(source, decode, num_workers, _named(progress, source.name))
        reports.append(report)
    write_atomic(path, SourceReports(sources=tuple(reports)).to_json())
    for report in reports:
        if not report.num_good:
            raise RecordError(f"source {report.source!r}: none of its {report.num_rows:,} rows can be used; see {path}")
    return StageData(StageExamples(stage, sources, reports), tuple(reports))


def _refuse_unheeded_amount(stage: StageConfig) -> None:
    if stage.num_samples is not None and all(source.share is None for source in stage.sources):
        raise ConfigError(
            f"num_samples={stage.num_samples} of a stage counts only where its sources have shares; "
            "set it to null, and samples or epochs on a source"
        )


def _read_reports(path: Path) -> dict[str, SourceReport]:
    if not path.is_file():
        return {}
    return {report.identity: report for report in SourceReports.from_json(path.read_bytes(), str(path)).sources}


def _named(progress: Progress | None, name: str) -> Callable[[int, int], None] | None:
    return None if progress is None else lambda done, total: progress(name, done, total)
