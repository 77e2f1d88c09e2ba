"""Requests as the JSON of chat completions."""

import base64
from typing import Any

import orjson

from stablellava.core.chat import ChatMessage, ChatRequest
from stablellava.core.errors import ConfigError

_SIGNATURES = ((b"\x89PNG", "image/png"), (b"\xff\xd8\xff", "image/jpeg"), (b"GIF8", "image/gif"))


def chat_body(model: str, request: ChatRequest, with_schema: bool, extra: dict[str, Any]) -> dict[str, Any]:
    """Return the body of one call.

    A schema is sent as response_format, or written out after the last message. ``extra`` is added last; one of its
    fields that is None takes a field away.
    """
    messages = [_message(message) for message in request.messages]
    body: dict[str, Any] = {
        "model": model,
        "messages": messages,
        "temperature": request.temperature,
        "top_p": request.top_p,
        "max_tokens": request.max_tokens,
    }
    if request.seed is not None:
        body["seed"] = request.seed
    if request.json_schema is not None:
        if with_schema:
            body["response_format"] = _response_format(request.schema_name, request.json_schema)
        else:
            _write_out(request.json_schema, messages)
    for name, value in extra.items():
        if value is None:
            body.pop(name, None)
        else:
            body[name] = value
    return body


def data_url(image: bytes) -> str:
    """Return an encoded picture as a data URL with its MIME type.

    Raises: ConfigError for bytes that are no PNG, JPEG, GIF or WebP.
    """
    return f"data:{_mime_type(image)};base64,{base64.b64encode(image).decode()}"


def _message(message: ChatMessage) -> dict[str, Any]:
    if not message.images:
        return {"role": message.role, "content": message.text}
    parts: list[dict[str, Any]] = [
        {"type": "image_url", "image_url": {"url": data_url(image)}} for image in message.images
    ]
    return {"role": message.role, "content": [*parts, {"type": "text", "text": message.text}]}


def _response_format(name: str, schema: dict[str, Any]) -> dict[str, Any]:
    # "strict" is refused for schemas that leave room for further fields.
    is_closed = schema.get("additionalProperties") is False
    return {"type": "json_schema", "json_schema": {"name": name, "schema": schema, "strict": is_closed}}


def _write_out(schema: dict[str, Any], messages: list[dict[str, Any]]) -> None:
    words = (
        "\n\nAnswer with one JSON object and nothing else, no code fence and no comment. "
        f"It must fit this JSON schema:\n{orjson.dumps(schema).decode()}"
    )
    content = messages[-1]["content"]
    if isinstance(content, str):
        messages[-1]["content"] = content + words
    else:
        content[-1]["text"] += words


def _mime_type(image: bytes) -> str:
    for signature, mime_type in _SIGNATURES:
        if image.startswith(signature):
            return mime_type
    if image[:4] == b"RIFF" and image[8:12] == b"WEBP":
        return "image/webp"
    raise ConfigError(f"a picture for a chat model begins with {image[:8]!r}: only PNG, JPEG, GIF and WebP can be sent")
