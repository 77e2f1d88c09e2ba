"""Are prompt and dialogue neither cut short nor endless? A dialogue may answer in one word, but not only so."""

from stablellava.core.matching import split_words
from stablellava.core.sample import Verdict
from stablellava.filters.base import Candidate


class TextLength:
    """Refuses: answer_too_short, answer_too_long, prompt_too_short, prompt_too_long.

    Args:
        min_answer_words: of the longest answer in a training dialogue; evaluation answers may be one word.
        max_answer_words: of each answer.
        min_prompt_words: of each prompt.
        max_prompt_words: of each prompt; CLIP's text encoder holds 77 tokens, about 55 words.
    """

    name = "text_length"
    is_cured_by_repainting = False

    def __init__(
        self,
        min_answer_words: int = 3,
        max_answer_words: int = 300,
        min_prompt_words: int = 1,
        max_prompt_words: int = 100,
    ) -> None:
        self._answer_words = (min_answer_words, max_answer_words)
        self._prompt_words = (min_prompt_words, max_prompt_words)

    def judge(self, candidate: Candidate) -> Verdict:
        draft = candidate.draft
        low, high = self._answer_words
        measured = [("prompt", prompt.text, *self._prompt_words) for prompt in draft.prompts]
        answers = [turn.text for turn in draft.turns if turn.speaker == "assistant"]
        longest = max(answers, key=lambda text: len(split_words(text)), default="")
        measured.append(("answer", longest, 1 if draft.form else low, high))
        for what, text, least, most in measured:
            num_words = len(split_words(text))
            if not least <= num_words <= most:
                is_short = num_words < least
                return Verdict(
                    filter_name=self.name, kept=False, reason=f"{what}_too_{'short' if is_short else 'long'}",
                    detail=text[:100], score=num_words, threshold=least if is_short else most,
                )  # fmt: skip
        return Verdict(filter_name=self.name, kept=True)
