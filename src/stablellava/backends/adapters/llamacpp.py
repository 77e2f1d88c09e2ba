"""A language model in this process: any GGUF file, by llama.cpp."""

import asyncio
import importlib.util
import secrets
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from threading import Lock
from typing import Any

import xxhash

from stablellava.core.chat import ChatFailure, ChatReply, ChatRequest
from stablellava.core.draft import CallStamp
from stablellava.core.errors import BackendFailed, BackendMissing, ConfigError
from stablellava.core.ids import hash_id, seed_from

_MAGIC = b"GGUF"
_SAMPLED_BYTES = 1 << 20
_SEED_BITS = 31
_COMPACT = {"whitespace_flexible": False}
"""Where a grammar admits line breaks, a small model loses itself in them."""


class LlamaCppChat:
    """Answers with a GGUF model; the weights are read at the first request.

    An answer is held to a JSON schema by a grammar. The seed is the request's, or comes from its content. With one slot
    equal requests get equal answers, in any order. Several slots are faster (20 % on one CPU thread, more on a GPU) but
    add numbers up in batches of changing width: of 36 answers at temperature 1, 4 slots wrote some otherwise than one.

    Args:
        model: path of the GGUF file.
        num_slots: answers written at the same time; above 1 an answer can depend on what else is being written.
        context_tokens: of one slot: what is sent and what is answered.
        num_threads: CPU threads; 0 leaves it to llama.cpp.
        num_gpu_layers: layers on the GPU; -1 puts all there.
    """

    name = "llamacpp"

    def __init__(
        self, model: str, num_slots: int = 1, context_tokens: int = 4096, num_threads: int = 0, num_gpu_layers: int = 0
    ) -> None:
        if importlib.util.find_spec("xllamacpp") is None:
            raise BackendMissing("chat 'llamacpp' needs the package 'xllamacpp': pip install 'stablellava[llamacpp]'")
        if num_slots < 1 or context_tokens < 1:
            raise ConfigError(f"num_slots={num_slots} and context_tokens={context_tokens} must be at least 1")
        self._path = Path(model).expanduser()
        self.model = self._path.name
        self.max_in_flight = num_slots
        self.revision = hash_id(_sample_file(self._path), _library_version(), context_tokens, num_slots > 1)
        self._num_slots = num_slots
        self._context_tokens = context_tokens
        self._num_threads = num_threads
        self._num_gpu_layers = num_gpu_layers
        self._pool = ThreadPoolExecutor(num_slots, thread_name_prefix="llamacpp")
        self._loading = Lock()
        self._server: Any = None

    async def ask(self, request: ChatRequest) -> ChatReply | ChatFailure:
        """Return the answer, or why this one request has none.

        Raises: BackendFailed when the weights cannot be loaded.
        """
        if any(message.images for message in request.messages):
            return ChatFailure(request_id=request.request_id, reason="images_not_supported")
        return await asyncio.get_running_loop().run_in_executor(self._pool, self._answer, request)

    async def close(self) -> None:
        """Let go of the weights; what is being written is finished first."""
        await asyncio.to_thread(self._pool.shutdown)
        self._server = None

    def _answer(self, request: ChatRequest) -> ChatReply | ChatFailure:
        server = self._load()
        started = time.perf_counter()
        seed = request.seed if request.seed is not None else seed_from(request.content_hash(), request.attempt)
        answer = server.handle_chat_completions(_body(request, seed))
        if "error" in answer:
            detail = str(answer["error"].get("message", answer["error"]))
            return ChatFailure(request_id=request.request_id, reason="refused_by_server", detail=detail)
        choice, usage = answer["choices"][0], answer["usage"]
        # Held to its schema it is, by a grammar, but what is cut off at the last token would be cut off again.
        return ChatReply(
            request_id=request.request_id,
            text=choice["message"]["content"] or "",
            finish_reason=choice["finish_reason"],
            stamp=CallStamp(
                backend=self.name,
                model=self.model,
                revision=self.revision,
                options_hash=hash_id(request.temperature, request.top_p, request.max_tokens),
                seed=seed,
                tokens_in=usage["prompt_tokens"],
                tokens_out=usage["completion_tokens"],
                seconds=time.perf_counter() - started,
            ),
        )

    def _load(self) -> Any:
        with self._loading:
            if self._server is None:
                import xllamacpp

                try:
                    self._server = xllamacpp.Server(self._parameters(xllamacpp.CommonParams()))
                except (RuntimeError, ValueError) as exc:
                    raise BackendFailed(f"llama.cpp cannot load {self._path}: {exc}") from exc
        return self._server

    def _parameters(self, parameters: Any) -> Any:
        parameters.model.path = str(self._path)
        parameters.n_parallel = self._num_slots
        parameters.n_ctx = self._context_tokens * self._num_slots
        parameters.n_gpu_layers = self._num_gpu_layers
        # A context shared by the slots makes an answer depend on what else is being written.
        parameters.kv_unified = False
        parameters.verbosity = 0
        # The library also listens on a loopback port, which nobody else shall use.
        parameters.api_keys = [secrets.token_hex(16)]
        if self._num_threads:
            parameters.cpuparams.n_threads = self._num_threads
            parameters.cpuparams_batch.n_threads = self._num_threads
        return parameters


def _body(request: ChatRequest, seed: int) -> dict[str, Any]:
    body: dict[str, Any] = {
        "messages": [{"role": message.role, "content": message.text} for message in request.messages],
        "temperature": request.temperature,
        "top_p": request.top_p,
        "max_tokens": request.max_tokens,
        "seed": seed % 2**_SEED_BITS,
        "cache_prompt": False,  # what is reused of an earlier prompt was computed in other batches
    }
    if request.json_schema is not None:
        body["grammar"] = _grammar(request.json_schema)
    return body


def _grammar(schema: dict[str, Any]) -> str:
    from xllamacpp import json_schema_to_grammar

    grammar: str = json_schema_to_grammar({**schema, "x-guidance": _COMPACT})
    return grammar


def _sample_file(path: Path) -> str:
    """Return a hash of a file's size, head and tail: weights of 40 GB are not read twice.

    Raises: ConfigError when it is missing or no GGUF file.
    """
    try:
        with path.open("rb") as file:
            head = file.read(_SAMPLED_BYTES)
            size = file.seek(0, 2)
            file.seek(max(0, size - _SAMPLED_BYTES))
            tail = file.read()
    except OSError as exc:
        raise ConfigError(
            f"model={str(path)!r} cannot be read ({exc.strerror}). A small one comes with "
            "`stablellava assets pull smollm2-135m-instruct.gguf`"
        ) from exc
    if not head.startswith(_MAGIC):
        raise ConfigError(f"model={str(path)!r} is no GGUF file: it begins with {head[:4]!r}")
    return f"{size} {xxhash.xxh3_128_hexdigest(head + tail)}"


def _library_version() -> str:
    from importlib.metadata import version

    return version("xllamacpp")
