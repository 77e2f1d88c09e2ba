"""Does an answer speak about the model instead of the picture?"""

import re

from stablellava.core.sample import Verdict
from stablellava.filters.base import Candidate

_REFUSALS = (
    r"as an? (?:ai|artificial intelligence|(?:large )?language model|text-based|assistant)\b",
    r"i(?: am|'m) (?:sorry|afraid|unable|not able|just an?|only an?|an? (?:ai|language model))\b",
    r"i (?:can ?not|can't|cannot|do not|don't|am unable to) (?:see|view|access|display|create|generate|assist|fulfil)",
    r"i apologi[sz]e\b",
    r"(?:cannot|can't|unable to) (?:comply|fulfil|provide)\b",
)
_CHATTER = (
    r"^(?:sure|certainly|of course|absolutely|great|okay|ok)[!,.:]",
    r"\bhere (?:is|are|'s) (?:an?|the|your|some) (?:prompt|dialogue|conversation|question|answer|example)s?\b",
    r"\b(?:let me know|feel free|hope this helps|happy to help)\b",
    r"\b(?:text-to-image|stable diffusion|the (?:image )?prompt|the given prompt|based on the prompt)\b",
    r"\[(?:insert|your|name|keyword)[^\]]*\]|\{\{?\w+\}?\}|<\|[^|]*\|>|\blorem ipsum\b",
)


class NoBoilerplate:
    """Refuses: refusal_text ("as an AI"), boilerplate_text (chatter, prompt talk, unfilled templates)."""

    name = "no_boilerplate"
    is_cured_by_repainting = False

    def __init__(self) -> None:
        self._kinds = (
            ("refusal_text", re.compile("|".join(_REFUSALS), re.IGNORECASE)),
            ("boilerplate_text", re.compile("|".join(_CHATTER), re.IGNORECASE)),
        )

    def judge(self, candidate: Candidate) -> Verdict:
        """Return the verdict on all turns and prompts."""
        texts = [turn.text.strip().replace("\u2019", "'") for turn in candidate.draft.turns]
        texts += [prompt.text for prompt in candidate.draft.prompts]
        for reason, pattern in self._kinds:
            for text in texts:
                if found := pattern.search(text):
                    return Verdict(
                        filter_name=self.name, kept=False, reason=reason, detail=f"{found[0]!r} in {text[:100]!r}"
                    )
        return Verdict(filter_name=self.name, kept=True)
