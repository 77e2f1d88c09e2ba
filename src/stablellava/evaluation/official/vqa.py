"""VQA accuracy over ten annotators, and the two normalisers in use.

An answer scores, for each annotator left out in turn, a third per match among the others, at most 1; the
mean over annotators. With ten of them 3 matches give 0.9, 2 give 0.6 and 1 gives 0.3.
"""

import re
from collections.abc import Mapping, Sequence
from typing import Any

Annotation = str | Mapping[str, Any]
"""What an annotator said, as a text or under "answer" in one of the official files' objects."""

_PUNCTUATION = ';/[]"{}()=+\\_-><@`,?!'
_NUMBERS = {
    "none": "0",
    "zero": "0",
    "one": "1",
    "two": "2",
    "three": "3",
    "four": "4",
    "five": "5",
    "six": "6",
    "seven": "7",
    "eight": "8",
    "nine": "9",
    "ten": "10",
}
_ARTICLES = frozenset({"a", "an", "the"})

# The official pattern reads "(?!<=\d)" where "(?<!\d)" was meant; what is left of it ignores the digit before.
_PERIOD = re.compile(r"\.(?!\d)")
# re.UNICODE stands where re.sub takes the count, and its value is 32.
_MAX_PERIODS = 32
_DIGITS_WITH_COMMA = re.compile(r"\d,\d")
_DIGITS_WITH_COMMAS = re.compile(r"\d,+\d")

_CONTRACTED = """
    ain't aren't can't could've couldn't couldn't've didn't doesn't don't hadn't hadn't've hasn't haven't he'd he'd've
    he's how'd how'll how's isn't it'd it'd've it'll ma'am mightn't mightn't've might've mustn't must've needn't not've
    o'clock oughtn't 'ow's'at shan't she'd've should've shouldn't shouldn't've somebody'd've somebody'll somebody's
    someone'd someone'd've someone'll someone's something'd something'd've something'll that's there'd there'd've
    there're there's they'd they'd've they'll they're they've 'twas wasn't we'd've we've weren't what'll what're what's
    what've when's where'd where's where've who'd who'd've who'll who's who've why'll why're why's won't would've
    wouldn't wouldn't've y'all y'all'll y'all'd've you'd you'd've you'll you're you've
"""


def _list_contractions() -> dict[str, str]:
    """Return the official table by its regularity: each wrong form lacks one apostrophe of the right one."""
    table = {
        word[:position] + word[position + 1 :]: word
        for word in _CONTRACTED.split()
        for position, char in enumerate(word)
        if char == "'"
    }
    # The one entry that takes an apostrophe away.
    return table | {"somebody'd": "somebodyd"}


_CONTRACTIONS = _list_contractions()


def process_punctuation(text: str) -> str:
    """Drop punctuation that touches a space, replace the rest by spaces, drop full stops not before a digit.

    A comma between digits anywhere has all punctuation dropped instead of replaced.
    """
    return _strip_punctuation(text, drop_all=_DIGITS_WITH_COMMA.search(text) is not None)


def process_punctuation_evalai(text: str) -> str:
    """Do as ``process_punctuation``; several commas between digits have all punctuation dropped, too."""
    return _strip_punctuation(text, drop_all=_DIGITS_WITH_COMMAS.search(text) is not None)


def process_digit_article(text: str) -> str:
    """Lower the case, write number words as digits, drop articles, restore apostrophes; one space between words."""
    words = (_NUMBERS.get(word, word) for word in text.lower().split())
    return " ".join(_CONTRACTIONS.get(word, word) for word in words if word not in _ARTICLES)


def normalize_vqa(text: str) -> str:
    """Return the answer as the official VQA evaluation compares it, where it normalises at all."""
    return process_digit_article(process_punctuation(_unfold(text)))


def normalize_evalai(text: str) -> str:
    """Return the answer as EvalAI, m4c and LLaVA compare and submit it."""
    return process_digit_article(process_punctuation_evalai(_unfold(word_tokenize(text))))


def word_tokenize(text: str) -> str:
    """Return the text in lower case without commas and question marks, a space before each "'s"."""
    return text.lower().replace(",", "").replace("?", "").replace("'s", " 's").strip()


def vqa_accuracy(answer: str, annotations: Sequence[Annotation]) -> float:
    """Return the official VQA accuracy: both sides are normalised only when the annotators differ.

    Raises: ValueError without annotations.
    """
    given = _unfold(answer)
    expected = [_unfold(text) for text in _said(annotations)]
    if len(set(expected)) > 1:
        given = process_digit_article(process_punctuation(given))
        expected = [process_digit_article(process_punctuation(text)) for text in expected]
    return leave_one_out(given, expected)


def evalai_accuracy(answer: str, annotations: Sequence[Annotation]) -> float:
    """Return the accuracy of EvalAI, m4c and LLaVA: both sides are always normalised.

    Raises: ValueError without annotations.
    """
    return leave_one_out(normalize_evalai(answer), [normalize_evalai(text) for text in _said(annotations)])


def compute_answer_scores(raw_answers: Sequence[Annotation]) -> dict[str, float]:
    """Return what each of the annotators' normalised answers would score by ``evalai_accuracy``."""
    answers = [normalize_evalai(text) for text in _said(raw_answers)]
    return {answer: leave_one_out(answer, answers) for answer in answers}


def leave_one_out(answer: str, annotations: Sequence[Annotation]) -> float:
    """Return the mean over annotators of a third per match among the others, at most 1; texts are compared as given.

    Raises: ValueError without annotations.
    """
    if not annotations:
        raise ValueError("VQA accuracy needs annotators' answers, got none")
    matches = [text == answer for text in _said(annotations)]
    shares = [min(1.0, (sum(matches) - is_match) / 3) for is_match in matches]
    return sum(shares) / len(shares)


def _strip_punctuation(text: str, *, drop_all: bool) -> str:
    result = text
    for char in _PUNCTUATION:
        touches_space = char + " " in text or " " + char in text
        result = result.replace(char, "" if touches_space or drop_all else " ")
    return _PERIOD.sub("", result, count=_MAX_PERIODS)


def _unfold(text: str) -> str:
    return text.replace("\n", " ").replace("\t", " ").strip()


def _said(annotations: Sequence[Annotation]) -> list[str]:
    """Return the annotators' texts."""
    return [entry if isinstance(entry, str) else str(entry["answer"]) for entry in annotations]
