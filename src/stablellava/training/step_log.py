"""One JSON row per optimizer step, each step once however often the run was interrupted."""

from collections.abc import Callable
from pathlib import Path

from stablellava.core.record import Record
from stablellava.store.files import explain_disk_errors, write_atomic


class StepRow(Record):
    """What happened in one step."""

    step: int
    """From 1."""
    loss: float
    learning_rate: float
    seconds: float
    supervised_tokens: int
    samples: int


class StepLog:
    """The rows of one stage's log file."""

    def __init__(self, path: Path, on_row: Callable[[StepRow], None] | None = None):
        self.path = path
        self.on_row = on_row

    def start_after(self, step: int) -> None:
        """Keep rows up to the step and drop later ones: their steps will be taken again."""
        rows = [row for row in read_step_log(self.path) if row.step <= step]
        write_atomic(self.path, b"".join(row.to_json() + b"\n" for row in rows))

    def append(self, row: StepRow) -> None:
        with explain_disk_errors(self.path), self.path.open("ab") as file:
            file.write(row.to_json() + b"\n")
        if self.on_row is not None:
            self.on_row(row)


def read_step_log(path: Path) -> list[StepRow]:
    """Return the rows of a log; none if there is no file. A last line without its end was torn by a kill.

    Raises: RecordError for a whole line that is not a row.
    """
    if not path.is_file():
        return []
    whole_lines = path.read_bytes().split(b"\n")[:-1]
    return [StepRow.from_json(line, f"{path} line {number}") for number, line in enumerate(whole_lines, start=1)]
