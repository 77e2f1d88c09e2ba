"""Would the prompt have something unsuitable painted? Asked before painting, by a list of terms."""

from collections.abc import Sequence
from importlib.resources import files
from typing import Any

import yaml

from stablellava.core.errors import ConfigError
from stablellava.core.matching import contains_phrase
from stablellava.core.sample import Verdict
from stablellava.core.suggesting import suggest_name
from stablellava.filters.base import Candidate


class SafePrompt:
    """Refuses: unsafe_prompt.

    Args:
        extra_terms: further words and phrases to refuse.
        allowed_terms: terms of the built-in list that are fine here ("corpse" in a data set on painting history).

    Raises: ConfigError for a text instead of a list, or a term to allow that the built-in list has not.
    """

    name = "safe_prompt"
    is_cured_by_repainting = False

    def __init__(self, extra_terms: Sequence[str] = (), allowed_terms: Sequence[str] = ()) -> None:
        for option, given in (("extra_terms", extra_terms), ("allowed_terms", allowed_terms)):
            if isinstance(given, str):  # its letters would be the terms
                raise ConfigError(f"check {self.name!r}: {option}={given!r}: give a list, as [{given}]")
        terms = {term: kind for kind, listed in _read_terms().items() for term in listed}
        for term in dict.fromkeys(allowed_terms):
            if terms.pop(term, None) is None:
                raise ConfigError(f"check {self.name!r}: no term {term!r} to allow. {suggest_name(term, terms)}")
        self._kind_of_term = {**terms, **dict.fromkeys(extra_terms, "extra")}

    def judge(self, candidate: Candidate) -> Verdict:
        for prompt in candidate.draft.prompts:
            for term, kind in self._kind_of_term.items():
                if contains_phrase(prompt.text, term):
                    return Verdict(
                        filter_name=self.name, kept=False, reason="unsafe_prompt",
                        detail=f"{term!r} ({kind}) in {prompt.text[:100]!r}",
                    )  # fmt: skip
        return Verdict(filter_name=self.name, kept=True)


def _read_terms() -> dict[str, list[str]]:
    text = files(__package__).joinpath("unsafe_terms.yaml").read_text(encoding="utf-8")
    terms: dict[str, Any] = yaml.safe_load(text)
    return {kind: [str(term) for term in listed] for kind, listed in terms.items()}
