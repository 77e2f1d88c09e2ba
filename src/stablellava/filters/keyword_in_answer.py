"""Does the dialogue speak about the decisive keyword?

Paper: 2308.10253v1, section 3 (the answer speaks about the bracketed keyword).
"""

from stablellava.core.matching import contains_phrase, split_words
from stablellava.core.sample import Verdict
from stablellava.filters.base import Candidate

_FUNCTION_WORDS = frozenset({"a", "an", "the", "of", "on", "in", "at", "with", "and", "to", "for", "from", "by"})


class KeywordInAnswer:
    """Refuses: keyword_not_in_answer. Evaluation drafts pass: their answers may be a bare yes or no."""

    name = "keyword_in_answer"
    is_cured_by_repainting = False

    def judge(self, candidate: Candidate) -> Verdict:
        if candidate.draft.form is not None or self._is_named(candidate):
            return Verdict(filter_name=self.name, kept=True)
        return Verdict(filter_name=self.name, kept=False, reason="keyword_not_in_answer", detail=candidate.keyword.name)

    def _is_named(self, candidate: Candidate) -> bool:
        keyword = candidate.keyword
        if not keyword.name:
            # Rows made elsewhere may come without one.
            return True
        answers = " . ".join(turn.text for turn in candidate.draft.turns if turn.speaker == "assistant")
        phrases = (keyword.name, *keyword.synonyms, *keyword.accepted_answers)
        if any(contains_phrase(answers, phrase) for phrase in phrases):
            return True
        # "red car" is also spoken about by "the car on the beach is red".
        content = [word for part in (keyword.parts or (keyword.name,)) for word in split_words(part)]
        content = [word for word in content if word not in _FUNCTION_WORDS]
        return bool(content) and all(contains_phrase(answers, word) for word in content)
