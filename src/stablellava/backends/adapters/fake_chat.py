"""A chat model for tests and rehearsals: it answers at once from the request's hash, and can be told to misbehave."""

import asyncio
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import orjson
import xxhash

from stablellava.backends.schema_fit import resolve_schema
from stablellava.core.chat import ChatFailure, ChatReply, ChatRequest
from stablellava.core.draft import CallStamp
from stablellava.core.ids import hash_id, share_of

_PLACES = ("on the beach", "in the forest", "in the kitchen", "in the garden", "on the street", "in the snow")
_LIGHTS = ("soft light", "hard shadow", "bright sun", "thin mist", "warm glow", "deep contrast", "golden hour")
_OPENINGS = ("The picture shows", "There is", "One sees", "I can see", "This is")
_NUM_COLLAPSED = 5
_BYTES_PER_TOKEN = 4
_SENTENCE_MARK = "@sentence@"
_PROMPT_MARK = "@prompt@"


class FakeChat:
    """Answers with the smallest JSON that fits the request's schema, or with a sentence where there is none.

    What it says is about one of the keywords that the request lists; a field named like "prompt" or "echo" gets the
    prompt that the request holds, or a new one: each of several its own where the request says what they show.
    Equal requests get equal answers, and planted faults are at the same place in every run.

    Args:
        script: answers instead (from Python only): takes a request, returns a text or a failure.
        keywords_labels: what the line opens with that lists keywords, parted by commas; the last such line counts.
        echo_labels: what the line opens with that holds the prompt.
        parts_labels: what the line behind the keywords opens with that says what each picture shows, parted by bars.
        broken_share: share of requests answered with prose instead of JSON.
        truncated_share: share answered with half of the answer.
        fail_share: share that fail with "server_error".
        rate_limited_share: share that fail with "rate_limited".
        collapse_after: after so many answers, only five different ones are given.
        seconds: how long an answer takes.
        max_in_flight: how many calls a caller should keep open.
    """

    name = "fake-chat"

    def __init__(
        self,
        script: Callable[[ChatRequest], str | ChatFailure] | None = None,
        keywords_labels: Sequence[str] = ("keywords:", "keyword:"),
        echo_labels: Sequence[str] = ("prompt:",),
        parts_labels: Sequence[str] = ("pictures:",),
        broken_share: float = 0.0,
        truncated_share: float = 0.0,
        fail_share: float = 0.0,
        rate_limited_share: float = 0.0,
        collapse_after: int | None = None,
        seconds: float = 0.0,
        max_in_flight: int = 64,
    ) -> None:
        self._script = script
        self._keywords_labels = tuple(f"\n{label.lower()}" for label in keywords_labels)
        self._echo_labels = tuple(f"\n{label.lower()}" for label in echo_labels)
        self._parts_labels = tuple(f"\n{label.lower()}" for label in parts_labels)
        self._failures = (("server_error", fail_share), ("rate_limited", rate_limited_share))
        self._broken_share = broken_share
        self._truncated_share = truncated_share
        self._collapse_after = collapse_after
        self._seconds = seconds
        self.max_in_flight = max_in_flight
        self.num_answers = 0
        self._templates: dict[bytes, str] = {}
        labels = (self._keywords_labels, self._echo_labels, self._parts_labels)
        self.revision = hash_id("2", *labels, broken_share, truncated_share, collapse_after)

    async def ask(self, request: ChatRequest) -> ChatReply | ChatFailure:
        """Return the answer, or a planted failure."""
        if self._seconds:
            await asyncio.sleep(self._seconds)
        sent = "\n".join([message.text for message in request.messages])
        digest = xxhash.xxh3_128_hexdigest(f"{request.seed} {request.attempt} {request.temperature} {sent}".encode())
        for reason, share in self._failures:
            if share and share_of(digest, reason) < share:
                return ChatFailure(request_id=request.request_id, reason=reason, detail="planted")
        self.num_answers += 1
        text = self._script(request) if self._script else self._write(request, sent, digest)
        if isinstance(text, ChatFailure):
            return text
        return ChatReply(
            request_id=request.request_id,
            text=text,
            held_to_schema=True,
            stamp=CallStamp(
                backend=self.name,
                model="fake",
                seed=request.seed,
                tokens_in=len(sent) // _BYTES_PER_TOKEN,
                tokens_out=len(text) // _BYTES_PER_TOKEN,
                seconds=self._seconds,
            ),
        )

    async def close(self) -> None:
        """Nothing is held."""

    def _write(self, request: ChatRequest, sent: str, digest: str) -> str:
        if self._broken_share and share_of(digest, "broken") < self._broken_share:
            return "Sure! Here is what you asked for."
        if self._collapse_after is not None and self.num_answers > self._collapse_after:
            digest = xxhash.xxh3_128_hexdigest(str(int(digest, 16) % _NUM_COLLAPSED).encode())
        sentence, prompts = self._say(sent, digest)
        if request.json_schema is None:
            return prompts[0]
        text = self._template_of(request.json_schema).replace(_SENTENCE_MARK, _inside_quotes(sentence))
        for prompt in prompts[:-1]:
            text = text.replace(_PROMPT_MARK, _inside_quotes(prompt), 1)
        text = text.replace(_PROMPT_MARK, _inside_quotes(prompts[-1]))
        if self._truncated_share and share_of(digest, "truncated") < self._truncated_share:
            return text[: len(text) // 2]
        return text

    def _say(self, sent: str, digest: str) -> tuple[str, list[str]]:
        """Return a sentence, and one or more prompts, that fit the request."""
        number = int(digest[:15], 16)
        lowered = f"\n{sent.lower()}"
        keywords = _last_line(self._keywords_labels, lowered, sent).split(",")
        subject = keywords[number % len(keywords)].strip() or "thing"
        place, light = _PLACES[number // 7 % len(_PLACES)], _LIGHTS[number // 49 % len(_LIGHTS)]
        sentence = f"{_OPENINGS[number // 343 % len(_OPENINGS)]} {subject} {place} in {light}."
        if echo := _last_line(self._echo_labels, lowered, sent):
            return sentence, [echo]
        # Those of a worked example stand before the keywords that the request itself is about.
        asked = max(0, *(lowered.rfind(label) for label in self._keywords_labels))
        parts = _last_line(self._parts_labels, lowered[asked:], sent[asked:]).split("|")
        shown = [part.strip() for part in parts if part.strip()] or [subject]
        return sentence, [f"(({part})), {place}, {light}, take {digest[:6]}" for part in shown]

    def _template_of(self, schema: dict[str, Any]) -> str:
        written = orjson.dumps(schema)
        if written not in self._templates:
            self._templates[written] = orjson.dumps(_fit(schema, "", schema.get("$defs", {}))).decode()
        return self._templates[written]


def _inside_quotes(text: str) -> str:
    return orjson.dumps(text).decode()[1:-1]


def _last_line(labels: Sequence[str], lowered: str, sent: str) -> str:
    """Return the rest of the last line with a label; ``lowered`` is a line break and the text in lower case."""
    start, label = max((lowered.rfind(label), label) for label in labels)
    # The label's line break stands one further to the left in the text itself.
    return sent[start + len(label) - 1 :].partition("\n")[0].strip() if start >= 0 else ""


def _fit(schema: Mapping[str, Any], name: str, definitions: Mapping[str, Any]) -> Any:
    """Return the smallest value that a schema admits, with marks where text belongs."""
    schema = resolve_schema(schema, definitions)
    if "const" in schema:
        return schema["const"]
    if "enum" in schema:
        return schema["enum"][0]
    for key in ("anyOf", "oneOf", "allOf"):
        if key in schema:
            return _fit(schema[key][0], name, definitions)
    kind = schema.get("type", "object")
    if kind == "string":
        return _PROMPT_MARK if "prompt" in name or "echo" in name else _SENTENCE_MARK
    if kind == "array":
        item = _fit(schema.get("items", {"type": "string"}), name, definitions)
        return [item] * max(1, schema.get("minItems", 1))
    if kind == "object":
        return {key: _fit(part, key, definitions) for key, part in schema.get("properties", {}).items()}
    return {"integer": schema.get("minimum", 1), "number": 0.5, "boolean": True, "null": None}[kind]
