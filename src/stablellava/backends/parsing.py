"""From a chat model's words to the JSON object in them."""

import re
from collections.abc import Mapping
from dataclasses import dataclass
from json import JSONDecoder
from typing import Any

import orjson

from stablellava.backends.schema_fit import find_misfit

_THOUGHT_END = "</think>"
_FENCE = re.compile(r"```[A-Za-z]*\s*\n(.*?)```", re.S)
_ENDS_A_VALUE = re.compile(r"""(["'\]}\d]|true|false|null)\s*,?\s*\}\Z""", re.I)
_QUOTE = re.compile(r'(?<!\\)(?:\\\\)*"')
_DECODER = JSONDecoder(strict=False)  # a bare line break inside a string is harmless


@dataclass(frozen=True, slots=True)
class ParsedAnswer:
    """What was read.

    Attributes:
        value: the object, or None.
        error: what is wrong, in words that a corrective retry can show; empty when there is a value.
        was_repaired: whether harmless damage was mended.
    """

    value: dict[str, Any] | None
    error: str = ""
    was_repaired: bool = False


def parse_answer(text: str, schema: Mapping[str, Any] | None = None, finish_reason: str = "stop") -> ParsedAnswer:
    """Read the one JSON object of an answer.

    Code fences, thoughts and prose around it, trailing commas and wrong quotes are mended. An answer that was cut off
    (by ``finish_reason``, or by its brackets and quotes) is an error: nothing is completed by guessing.
    """
    body = text.rpartition(_THOUGHT_END)[2].strip()
    fenced = _FENCE.findall(body)
    if len(fenced) == 1:
        body = fenced[0].strip()
    start = body.find("{")
    if start < 0:
        return ParsedAnswer(None, "the answer holds no JSON object")
    value, end, was_repaired = _decode(body, start)
    if value is None:
        if finish_reason == "length" or _is_cut_off(body[start:]):
            return ParsedAnswer(None, "the answer was cut off before its end")
        end = body.rindex("}") + 1
        value, was_repaired = _repair(body[start:end]), True
    if not isinstance(value, dict):
        return ParsedAnswer(None, "the answer is no valid JSON object")
    if "{" in body[end:]:
        return ParsedAnswer(None, "the answer holds more than one JSON object")
    try:
        orjson.dumps(value)
    except orjson.JSONEncodeError as exc:  # half of a character, a number of 30 digits: no record can hold it
        return ParsedAnswer(None, f"the answer cannot be kept: {exc}", was_repaired)
    misfit = find_misfit(value, schema) if schema is not None else ""
    if misfit:
        return ParsedAnswer(None, misfit, was_repaired)
    return ParsedAnswer(value, "", was_repaired or body != text)


def _decode(body: str, start: int) -> tuple[Any, int, bool]:
    try:
        value, end = _DECODER.raw_decode(body, start)
    except (ValueError, RecursionError):  # or a model that loses itself in digits, or in brackets
        return None, start, False
    return value, end, bool(body[:start].strip() or body[end:].strip())


def _is_cut_off(candidate: str) -> bool:
    """Whether brackets or quotes stay open. Counts those inside strings too, so it may refuse more than it must."""
    if any(candidate.count(opening) != candidate.count(closing) for opening, closing in ("{}", "[]")):
        return True
    whole = candidate[: candidate.rindex("}") + 1]
    return len(_QUOTE.findall(whole)) % 2 == 1


def _repair(candidate: str) -> Any:
    if not _ENDS_A_VALUE.search(candidate):  # a value is missing, and would be made up
        return None
    from json_repair import repair_json  # slow to import, and seldom needed

    try:
        return repair_json(candidate, return_objects=True, skip_json_loads=True)
    except (RecursionError, ValueError):  # nested deeper than it reads
        return None
