"""Does the prompt ask for the decisive keyword? A picture cannot show what nobody asked for.

Paper: 2308.10253v1, section 3 (the decisive keyword comes first, in double brackets).
"""

from stablellava.core.matching import contains_phrase, split_words
from stablellava.core.sample import Verdict
from stablellava.filters.base import FUNCTION_WORDS, Candidate


class KeywordInPrompt:
    """Refuses: keyword_not_in_prompt. With several pictures each prompt must hold its own part."""

    name = "keyword_in_prompt"
    is_cured_by_repainting = False

    def judge(self, candidate: Candidate) -> Verdict:
        keyword = candidate.keyword
        prompts = [prompt.text for prompt in candidate.draft.prompts]
        wanted = (
            keyword.parts if keyword.parts and len(keyword.parts) == len(prompts) else (keyword.name,) * len(prompts)
        )
        if not keyword.parts and len(prompts) > 1:
            wanted, prompts = (keyword.name,), [" , ".join(prompts)]
        for phrase, prompt in zip(wanted, prompts, strict=True):
            if not _is_asked_for(prompt, (phrase, *(() if keyword.parts else keyword.synonyms))):
                return Verdict(
                    filter_name=self.name, kept=False, reason="keyword_not_in_prompt",
                    detail=f"{phrase!r} is not in {prompt[:100]!r}",
                )  # fmt: skip
        return Verdict(filter_name=self.name, kept=True)


def _is_asked_for(prompt: str, phrases: tuple[str, ...]) -> bool:
    if any(contains_phrase(prompt, phrase) for phrase in phrases):
        return True
    # "an elephant that rides a bicycle" asks for "elephant on a bicycle".
    content = [word for word in split_words(phrases[0]) if word not in FUNCTION_WORDS]
    return bool(content) and all(contains_phrase(prompt, word) for word in content)
