"""AI2D: diagrams with four options."""

import re
import string
from collections.abc import Mapping

from stablellava.core.score import ItemScore
from stablellava.evaluation.official.mmbench import can_infer
from stablellava.evaluation.scoring import UNPARSED

_LEADING_LETTER = re.compile(r"\s*([A-Z])\.")
_NO_PUNCTUATION = str.maketrans("", "", string.punctuation)


def extract_letter(text: str) -> str:
    """Return the letter of a leading "X.", else the text as it is (lmms-eval's filter)."""
    match = _LEADING_LETTER.match(text)
    return match[1] if match else text


def exact_match(prediction: str, reference: str) -> bool:
    """Return whether two texts are the same but for case and ASCII punctuation; spaces count."""
    return _fold(prediction) == _fold(reference)


def score_ai2d(item_id: str | int, text: str, answer: str, options: Mapping[str, str]) -> ItemScore:
    """Return the exact match of the extracted letter with the right one (lmms-eval, LLaVA's prompt)."""
    parsed = extract_letter(text)
    is_letter = any(exact_match(parsed, letter) for letter in options)
    return ItemScore(
        item_id=str(item_id),
        value=float(exact_match(parsed, answer)),
        parsed=_fold(parsed).upper() if is_letter else "",
        why="" if is_letter else UNPARSED,
    )


def score_ai2d_rules(item_id: str | int, text: str, answer: str, options: Mapping[str, str]) -> ItemScore:
    """Return whether VLMEvalKit's matching rules, without a judge, find the right option."""
    letter = can_infer(text.strip(), options)
    if not letter:
        return ItemScore(item_id=str(item_id), value=0.0, why=UNPARSED)
    return ItemScore(item_id=str(item_id), value=float(letter == answer), parsed=letter)


def _fold(text: str) -> str:
    # Officially in numpy arrays, which keep their width in lower case and drop null characters at the end.
    return text.lower()[: len(text)].translate(_NO_PUNCTUATION).rstrip("\0")
