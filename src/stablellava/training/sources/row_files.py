"""Files of rows, any of which can be read without reading the others."""

from pathlib import Path
from typing import Any, Protocol


class RowFile(Protocol):
    """Rows by place. Pictures that lie inside the file stand in the rows as references."""

    path: Path

    def __len__(self) -> int: ...

    def number_of(self, index: int) -> int:
        """Return the row's number for people: its line in JSON lines, else its place counted from 1."""
        ...

    def read(self, index: int) -> Any:
        """Return the row as the file has it. Raises: RowRefused if it cannot be parsed."""
        ...
