"""A capability compiled for writing: its rules joined with the shared ones."""

import random
from functools import lru_cache

from stablellava.backends.adapters.grammar.rules import Grammar
from stablellava.backends.adapters.grammar.tables import SharedTables
from stablellava.core.capability import Capability, FormKind, Keyword
from stablellava.core.errors import ConfigError
from stablellava.core.ids import hash_id
from stablellava.core.matching import contains_phrase, plural_of, split_words

_FORM_SYMBOLS = ("form_wh", "form_yes", "form_no", "form_either_or")


class Script:
    """What the writer needs of one capability, prepared once and used for every draft of it.

    The capability's evaluation forms become the rules [form_wh], [form_yes], [form_no] and
    [form_either_or], so that a capability without question rules of its own is still asked about.
    """

    def __init__(self, capability: Capability, tables: SharedTables) -> None:
        """Compile the rules. Raises: ConfigError naming the rule that cannot work."""
        self.capability = capability
        self.tables = tables
        questions = {"describe": capability.description_questions, **_form_rules(capability)}
        rules = {**tables.rules, **questions, **capability.grammar}
        self.grammar = Grammar(rules, f"capability {capability.name!r}, grammar")
        self.facts = self._names_in("facts")
        self.phrases = self._names_in("phrases")
        self.revision = hash_id(tables.revision, sorted((symbol, list(rules[symbol])) for symbol in rules))
        self._literals = {fact: self._literal_values(fact) for fact in self.facts}
        self._others: dict[str, tuple[Keyword, ...]] = {}
        self._named: dict[str, frozenset[str]] = {}
        self._features: dict[str, tuple[str, ...]] = {}

    def other_keywords(self, keyword: Keyword) -> tuple[Keyword, ...]:
        """Return the keywords that are surely wrong for a picture of this one: rivals or other groups, other words."""
        if keyword.name not in self._others:
            self._others[keyword.name] = tuple(
                other for other in self.capability.keywords if _is_surely_other(keyword, other)
            )
        return self._others[keyword.name]

    def keywords_named_in(self, phrase: str) -> frozenset[str]:
        """Return the names of the keywords that a phrase of a prompt names, by any of their words."""
        if phrase not in self._named:
            self._named[phrase] = frozenset(
                keyword.name
                for keyword in self.capability.keywords
                if any(_names(phrase, said) for said in (keyword.name, keyword.short_answer, *keyword.synonyms))
            )
        return self._named[phrase]

    def features_for(self, place: str) -> tuple[str, ...]:
        """Return the capability's visual features that can be had in the place."""
        if place not in self._features:
            features = self.capability.visual_features
            self._features[place] = tuple(it for it in features if not self.tables.clashes(it, place))
        return self._features[place]

    def other_value(self, fact: str, value: str, rng: random.Random) -> str | None:
        """Return another value the fact could have had, or None if its rule spells out no other."""
        values = [other for other in self._literals.get(fact, ()) if other != value]
        return rng.choice(values) if values else None

    def _names_in(self, symbol: str) -> tuple[str, ...]:
        names = tuple(option.source for option in self.grammar.alternatives(symbol))
        unknown = [name for name in names if name not in self.grammar]
        if unknown:
            raise ConfigError(
                f"capability {self.capability.name!r}, grammar: {symbol!r} lists {unknown[0]!r}, "
                f"which no rule defines. Add a rule {unknown[0]!r} or take it off the list."
            )
        return names

    def _literal_values(self, fact: str) -> tuple[str, ...]:
        options = self.grammar.alternatives(fact)
        literal = [option.nodes[0].value for option in options if [node.kind for node in option.nodes] == ["text"]]
        return tuple(dict.fromkeys(literal))


def form_symbol(kind: FormKind, *, is_yes: bool) -> str:
    """Return the rule that holds the evaluation forms of a kind."""
    if kind == "yes_no":
        return "form_yes" if is_yes else "form_no"
    return f"form_{kind}"


def _form_rules(capability: Capability) -> dict[str, tuple[str, ...]]:
    rules: dict[str, list[str]] = {symbol: [] for symbol in _FORM_SYMBOLS}
    for form in capability.evaluation_forms:
        question = form.question
        if form.kind != "yes_no":
            rules[f"form_{form.kind}"].append(question)
            continue
        yes = question.replace("{other}", "{answer}")
        no = question.replace("{keyword}", "{other_keyword}").replace("{answer}", "{other}")
        if yes == no:
            raise ConfigError(
                f"capability {capability.name!r}: the yes_no form {question!r} asks the same of every picture. "
                "Name {keyword}, {answer} or {other} in it."
            )
        rules["form_yes"].append(yes)
        rules["form_no"].append(no)
    return {symbol: tuple(dict.fromkeys(texts)) for symbol, texts in rules.items()}


def _is_surely_other(keyword: Keyword, other: Keyword) -> bool:
    if other.name == keyword.name or (keyword.group and other.group == keyword.group):
        return False
    if keyword.rivals and other.name not in keyword.rivals:
        return False
    own, wrong = (keyword.name, *_answers(keyword)), _answers(other)
    return not (any(_names(" ; ".join(own), it) for it in wrong) or any(_names(" ; ".join(wrong), it) for it in own))


def _answers(keyword: Keyword) -> tuple[str, ...]:
    return (*keyword.accepted_answers, *keyword.synonyms)


def _names(text: str, phrase: str) -> bool:
    """Tell whether the text names the phrase; most pairs share no word and are told apart quickly."""
    return not _word_forms(text).isdisjoint(_word_forms(phrase)) and contains_phrase(text, phrase)


@lru_cache(maxsize=65536)
def _word_forms(text: str) -> frozenset[str]:
    words = split_words(text)
    return frozenset((*words, *map(plural_of, words)))
