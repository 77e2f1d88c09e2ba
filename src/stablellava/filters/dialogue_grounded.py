"""Does the dialogue claim only what is to be seen?

Paper: 2308.10253v1, section 3 (answers add nothing the prompt does not hold).
Departs: what the painter ignored does not count as seen, so a claim must also have been drawn.
"""

from stablellava.core.matching import contains_phrase
from stablellava.core.sample import Verdict
from stablellava.filters.base import Candidate
from stablellava.filters.lexicon import Claim, Lexicon


class DialogueGrounded:
    """Refuses: claim_not_drawn."""

    name = "dialogue_grounded"
    is_cured_by_repainting = False

    def __init__(self, lexicon: Lexicon) -> None:
        self._lexicon = lexicon

    def judge(self, candidate: Candidate) -> Verdict:
        seen = _seen_phrases(candidate)
        for turn in candidate.draft.turns:
            if turn.speaker != "assistant":
                continue
            for claim in self._lexicon.find_claims(turn.text):
                if not _is_seen(claim, seen):
                    return Verdict(
                        filter_name=self.name, kept=False, reason="claim_not_drawn",
                        detail=f"{claim.phrase!r} in {turn.text[:120]!r}",
                    )  # fmt: skip
        return Verdict(filter_name=self.name, kept=True)


def _seen_phrases(candidate: Candidate) -> list[str]:
    keyword = candidate.keyword
    # What the capability's table lets a sentence add is no claim of the writer's own.
    seen = [keyword.name, *keyword.synonyms, keyword.group, keyword.note, *keyword.parts]
    ignored = {phrase.lower() for painting in candidate.paintings for phrase in painting.ignored}
    for prompt in candidate.draft.prompts:
        seen.extend(phrase for part in prompt.text.split(",") if (phrase := part.strip()).lower() not in ignored)
    for painting in candidate.paintings:
        for fact in painting.drawn or ():
            seen.extend((fact.name, fact.said, fact.subject))
    return [phrase for phrase in dict.fromkeys(seen) if phrase]


def _is_seen(claim: Claim, seen: list[str]) -> bool:
    return any(contains_phrase(phrase, claim.phrase) for phrase in seen) or any(
        contains_phrase(phrase, other) for other in claim.equivalents for phrase in seen
    )
