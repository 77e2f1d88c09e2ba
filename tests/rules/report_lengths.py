"""Report files and functions past the reading limits; fail far above them."""

import ast
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
FILE_LIMIT, FUNCTION_LIMIT = 300, 40
FILE_CEILING, FUNCTION_CEILING = 400, 60


def measure(path: Path) -> list[tuple[int, str, bool]]:
    """Return (lines, what, past the ceiling) for everything of a file that is past its limit."""
    text = path.read_text(encoding="utf-8")
    name = path.relative_to(ROOT).as_posix()
    num_lines = len(text.splitlines())
    found = [(num_lines, name, num_lines > FILE_CEILING)] if num_lines > FILE_LIMIT else []
    for node in ast.walk(ast.parse(text)):
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
            length = (node.end_lineno or node.lineno) - node.lineno + 1
            if length > FUNCTION_LIMIT:
                found.append((length, f"{name}:{node.lineno} {node.name}", length > FUNCTION_CEILING))
    return found


def main() -> int:
    paths = [path for folder in ("src", "tests", "benchmarks") for path in sorted((ROOT / folder).rglob("*.py"))]
    found = [item for path in paths for item in measure(path)]
    for length, what, is_too_long in sorted(found, reverse=True):
        print(f"{'TOO LONG' if is_too_long else 'long':8} {length:4} lines  {what}")
    print(f"{len(paths)} files; limits {FILE_LIMIT} a file, {FUNCTION_LIMIT} a function; {len(found)} past them")
    return 1 if any(is_too_long for _, _, is_too_long in found) else 0


if __name__ == "__main__":
    sys.exit(main())
