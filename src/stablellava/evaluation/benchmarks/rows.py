"""Rows of official files, and saying exactly which cell of which row is wrong."""

import ast
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

_NUM_SHOWN = 60
_MISSING_TEXTS = frozenset({"", "nan"})
_MISSING = object()


class RowError(Exception):
    """A row that cannot be used; the message names file, row, column, value and what would work."""


@dataclass(frozen=True)
class Row:
    """One row of a file, whatever the file's format."""

    path: Path
    place: str
    """Where it stands, as "row 7" or "line 7, id '12'"."""
    cells: Mapping[str, Any]
    problem: str = ""
    """Why there are no cells to read."""

    def error(self, column: str, problem: str) -> RowError:
        """Return the error that says what is wrong with one cell."""
        where = f", column {column!r}" if column else ""
        return RowError(f"{self.path}, {self.place}{where}: {problem}")

    def checked(self) -> "Row":
        """Return the row itself. Raises: RowError if it could not be read."""
        if self.problem:
            raise self.error("", self.problem)
        return self

    def text(self, column: str) -> str:
        """Return a text that must be there; numbers are taken as written."""
        value = self._cell(column)
        if is_missing(value):
            raise self.error(column, f"got {show(value)}; a text is needed")
        return self._as_text(column, value)

    def optional(self, *columns: str) -> str:
        """Return the text of the first of the columns that holds one, else ""."""
        for column in columns:
            value = self.cells.get(column)
            if not is_missing(value):
                return self._as_text(column, value)
        return ""

    def integer(self, column: str) -> int:
        """Return a whole number, also one written as a text or as 7.0."""
        value = self._cell(column)
        try:
            number = float(value)
            if number != int(number):
                raise ValueError(value)
        except (TypeError, ValueError, OverflowError) as exc:
            raise self.error(column, f"got {show(value)}; a whole number is needed") from exc
        return int(number)

    def one_of(self, column: str, allowed: Sequence[str]) -> str:
        """Return a text that must be one of those allowed."""
        text = self.text(column)
        if text not in allowed:
            raise self.error(column, f"got {show(text)}; it must be one of {', '.join(allowed)}")
        return text

    def texts(self, column: str) -> tuple[str, ...]:
        """Return a list of texts: a list, or the text of a Python list."""
        value = self._cell(column)
        if isinstance(value, str):
            try:
                value = ast.literal_eval(value)
            except (ValueError, SyntaxError, MemoryError, RecursionError) as exc:
                raise self.error(column, f"got {show(value)}; a list of texts is needed") from exc
        if not isinstance(value, list | tuple):
            raise self.error(column, f"got {show(value)}; a list of texts is needed")
        for index, text in enumerate(value):
            if is_missing(text):
                raise self.error(column, f"element {index + 1} is {show(text)}; a text is needed")
        return tuple(self._as_text(column, text) for text in value)

    def lettered(self, columns: Sequence[str]) -> dict[str, str]:
        """Return the options in columns A, B, ...; trailing ones may be missing, one between others may not."""
        options = {letter: text for letter in columns if (text := self.optional(letter))}
        if list(options) != list(columns[: len(options)]):
            gap = next(letter for letter in columns if letter not in options)
            beyond = [letter for letter in options if letter > gap]
            got = show(self.cells[gap]) if gap in self.cells else "no such column"
            raise self.error(gap, f"got {got}, but option {beyond[0]} has a text; fill it in or move the others up")
        if len(options) < 2:
            missing = columns[len(options)]
            raise self.error(missing, f"got {show(self.cells.get(missing))}; a question needs at least two options")
        return options

    def _cell(self, column: str) -> Any:
        value = self.cells.get(column, _MISSING)
        if value is _MISSING:
            here = ", ".join(map(str, self.cells)) or "none"
            raise self.error(column, f"missing; the columns here are {here}")
        return value

    def _as_text(self, column: str, value: Any) -> str:
        if isinstance(value, bool) or not isinstance(value, str | int | float):
            raise self.error(column, f"got {show(value)}; a text is needed")
        return str(value)


def is_missing(value: object) -> bool:
    """Return whether a cell is empty as tables have it: None, NaN, "" or "nan"."""
    if isinstance(value, str):
        return value.strip().lower() in _MISSING_TEXTS
    # NaN is the one value that differs from itself.
    return value is None or value != value


def show(value: object) -> str:
    """Return a value as messages show it, cut to one short line."""
    text = repr(value)
    return text if len(text) <= _NUM_SHOWN else f"{text[:_NUM_SHOWN]}..."
