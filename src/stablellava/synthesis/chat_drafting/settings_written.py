"""Where a prompt is set, whatever it was asked to be set in.

A chat model may write another place than the one it was given. What counts for coverage and for the held-out split
is what stands in the prompt.
"""

from collections.abc import Iterable, Sequence

from stablellava.core.capability import Capability, Keyword, Place
from stablellava.core.draft import DraftRequest
from stablellava.core.matching import plural_of, split_words
from stablellava.synthesis.splitting import held_out_settings

_LEADING = frozenset({"a", "an", "the", "in", "on", "at", "by"})


class SettingFinder:
    """Finds the settings of one capability in prompts: by name, phrase or synonym, the longest first.

    Args:
        capability: its settings are places, or things where it is set with things.
        places: every place there is; a prompt may name one that the capability does not.
    """

    def __init__(self, capability: Capability, places: Iterable[Place]) -> None:
        self._meaning: dict[tuple[str, ...], str] = {}
        self._names: set[tuple[str, ...]] = set()
        if capability.setting_kind == "place":
            for place in places:
                self._add(place.name, (place.name, place.phrase, *place.synonyms))
        for name in {name for keyword in capability.keywords for name in keyword.settings} | {*capability.settings}:
            self._add(name, (name,))
        for keyword in capability.keywords:
            self._names.update(form for name in (keyword.name, *keyword.synonyms) for form in _forms(name))
        self._names -= self._meaning.keys()
        self._max_words = max(map(len, self._meaning.keys() | self._names), default=0)

    def find(self, texts: Sequence[str], keyword: Keyword) -> tuple[str, ...]:
        """Return the settings named in the texts, in order, each once.

        A place that the keyword's own words or parts name is no setting: it is there whatever was asked for.
        """
        found: dict[str, None] = {}
        for text in texts:
            found.update(dict.fromkeys(self._scan(split_words(text))))
        own = {
            name
            for part in (keyword.name, *keyword.parts)
            for name in self._scan(split_words(part), is_inside_keyword=True)
        }
        return tuple(name for name in found if name not in own)

    def _add(self, meaning: str, phrases: Iterable[str]) -> None:
        self._meaning.update((form, meaning) for phrase in phrases for form in _forms(phrase))

    def _scan(self, words: list[str], is_inside_keyword: bool = False) -> list[str]:
        found: list[str] = []
        start = 0
        while start < len(words):
            for width in range(min(self._max_words, len(words) - start), 0, -1):
                form = tuple(words[start : start + width])
                if form in self._meaning:
                    found.append(self._meaning[form])
                # A keyword may hold a place's name ("sea lion"); its own words set nothing.
                elif is_inside_keyword or form not in self._names:
                    continue
                start += width
                break
            else:
                start += 1
        return found


class SettingFinders:
    """Finders by capability, each built once."""

    def __init__(self, places: Iterable[Place]) -> None:
        self._places = tuple(places)
        self._finders: dict[str, SettingFinder] = {}

    def __call__(self, capability: Capability) -> SettingFinder:
        """Return the capability's finder."""
        if capability.name not in self._finders:
            self._finders[capability.name] = SettingFinder(capability, self._places)
        return self._finders[capability.name]


class SettingJudge:
    """Holds what was written to the held-out split.

    Args:
        finder_of: finds the settings of a capability.
        held_out_share: as for the plan.
    """

    def __init__(self, finder_of: SettingFinders, held_out_share: float) -> None:
        self._finder_of = finder_of
        self._held_out_share = held_out_share
        self._held_out: dict[tuple[str, str], frozenset[str]] = {}

    def judge(self, request: DraftRequest, texts: Sequence[str]) -> tuple[str, str]:
        """Return the setting that is written, and why a draft of it may not be kept: "held_out_combination",
        "combination_not_held_out", or nothing.
        """
        found = self._finder_of(request.capability).find(texts, request.keyword)
        written = request.setting if request.setting in found else next(iter(found), "")
        held_out = self._held_out_of(request)
        if request.purpose == "train":
            leaking = next((setting for setting in found if setting in held_out), None)
            return (written, "") if leaking is None else (leaking, "held_out_combination")
        is_wrong = written not in held_out and written != request.setting
        return written, "combination_not_held_out" if is_wrong else ""

    def _held_out_of(self, request: DraftRequest) -> frozenset[str]:
        key = (request.capability.name, request.keyword.name)
        if key not in self._held_out:
            held_out = held_out_settings(request.capability, request.keyword, self._held_out_share)
            self._held_out[key] = frozenset(held_out)
        return self._held_out[key]


def _forms(phrase: str) -> set[tuple[str, ...]]:
    words = split_words(phrase)
    while words and words[0] in _LEADING:
        words = words[1:]
    return {(*words,), (*words[:-1], plural_of(words[-1]))} if words else set()
