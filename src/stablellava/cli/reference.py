"""Write docs/cli.md from the verbs themselves.

python -m stablellava.cli.reference docs/cli.md           rewrite
python -m stablellava.cli.reference --check docs/cli.md   exit 1 when it is out of date
"""

import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from typer.main import get_command

from stablellava.cli.app import build_app

_HEADER = """# Command reference

Written by `make golden` from the verbs' own help; edits here are lost.

Exit codes: 0 fine, 2 your input has to change, 3 a backend is missing or failed, 1 our bug, 130 interrupted.
"""


def render_reference() -> str:
    """Return the reference of every verb as Markdown."""
    sections = [_HEADER]
    sections += [_render_verb(path, command) for path, command in _walk("stablellava", get_command(build_app()))]
    return "\n".join(sections)


def main(arguments: list[str]) -> int:
    """Rewrite or check the file named in the arguments; return the exit code."""
    is_check = "--check" in arguments
    path = Path(next(argument for argument in arguments if not argument.startswith("--")))
    text = render_reference()
    if not is_check:
        path.write_text(text, encoding="utf-8")
        return 0
    if path.exists() and path.read_text(encoding="utf-8") == text:
        return 0
    sys.stderr.write(f"{path} is out of date. Run make golden and commit the result.\n")
    return 1


def _walk(path: str, command: Any) -> Iterator[tuple[str, Any]]:
    for name, child in getattr(command, "commands", {}).items():
        if getattr(child, "commands", None):
            yield from _walk(f"{path} {name}", child)
        else:
            yield f"{path} {name}", child


def _render_verb(path: str, command: Any) -> str:
    lines = [f"## {path}", ""]
    for paragraph in (command.help or "").strip().split("\n\n"):
        text = " ".join(line.strip() for line in paragraph.splitlines())
        example = text.removeprefix("Example: ")
        lines += [text if example == text else f"    {example}", ""]
    lines += ["| | |", "|---|---|"]
    for parameter in command.params:
        lines.append(f"| {_spelling(parameter)} | {_describe(parameter)} |")
    return "\n".join([*lines, ""])


def _spelling(parameter: Any) -> str:
    if parameter.param_type_name == "argument":
        return f"`{parameter.metavar or parameter.name.upper()}`"
    names = ", ".join(f"`{name}`" for name in (*parameter.opts, *parameter.secondary_opts))
    return f"{names} {parameter.metavar}" if parameter.metavar else names


def _describe(parameter: Any) -> str:
    text = parameter.help or ""
    default = parameter.default
    if parameter.required:
        return f"{text} Required."
    shown = default is not None and default is not False and not callable(default)
    return f"{text} Default: {default}." if shown and parameter.param_type_name == "option" else text


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
