"""What verbs print: results on stdout, everything else on stderr."""

import sys
from typing import Any

import orjson
from rich.console import Console, Group, RenderableType
from rich.table import Table

_MIN_TABLE_WIDTH = 100
_UNLIMITED = 10_000


def note(message: str) -> None:
    """Print a line that is not part of the result."""
    sys.stderr.write(message + "\n")


def print_result(result: dict[str, Any], as_json: bool, *renderables: RenderableType) -> None:
    """Print the result once: as JSON for machines, or as what was prepared for people."""
    if as_json:
        sys.stdout.write(orjson.dumps(result, option=orjson.OPT_INDENT_2).decode() + "\n")
        return
    # What is printed quotes models, files and rows: "[/INST]" and ":car:" are text, no markup.
    console = Console(highlight=False, markup=False, emoji=False)
    if not console.is_terminal:  # in a file or a pipe, nothing is gained by squeezing columns
        console.width = max(console.width, _MIN_TABLE_WIDTH)
    for renderable in renderables:
        _fit(console, renderable)
        # Lines are left whole: a wrapped path cannot be copied.
        console.print(renderable, soft_wrap=isinstance(renderable, str))


def _fit(console: Console, renderable: RenderableType) -> None:
    """Let a table that is wider than the terminal give up its blanks first, and never a part of what it says."""
    if isinstance(renderable, Group):
        for part in renderable.renderables:
            _fit(console, part)
    if not isinstance(renderable, Table):
        return
    for column in renderable.columns:
        column.overflow = "fold"
    if console.measure(renderable, options=console.options.update(max_width=_UNLIMITED)).maximum > console.width:
        renderable.padding = 0
        renderable.columns[0].no_wrap = True  # names what the row is about
