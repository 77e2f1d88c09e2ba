"""From the words of a phrase to readings: the longest known phrases, each with its likeliest kind."""

from dataclasses import dataclass

from stablellava.backends.adapters.openmoji.lexicon import Entry, EntryKind, Lexicon

_NOUNS: tuple[EntryKind, ...] = ("thing", "person", "profession")
_ARTICLES = (("a",), ("an",))
_SILENT: tuple[EntryKind, ...] = ("filler", "harmless")
_PREFERENCE: tuple[EntryKind, ...] = (
    "place", "profession", "person", "action", "thing", "style", "hair", "feature", "manner", "relation", "count",
    "color", "shade", "size", "filler", "harmless",
)  # fmt: skip


@dataclass(frozen=True)
class Segment:
    """A run of words and what it names; ``entry`` is None where nothing is known."""

    words: tuple[str, ...]
    start: int
    entry: Entry | None

    @property
    def said(self) -> str:
        return " ".join(self.words)

    @property
    def kind(self) -> EntryKind | None:
        return self.entry.kind if self.entry else None


@dataclass(frozen=True)
class _Candidates:
    words: tuple[str, ...]
    start: int
    entries: tuple[Entry, ...]

    def has(self, *kinds: EntryKind) -> bool:
        return any(entry.kind in kinds for entry in self.entries)

    def get(self, kind: EntryKind) -> Entry | None:
        return next((entry for entry in self.entries if entry.kind == kind), None)


def segment(words: list[str], lexicon: Lexicon) -> list[Segment]:
    """Cut the words of one phrase into the longest known phrases, from left to right."""
    found: list[_Candidates] = []
    start = 0
    while start < len(words):
        for width in range(min(lexicon.longest, len(words) - start), 0, -1):
            run = tuple(words[start : start + width])
            entries = lexicon.lookup(run)
            if width > 1 and _is_deed_of_a_thing(entries, run, found, lexicon):
                continue
            if entries or width == 1:
                found.append(_Candidates(run, start, entries))
                start += width
                break
    return [Segment(item.words, item.start, _choose(found, index)) for index, item in enumerate(found)]


def _is_deed_of_a_thing(
    entries: tuple[Entry, ...], run: tuple[str, ...], found: list[_Candidates], lexicon: Lexicon
) -> bool:
    """Tell whether a person's action ("holding a balloon") is said of a thing, which has to be composed instead."""
    is_composable = any(entry.kind == "relation" for entry in lexicon.lookup(run[:1]))
    return (
        is_composable and any(entry.kind == "action" for entry in entries) and any(item.has("thing") for item in found)
    )


def _choose(found: list[_Candidates], index: int) -> Entry | None:
    item = found[index]
    if len(item.entries) < 2:
        return item.entries[0] if item.entries else None
    before = next((other for other in reversed(found[:index]) if not other.has(*_SILENT)), None)
    after = next((other for other in found[index + 1 :] if not other.has(*_SILENT)), None)
    noun_follows = after is not None and after.has(*_NOUNS)
    alone = before is None and after is None
    for kind, wanted in (
        ("color", noun_follows),
        ("relation", noun_follows and before is not None),
        ("style", alone),
        ("thing", before is not None and before.has("color", "count", "shade", "size") and not noun_follows),
        ("thing", index > 0 and found[index - 1].words in _ARTICLES and before is not None),
    ):
        if wanted and (entry := item.get(kind)) is not None:  # type: ignore[arg-type]
            return entry
    return min(item.entries, key=lambda entry: _PREFERENCE.index(entry.kind))
