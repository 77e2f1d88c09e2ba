"""Does the picture show the decisive keyword? The painter's own report is asked, never its intention."""

from stablellava.core.capability import Keyword
from stablellava.core.matching import contains_phrase, split_words
from stablellava.core.sample import DrawnFact, Painting, Verdict
from stablellava.filters.base import FUNCTION_WORDS, Candidate


class KeywordDrawn:
    """Refuses: keyword_not_drawn, attribute_on_wrong_thing. Painters without a report pass unchecked."""

    name = "keyword_drawn"
    is_cured_by_repainting = True

    def judge(self, candidate: Candidate) -> Verdict:
        parts = candidate.keyword.parts
        has_one_part_each = len(parts) == len(candidate.paintings) and len(parts) > 1
        for index, painting in enumerate(candidate.paintings):
            if painting.drawn is None:
                return Verdict(filter_name=self.name, kept=True, detail="the painter reports nothing")
            if has_one_part_each:
                missing = _missing_words(parts[index], painting.drawn)
            elif candidate.keyword.parts:
                missing = _missing_words(_decisive_phrase(candidate, index), painting.drawn)
            else:
                missing = _missing_of_keyword(candidate.keyword, painting)
            if missing:
                return self._refuse("keyword_not_drawn", f"picture {index + 1} does not show: {', '.join(missing)}")
            if not has_one_part_each and not _is_on_its_subject(candidate.keyword, painting.drawn):
                detail = f"picture {index + 1}: no {candidate.keyword.subject} is {candidate.keyword.answer}"
                return self._refuse("attribute_on_wrong_thing", detail)
        return Verdict(filter_name=self.name, kept=True)

    def _refuse(self, reason: str, detail: str) -> Verdict:
        return Verdict(filter_name=self.name, kept=False, reason=reason, detail=detail)


def _decisive_phrase(candidate: Candidate, index: int) -> str:
    prompt = candidate.draft.prompts[index]
    return prompt.emphasis[0][0] if prompt.emphasis else prompt.text.partition(",")[0]


def _missing_of_keyword(keyword: Keyword, painting: Painting) -> list[str]:
    assert painting.drawn is not None
    phrases = (keyword.name, *keyword.synonyms)
    if any(_names(fact, phrase) for fact in painting.drawn for phrase in phrases):
        return []
    missing = [_missing_words(phrase, painting.drawn) for phrase in phrases]
    return min(missing, key=len)


def _missing_words(phrase: str, drawn: tuple[DrawnFact, ...]) -> list[str]:
    """Return the content words of the phrase that no fact answers to."""
    words = [word for word in split_words(phrase) if word not in FUNCTION_WORDS]
    return [word for word in words if not any(_names(fact, word) for fact in drawn)]


def _is_on_its_subject(keyword: Keyword, drawn: tuple[DrawnFact, ...]) -> bool:
    """Tell whether an attribute ("red") was drawn on its subject ("car")."""
    if not keyword.subject or not keyword.answer or contains_phrase(keyword.answer, keyword.subject):
        return True
    if any(contains_phrase(fact.name, keyword.name) for fact in drawn):
        return True
    carriers = [fact.subject for fact in drawn if fact.subject and _names(fact, keyword.answer)]
    if not carriers:
        # The painter reported the whole phrase as one thing ("red car").
        return any(_names(fact, keyword.name) for fact in drawn)
    subjects = {
        keyword.subject,
        *(fact.name for fact in drawn if fact.kind == "thing" and _names(fact, keyword.subject)),
    }
    return any(
        contains_phrase(carrier, subject) or contains_phrase(subject, carrier)
        for carrier in carriers
        for subject in subjects
    )


def _names(fact: DrawnFact, phrase: str) -> bool:
    return contains_phrase(fact.said, phrase) or contains_phrase(fact.name, phrase)
