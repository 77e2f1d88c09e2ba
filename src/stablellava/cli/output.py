"""What verbs print: results on stdout, everything else on stderr."""

import sys
from typing import Any

import orjson
from rich.console import Console, RenderableType

_MIN_TABLE_WIDTH = 100


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
        # Lines are left whole: a wrapped path cannot be copied.
        console.print(renderable, soft_wrap=isinstance(renderable, str))
