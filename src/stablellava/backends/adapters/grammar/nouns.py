"""Articles, plurals and agreement for the noun phrases of a draft."""

import re
from dataclasses import dataclass
from functools import lru_cache
from importlib.resources import files

import yaml

from stablellava.core.matching import plural_of

COUNT_WORDS = ("one", "two", "three", "four", "five", "six")
_ARTICLE = re.compile(r"\b([Aa])n? (?=([A-Za-z][\w-]*))")


@dataclass(frozen=True)
class _NounTables:
    mass: frozenset[str]
    partitive_of: dict[str, str]
    singular_in_s: frozenset[str]
    plurals: frozenset[str]
    same_in_plural: frozenset[str]
    after_head: frozenset[str]
    sounds_like_an: tuple[str, ...]
    sounds_like_a: tuple[str, ...]
    gendered_endings: tuple[str, ...]
    said_as: dict[str, str]
    capitals: re.Pattern[str]


@lru_cache(maxsize=1)
def _tables() -> _NounTables:
    raw = yaml.safe_load(files(__package__).joinpath("nouns.yaml").read_bytes())
    return _NounTables(
        mass=frozenset(raw["mass"]),
        partitive_of={noun: measure for measure, nouns in raw["partitives"].items() for noun in nouns},
        singular_in_s=frozenset(raw["singular_in_s"]),
        plurals=frozenset(raw["plurals"]),
        same_in_plural=frozenset(raw["same_in_plural"]),
        after_head=frozenset(raw["after_head"]),
        sounds_like_an=tuple(raw["sounds_like_an"]),
        sounds_like_a=tuple(raw["sounds_like_a"]),
        gendered_endings=tuple(raw["gendered_endings"]),
        said_as=dict(raw["said_as"]),
        capitals=re.compile(rf"\b(?:{'|'.join(raw['capitals'])})\b"),
    )


@lru_cache(maxsize=65536)
def indefinite_article(text: str) -> str:
    """Return "a" or "an", whichever sounds right before the text."""
    lowered = text.lower()
    if lowered.startswith(_tables().sounds_like_an):
        return "an"
    return "an" if lowered.startswith(tuple("aeiou")) and not lowered.startswith(_tables().sounds_like_a) else "a"


def correct_articles(text: str) -> str:
    """Put "a" before consonant sounds and "an" before vowel sounds throughout the text."""
    return _ARTICLE.sub(lambda match: f"{match[1]}n " if indefinite_article(match[2]) == "an" else f"{match[1]} ", text)


def capitalize_names(text: str) -> str:
    """Give names their capitals ("eiffel tower" -> "Eiffel Tower")."""
    return _tables().capitals.sub(lambda match: match[0].title(), text)


@lru_cache(maxsize=65536)
def head_of(phrase: str) -> str:
    """Return the noun that decides number: "jeans" of "blue jeans on a chair"."""
    words = phrase.lower().split()
    for index, word in enumerate(words):
        if index and (word in _tables().after_head or (word.endswith("ing") and index < len(words) - 1)):
            return words[index - 1]
    return words[-1] if words else ""


def is_mass(phrase: str) -> bool:
    """Tell whether the phrase takes neither "a" nor a plural ("rice")."""
    return head_of(phrase) in _tables().mass


@lru_cache(maxsize=65536)
def is_plural(phrase: str) -> bool:
    """Tell whether a verb after the phrase with its article is plural ("two cats", but not "a pair of jeans")."""
    head = head_of(phrase)
    if phrase.split(" ", 1)[0].lower() in COUNT_WORDS[1:]:
        return True
    return head not in _tables().partitive_of and _ends_like_plural(head)


def _ends_like_plural(word: str) -> bool:
    if word in _tables().plurals:
        return True
    return word.endswith("s") and not word.endswith(("ss", "us", "is", "os")) and word not in _tables().singular_in_s


def is_countable(phrase: str) -> bool:
    """Tell whether the phrase is one noun group that can be counted: "cat", not "rice" or "cat on a sofa"."""
    words = phrase.lower().split()
    return (
        bool(words)
        and words[-1] == head_of(phrase)
        and words[-1] not in _tables().mass | _tables().partitive_of.keys()
        and not is_plural(phrase)
    )


@lru_cache(maxsize=65536)
def is_gendered(phrase: str) -> bool:
    """Tell whether the noun itself says man or woman ("postman")."""
    return head_of(phrase).endswith(_tables().gendered_endings)


@lru_cache(maxsize=65536)
def with_article(article: str, phrase: str) -> str:
    """Return the phrase after "a" or "the", or bare where English wants no article.

    "a", "owl" -> "an owl"; "a", "rice" -> "rice"; "the", "jeans" -> "the pair of jeans".
    """
    if phrase in _tables().said_as:
        said = _tables().said_as[phrase]
        return re.sub(r"^an? ", "the ", said) if article == "the" else said
    head = head_of(phrase)
    counted = phrase.split(" ", 1)[0].lower() in COUNT_WORDS
    if head in _tables().partitive_of and not counted:
        return f"{article} {_tables().partitive_of[head]} of {phrase}"
    if phrase.startswith(("a ", "an ", "the ")):
        return phrase
    if article == "the":
        return f"the {phrase}"
    if counted or head in _tables().mass or is_plural(phrase):
        return phrase
    return f"{indefinite_article(phrase)} {phrase}"


def pluralize(phrase: str) -> str:
    """Return the plural of a countable phrase ("red fox" -> "red foxes")."""
    rest, _, last = phrase.rpartition(" ")
    same = last.lower() in _tables().same_in_plural or last.lower().endswith("fish")
    return f"{rest} {last if same else plural_of(last)}".strip()
