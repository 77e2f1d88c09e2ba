import re
from pathlib import Path

import pytest

import stablellava

ROOT = Path(__file__).resolve().parents[2]
SOURCES = sorted(path for folder in ("src", "tests", "benchmarks") for path in (ROOT / folder).rglob("*.py"))
PROSE = sorted(path for pattern in ("*.md", "docs/*.md", "design/*.md", "Makefile") for path in ROOT.glob(pattern))
BANNED_STEMS = {"utils", "helpers", "common", "manager", "handler", "processor", "misc", "data2"}
UNFINISHED = re.compile(r"\b(TO" r"DO|FIX" r"ME|XX" r"X|HA" r"CK)\b")
SWALLOWED = re.compile(r"except[^\n:]*:\s*(#[^\n]*)?\n?\s*pass\b")


def name_of(path: Path) -> str:
    return path.relative_to(ROOT).as_posix()


@pytest.mark.parametrize("path", SOURCES + PROSE, ids=name_of)
def test_nothing_is_left_for_later(path: Path) -> None:
    assert not UNFINISHED.search(path.read_text(encoding="utf-8"))


@pytest.mark.parametrize("path", SOURCES, ids=name_of)
def test_code_is_ascii_and_well_named(path: Path) -> None:
    assert path.read_text(encoding="utf-8").isascii()
    assert not BANNED_STEMS & set(path.stem.split("_"))


@pytest.mark.parametrize("path", [path for path in SOURCES if "src" in path.parts], ids=name_of)
def test_no_exception_is_swallowed(path: Path) -> None:
    assert not SWALLOWED.search(path.read_text(encoding="utf-8"))


def test_the_changelog_opens_with_the_version_of_the_package() -> None:
    headings = re.findall(r"^## \[([^\]]+)\]", (ROOT / "CHANGELOG.md").read_text(encoding="utf-8"), re.MULTILINE)

    assert headings[0] in (stablellava.__version__, "Unreleased")
    assert stablellava.__version__ in headings
