"""A small context-free grammar for text with slots.

A rule names a symbol and lists alternatives; one is drawn each time the symbol is expanded.

    [symbol]                 another rule, expanded in place
    {slot}                   a value of the draft at hand
    a {slot}, the {slot}     the value with the article that fits it, if it takes one
    {plural slot}            the value's plural
    {?slot} {!slot}          only for drafts that have (that lack) the slot; writes nothing
    3 * text                 three times as likely as an alternative without a number

An alternative that needs a slot the draft does not have is left out before drawing, so rules need
no second version for drafts without a style or a color.
"""

import random
import re
from bisect import bisect_right
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from itertools import accumulate
from typing import Literal

from stablellava.backends.adapters.grammar.nouns import capitalize_names, correct_articles, pluralize, with_article
from stablellava.core.errors import ConfigError
from stablellava.core.suggesting import suggest_name

Slots = dict[str, str]
_WEIGHT = re.compile(r"(\d+) \* ?")
_TOKEN = re.compile(
    r"\[(?P<symbol>\w+)\]"
    r"|\{(?P<guard>[?!])(?P<guarded>\w+)\}"
    r"|\{plural (?P<plural>\w+)\}"
    r"|(?:\b(?P<article>[Aa]n?|[Tt]he) )?(?P<run>\{\w+\}(?: \{\w+\})*)"
)
_LOOSE_SPACE = re.compile(r"\s+([.,?!;:]|$)|^\s+|\s+(?=\s)")
_SENTENCE_START = re.compile(r"(?:^|[.?!] )[a-z]")


@dataclass(frozen=True, slots=True)
class _Node:
    kind: Literal["text", "symbol", "slots", "plural", "a", "the"]
    value: str
    names: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Alternative:
    """One way to write a symbol."""

    source: str
    weight: int
    nodes: tuple[_Node, ...]
    needs: frozenset[str]
    lacks: frozenset[str]

    @property
    def symbols(self) -> tuple[str, ...]:
        return tuple(node.value for node in self.nodes if node.kind == "symbol")


@dataclass(frozen=True, slots=True)
class _Choice:
    alternatives: tuple[Alternative, ...]
    cumulative: tuple[int, ...]


class Grammar:
    """Compiled rules. Expansion depends on the slots and the random numbers alone."""

    def __init__(self, rules: Mapping[str, Iterable[str]], where: str) -> None:
        """Compile rules; ``where`` names their source in messages.

        Raises: ConfigError for an unknown symbol, a rule that contains itself, or a stray bracket.
        """
        self._where = where
        self._rules = {
            symbol: tuple(_parse(text, f"{where}, rule {symbol!r}") for text in texts)
            for symbol, texts in rules.items()
        }
        self._choices: dict[frozenset[str], dict[str, _Choice | None]] = {}
        self._check_symbols()
        options = [option for texts in self._rules.values() for option in texts]
        # Slots that no rule asks for must not multiply the remembered choices.
        self._named = frozenset[str]().union(*(option.needs | option.lacks for option in options))

    def __contains__(self, symbol: str) -> bool:
        return symbol in self._rules

    def alternatives(self, symbol: str) -> tuple[Alternative, ...]:
        """Return a rule's alternatives as written, none for an unknown symbol."""
        return self._rules.get(symbol, ())

    def usable(self, symbol: str, slots: Slots) -> tuple[Alternative, ...]:
        """Return the alternatives of a symbol that these slots can fill."""
        present = self._named.intersection(slots)
        choice = self._choice(symbol, present, self._choices.setdefault(present, {}))
        return choice.alternatives if choice else ()

    def expand(self, symbol: str, slots: Slots, rng: random.Random) -> str:
        """Return one tidy text: sentences begin with capitals, articles agree.

        Raises: ConfigError when no alternative can be filled.
        """
        return tidy(self.expand_raw(symbol, slots, rng))

    def expand_raw(self, symbol: str, slots: Slots, rng: random.Random) -> str:
        """Return one expansion with spaces and capitals as the rules have them."""
        present = self._named.intersection(slots)
        known = self._choices.setdefault(present, {})
        parts: list[str] = []
        if self._choice(symbol, present, known) is None:
            raise ConfigError(
                f"{self._where}: no alternative of rule {symbol!r} can be filled with {', '.join(sorted(slots))}. "
                "Add one that needs fewer slots."
            )
        self._expand(symbol, slots, known, rng, parts)
        return "".join(parts)

    def _expand(
        self, symbol: str, slots: Slots, known: Mapping[str, _Choice | None], rng: random.Random, parts: list[str]
    ) -> None:
        choice = known[symbol]
        assert choice is not None, "a usable alternative has usable symbols only"
        drawn = choice.alternatives[bisect_right(choice.cumulative, rng.random() * choice.cumulative[-1])]
        for node in drawn.nodes:
            if node.kind == "text":
                parts.append(node.value)
            elif node.kind == "symbol":
                self._expand(node.value, slots, known, rng, parts)
            else:
                parts.append(_fill(node, slots))

    def _choice(self, symbol: str, present: frozenset[str], known: dict[str, _Choice | None]) -> _Choice | None:
        """Return what can be drawn for a symbol, remembering it and all it leads to in ``known``."""
        if symbol not in known:
            usable = tuple(
                option
                for option in self._rules.get(symbol, ())
                if option.needs <= present
                and not option.lacks & present
                and all(self._choice(child, present, known) is not None for child in option.symbols)
            )
            known[symbol] = _Choice(usable, tuple(accumulate(option.weight for option in usable))) if usable else None
        return known[symbol]

    def _check_symbols(self) -> None:
        finished: set[str] = set()

        def visit(symbol: str, path: tuple[str, ...]) -> None:
            if symbol in path:
                raise ConfigError(f"{self._where}: rule {symbol!r} contains itself ({' > '.join((*path, symbol))})")
            if symbol in finished:
                return
            for option in self._rules[symbol]:
                for child in option.symbols:
                    if child not in self._rules:
                        raise ConfigError(
                            f"{self._where}: rule {symbol!r} uses [{child}], which no rule defines. "
                            f"{suggest_name(child, self._rules)}"
                        )
                    visit(child, (*path, symbol))
            finished.add(symbol)

        for symbol in self._rules:
            visit(symbol, ())


def tidy(text: str) -> str:
    """Return the text with single spaces, capitals at sentence starts and agreeing articles."""
    text = _LOOSE_SPACE.sub(lambda match: match[1] or "", text)
    return _SENTENCE_START.sub(lambda match: match[0].upper(), correct_articles(capitalize_names(text)))


def _fill(node: _Node, slots: Slots) -> str:
    text = " ".join(slots[name] for name in node.names) if len(node.names) > 1 else slots[node.names[0]]
    if node.kind == "plural":
        return pluralize(text)
    return with_article(node.kind, text) if node.kind in ("a", "the") else text


def _parse(source: str, where: str) -> Alternative:
    weighted = _WEIGHT.match(source)
    text = source[weighted.end() :] if weighted else source
    nodes: list[_Node] = []
    needs: set[str] = set()
    lacks: set[str] = set()
    position = 0
    for token in _TOKEN.finditer(text):
        if token.start() > position:
            nodes.append(_Node("text", text[position : token.start()]))
        position = token.end()
        if token["guard"]:
            (needs if token["guard"] == "?" else lacks).add(token["guarded"])
        else:
            nodes.append(_node_of(token))
            needs.update(nodes[-1].names)
    nodes.append(_Node("text", text[position:]))
    for node in nodes:
        if node.kind == "text" and set(node.value) & set("[]{}"):
            raise ConfigError(
                f"{where}: stray bracket in {source!r}. Symbols are written [symbol], slots {{slot}}, both as one word."
            )
    written = tuple(node for node in nodes if node.kind != "text" or node.value)
    return Alternative(source, int(weighted[1]) if weighted else 1, written, frozenset(needs), frozenset(lacks))


def _node_of(token: re.Match[str]) -> _Node:
    if token["symbol"]:
        return _Node("symbol", token["symbol"])
    if token["plural"]:
        return _Node("plural", "", (token["plural"],))
    names = tuple(re.findall(r"\w+", token["run"]))
    article = (token["article"] or "").lower()
    return _Node("slots" if not article else "the" if article == "the" else "a", "", names)
