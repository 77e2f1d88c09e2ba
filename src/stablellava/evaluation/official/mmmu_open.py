"""MMMU's open questions, with the official rule's quirks.

The response is lower-cased before it is split at ". Capital", so only newlines split it. Indicators are
looked for inside words too: "hepatitis b" holds "is " and leaves "b".
"""

import re
from collections.abc import Sequence

Prediction = str | float

_INDICATORS = ("could be ", "so ", "is ", "thus ", "therefore ", "final ", "answer ", "result ")
_EQUATION = "="
_TRIVIAL = frozenset({":", ",", ".", "!", "?", ";", "'"})
_NUMBERS = (
    re.compile(r"-?\b\d{1,3}(?:,\d{3})+\b"),
    re.compile(r"-?\d+(?:\.\d+)?[eE][+-]?\d+"),
    re.compile(r"-?(?:\d+\.\d+|\.\d+|\d+\b)(?![eE][+-]?\d+)(?![,\d])"),
)


def parse_open_response(response: str) -> list[Prediction]:
    """Return the tails after indicators and all numbers in them, normalised, without repeats.

    The official list has no order; this one is in order of finding.
    """
    tails = _find_tails(response)
    numbers = [number for tail in tails for number in extract_numbers(tail)]
    return list(dict.fromkeys(form for text in (*tails, *numbers) for form in normalize_str(text)))


def eval_open(gold_i: str | Sequence[str], pred_i: Sequence[Prediction]) -> bool:
    """Return whether a gold text is contained in a predicted one, or a predicted number equals a gold one."""
    answers = [gold_i] if isinstance(gold_i, str) else gold_i
    expected = [form for answer in answers for form in normalize_str(answer)]
    texts = [form for form in expected if isinstance(form, str)]
    return any(
        any(text in prediction for text in texts) if isinstance(prediction, str) else prediction in expected
        for prediction in pred_i
    )


def normalize_str(string: str) -> list[Prediction]:
    """Return a number to 2 decimals, or the text in lower case; one letter is padded on either side."""
    text = string.strip()
    if check_is_number(text):
        return [round(float(text.replace(",", "")), 2)]
    lowered = text.lower()
    return [" " + lowered, lowered + " "] if len(lowered) == 1 else [lowered]


def check_is_number(string: str) -> bool:
    """Return whether the text, commas aside, is a number."""
    try:
        float(string.replace(",", ""))
    except ValueError:
        return False
    return True


def extract_numbers(string: str) -> list[str]:
    """Return numbers with commas, then in scientific notation, then simple ones."""
    return [number for pattern in _NUMBERS for number in pattern.findall(string)]


def _find_tails(response: str) -> list[str]:
    """Return the shortest tail after an indicator of each line, or the whole response in lower case."""
    stripped = response.strip().strip(".").lower()
    lines = stripped.split("\n")
    tails: list[str] = []
    for number, line in enumerate(lines, start=1):
        indicators = (*_INDICATORS, _EQUATION) if number == len(lines) else _INDICATORS
        shortest = ""
        for indicator in indicators:
            if indicator in line:
                tail = line.split(indicator)[-1].strip()
                # An empty tail never holds its place: any later one replaces it.
                if not shortest or len(tail) < len(shortest):
                    shortest = tail
        if shortest and shortest not in _TRIVIAL:
            tails.append(shortest)
    return tails or [stripped]
