"""Is the dialogue in the language that was asked for?"""

from stablellava.core.errors import BackendMissing, ConfigError
from stablellava.core.matching import split_words
from stablellava.core.sample import Verdict
from stablellava.core.suggesting import suggest_name
from stablellava.filters.base import Candidate

_MIN_WORDS = 5
"""Fewer words are too little evidence for any identifier ("Yes." is taken for Kabyle)."""
_MIN_MARGIN = 10.0
"""Natural log units by which another language must be likelier; close relatives of a language stay below."""


class InLanguage:
    """Refuses: other_language. Short texts pass.

    Args:
        language: ISO 639 code, "en".

    Raises: BackendMissing without py3langid, ConfigError for a language it does not know.
    """

    name = "in_language"
    is_cured_by_repainting = False

    def __init__(self, language: str = "en") -> None:
        try:
            import py3langid
        except ImportError as exc:
            raise BackendMissing("telling languages needs py3langid: pip install 'stablellava[language]'") from exc
        known = [label for label, _ in py3langid.rank("language")]
        if language not in known:
            raise ConfigError(f"language {language!r} is not known. {suggest_name(language, known)}")
        self._rank = py3langid.rank
        self._language = language

    def judge(self, candidate: Candidate) -> Verdict:
        text = " ".join(turn.text for turn in candidate.draft.turns)
        if len(split_words(text)) < _MIN_WORDS:
            return Verdict(filter_name=self.name, kept=True)
        ranked = self._rank(text)
        likelihoods = dict(ranked)
        best, likelihood = ranked[0]
        margin = float(likelihood - likelihoods[self._language])
        if margin <= _MIN_MARGIN:
            return Verdict(filter_name=self.name, kept=True)
        return Verdict(
            filter_name=self.name, kept=False, reason="other_language",
            detail=f"{best} rather than {self._language}: {text[:80]!r}", score=margin, threshold=_MIN_MARGIN,
        )  # fmt: skip
