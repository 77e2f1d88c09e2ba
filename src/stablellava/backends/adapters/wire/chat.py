"""A chat model behind the chat-completions wire: OpenAI, vLLM, SGLang, llama.cpp, Ollama, LM Studio, gateways."""

import logging
from collections.abc import Sequence
from typing import Any, Literal, get_args

import numpy as np
import orjson
from numpy.typing import NDArray

from stablellava.backends.adapters.wire.batch_api import BatchApi
from stablellava.backends.adapters.wire.bodies import chat_body
from stablellava.backends.adapters.wire.options import read_wire_options
from stablellava.backends.adapters.wire.problems import Problem
from stablellava.backends.adapters.wire.transport import Answered, Wire
from stablellava.backends.keys import refuse_keys
from stablellava.core.chat import ChatFailure, ChatReply, ChatRequest
from stablellava.core.draft import CallStamp
from stablellava.core.errors import BackendFailed, ConfigError
from stablellava.core.ids import hash_id

Structured = Literal["auto", "schema", "text"]
_PATH = "chat/completions"
_TEXTS_PER_CALL = 128
_MAX_SHOWN = 200
_logger = logging.getLogger(__name__)


class WireChat:
    """Asks a server for chat completions.

    Args:
        model: its name at the server.
        structured: how an answer is held to a JSON schema: "schema" lets the server do it, "text" asks in words,
            "auto" lets the server and falls back to words for the whole run when it refuses.
        extra_body: fields added to every call; null takes a field away: {max_tokens: null, max_completion_tokens: 512}.
        embedding_model: model of ``embed``; by default the same.
        model_revision: a label of the user's own: change it when other weights answer to the same name.
        wire: see WireOptions: base_url, key_env, key_file, max_in_flight, rpm, tpm, timeout_seconds, ...
    """

    name = "openai"

    def __init__(
        self,
        model: str,
        structured: Structured = "auto",
        extra_body: dict[str, Any] | None = None,
        embedding_model: str | None = None,
        model_revision: str = "",
        **wire: Any,
    ) -> None:
        self._extra_body = dict(extra_body or {})
        refuse_keys({**wire, **self._extra_body})
        if structured not in get_args(Structured):
            raise ConfigError(f"structured={structured!r}: one of {', '.join(get_args(Structured))}")
        self.wire = Wire(read_wire_options(wire))
        self.model = model
        self.max_in_flight = self.wire.options.max_in_flight
        # The address is left out: the same model behind another port or gateway gives the same answers.
        self.revision = hash_id(model, model_revision, structured, self._extra_body)
        self._structured = structured
        self._sends_schema = structured != "text"
        self._embedding_model = embedding_model or model
        self._options_hashes: dict[tuple[float, float, int], str] = {}

    @property
    def holds_schema(self) -> bool:
        """Whether answers are held to a request's schema; turns False for good when the server refused one."""
        return self._sends_schema

    @property
    def batches(self) -> BatchApi:
        """The provider's batch endpoint; see backends.batching."""
        return BatchApi(self.wire)

    async def ask(self, request: ChatRequest) -> ChatReply | ChatFailure:
        """Return the answer, or why this one request has none.

        Raises: BackendFailed when no request can be answered.
        """
        outcome, is_held = await self._complete(request)
        if isinstance(outcome, Problem):
            detail = self.wire.key.scrub(outcome.detail)
            return ChatFailure(request_id=request.request_id, reason=outcome.reason, detail=detail)
        return self.read_reply(request, outcome.payload, outcome.seconds, is_held)

    def body_of(self, request: ChatRequest) -> dict[str, Any]:
        """Return what is sent for a request, as things stand."""
        return chat_body(self.model, request, self._sends_schema, self._extra_body)

    def read_reply(
        self, request: ChatRequest, payload: dict[str, Any], seconds: float | None, is_held: bool
    ) -> ChatReply | ChatFailure:
        """Return the reply in a server's answer to a call that was, or was not, sent with the request's schema."""
        try:
            choice = payload["choices"][0]
            message = choice["message"]
            text = message.get("content")
            finish_reason = choice.get("finish_reason") or "stop"
            if text is None:  # the model declined, and says so elsewhere
                text, finish_reason = message.get("refusal") or "", "refusal"
            usage = payload.get("usage") or {}
            served = payload.get("model") or self.model
            return ChatReply(
                request_id=request.request_id,
                text=text,
                finish_reason=finish_reason,
                held_to_schema=is_held,
                stamp=CallStamp(
                    backend=self.name,
                    model=self.model,
                    revision="" if served == self.model else served,
                    options_hash=self._options_hash(request),
                    seed=request.seed,
                    tokens_in=usage.get("prompt_tokens"),
                    tokens_out=usage.get("completion_tokens"),
                    seconds=seconds,
                ),
            )
        except (KeyError, IndexError, TypeError, AttributeError, ValueError) as exc:
            said = self.wire.key.scrub(f"{type(exc).__name__} in {orjson.dumps(payload).decode()}")[:_MAX_SHOWN]
            return ChatFailure(request_id=request.request_id, reason="unreadable_answer", detail=said)

    async def embed(self, texts: Sequence[str]) -> NDArray[np.float32]:
        """Return one vector per text, in their order. Shape: [texts, width].

        Raises: BackendFailed when a call fails after every retry.
        """
        rows: list[list[float]] = []
        for start in range(0, len(texts), _TEXTS_PER_CALL):
            part = list(texts[start : start + _TEXTS_PER_CALL])
            body = orjson.dumps({"model": self._embedding_model, "input": part})
            outcome = await self.wire.post("embeddings", body, hash_id(part))
            if isinstance(outcome, Problem):
                said = self.wire.key.scrub(outcome.detail)
                raise BackendFailed(f"{self.wire.options.base_url} gave no embeddings: {outcome.reason} ({said})")
            rows += _read_vectors(outcome.payload, len(part))
        return np.asarray(rows, dtype=np.float32).reshape(len(texts), -1)

    async def close(self) -> None:
        """Close the connections; a later call opens new ones."""
        await self.wire.close()

    async def _complete(self, request: ChatRequest) -> tuple[Answered | Problem, bool]:
        """Return what came, and whether the schema was sent along."""
        while True:
            sends_schema = self._sends_schema and request.json_schema is not None
            body = orjson.dumps(chat_body(self.model, request, sends_schema, self._extra_body))
            outcome = await self.wire.post(_PATH, body, request.request_id, request.max_tokens, sends_schema)
            if not (sends_schema and isinstance(outcome, Problem) and outcome.is_about_schema):
                return outcome, sends_schema
            self._give_up_schema(outcome)

    def _give_up_schema(self, problem: Problem) -> None:
        detail = self.wire.key.scrub(problem.detail)
        said = f"{self.wire.options.base_url} does not hold answers to a JSON schema ({detail})"
        if self._structured == "schema":
            self.wire.breaker.stop(f"{said}: set structured=text, or auto")
        if self._sends_schema:
            self._sends_schema = False
            _logger.warning("%s: from now on it is asked in words", said)

    def _options_hash(self, request: ChatRequest) -> str:
        options = (request.temperature, request.top_p, request.max_tokens)
        if options not in self._options_hashes:
            self._options_hashes[options] = hash_id(self.revision, *options)
        return self._options_hashes[options]


def _read_vectors(payload: dict[str, Any], num_texts: int) -> list[list[float]]:
    try:
        rows = sorted(payload["data"], key=lambda row: row["index"])
        vectors = [row["embedding"] for row in rows]
    except (KeyError, TypeError) as exc:
        raise BackendFailed(f"an answer with embeddings cannot be read: {type(exc).__name__} {exc}") from exc
    if len(vectors) != num_texts or len({len(vector) for vector in vectors}) != 1:
        raise BackendFailed(f"{len(vectors)} embeddings came back for {num_texts} texts, or of unequal width")
    return vectors
