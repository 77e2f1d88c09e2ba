"""JSON rows of a stage, each step once however often the run was interrupted."""

from collections.abc import Callable
from pathlib import Path
from typing import Generic, TypeVar

from stablellava.core.record import Record
from stablellava.store.files import explain_disk_errors, write_atomic


class LoggedRow(Record):
    """What a row says of a step."""

    step: int
    """From 1."""


class StepRow(LoggedRow):
    """What happened in one step."""

    loss: float
    learning_rate: float
    seconds: float
    supervised_tokens: int
    samples: int
    tokens: int = 0
    """Image tokens included, padding not."""
    grad_norm: float | None = None
    """Before it was clipped."""
    suspects: tuple[str, ...] = ()
    """The ids of the step's samples when its loss stands out from those before."""


class MeasureRow(LoggedRow):
    """What was measured after a step."""

    values: dict[str, float]


RowT = TypeVar("RowT", bound=LoggedRow)


class RowLog(Generic[RowT]):
    """A log file of one kind of row."""

    def __init__(self, path: Path, row_type: type[RowT], on_row: Callable[[RowT], None] | None = None):
        self.path = path
        self.row_type = row_type
        self.on_row = on_row

    def start_after(self, step: int) -> list[RowT]:
        """Keep and return the rows up to the step and drop later ones: their steps will be taken again."""
        rows = [row for row in self.read() if row.step <= step]
        write_atomic(self.path, b"".join(row.to_json() + b"\n" for row in rows))
        return rows

    def append(self, row: RowT) -> None:
        with explain_disk_errors(self.path), self.path.open("ab") as file:
            file.write(row.to_json() + b"\n")
        if self.on_row is not None:
            self.on_row(row)

    def read(self) -> list[RowT]:
        """Return all rows; none if there is no file. A last line without its end was torn by a kill.

        Raises: RecordError for a whole line that is not a row.
        """
        if not self.path.is_file():
            return []
        lines = self.path.read_bytes().split(b"\n")[:-1]
        return [self.row_type.from_json(line, f"{self.path} line {number}") for number, line in enumerate(lines, 1)]


def read_step_log(path: Path) -> list[StepRow]:
    """Return the steps of a log."""
    return RowLog(path, StepRow).read()
