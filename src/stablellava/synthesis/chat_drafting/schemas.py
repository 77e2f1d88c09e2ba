"""The JSON schemas of the answers. Closed and fully required, as strict servers want them."""

from functools import cache
from typing import Any

from stablellava.synthesis.chat_drafting.instructions import CallKind

_TEXT = {"type": "string"}


@cache
def answer_schema(kind: CallKind, num_images: int, num_drafts: int, max_follow_ups: int) -> dict[str, Any]:
    """Return the schema of one answer; several drafts come as a numbered list under "drafts". Not to be changed."""
    fields = _fields(kind, num_images, max_follow_ups)
    if num_drafts == 1:
        return _object(fields)
    entry = _object({"number": {"type": "integer"}, **fields})
    return _object({"drafts": {"type": "array", "items": entry, "minItems": num_drafts, "maxItems": num_drafts}})


def _fields(kind: CallKind, num_images: int, max_follow_ups: int) -> dict[str, Any]:
    if kind == "prompt":
        if num_images == 1:
            return {"prompt": _TEXT}
        return {"prompts": {"type": "array", "items": _TEXT, "minItems": num_images, "maxItems": num_images}}
    if kind == "question":
        return {"prompt_echo": _TEXT, "question": _TEXT, "answer": _TEXT, "other": _TEXT}
    fields: dict[str, Any] = {"prompt_echo": _TEXT, "answer": _TEXT}
    if max_follow_ups:
        exchange = _object({"question": _TEXT, "answer": _TEXT})
        fields["follow_ups"] = {"type": "array", "items": exchange, "maxItems": max_follow_ups}
    return fields


def _object(fields: dict[str, Any]) -> dict[str, Any]:
    return {"type": "object", "properties": fields, "required": list(fields), "additionalProperties": False}
