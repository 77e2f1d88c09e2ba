"""Requests answered by a provider's batch endpoint, into the same cache that calls one by one fill.

A batch is remembered before it is begun and forgotten once its answers are kept, so a killed process goes on where it
was; what a batch leaves open (expired, partly failed) is all that the next one asks for.
"""

import asyncio
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any, Protocol, runtime_checkable
from uuid import uuid4

import orjson

from stablellava.backends.protocols import ChatModel
from stablellava.backends.remembering import answer_key, cached_reply
from stablellava.backends.response_cache import OpenBatch, ResponseCache
from stablellava.core.chat import ChatFailure, ChatReply, ChatRequest
from stablellava.core.errors import BackendFailed
from stablellava.core.ids import hash_id

MAX_REQUESTS_PER_FILE = 50_000
MAX_BYTES_PER_FILE = 100_000_000
_MAX_ROUNDS_WITHOUT_ANSWERS = 2
_OPEN_STATUSES = ("validating", "in_progress", "finalizing", "cancelling")
_ENDED_STATUSES = ("completed", "expired", "failed", "cancelled")
_PASSING_STATUSES = (408, 409, 425, 429)


@dataclass(frozen=True, slots=True)
class BatchState:
    """How a batch stands; ``error`` says why the provider refused it as a whole."""

    status: str
    file_ids: tuple[str, ...] = ()
    error: str = ""


class BatchEndpoint(Protocol):
    """What a provider offers."""

    async def upload(self, path: Path) -> str: ...
    async def create(self, file_id: str, tag: str) -> str: ...
    async def find(self, tag: str) -> str: ...
    async def watch(self, batch_id: str) -> BatchState: ...
    async def download(self, file_id: str) -> bytes: ...


@runtime_checkable
class BatchingModel(ChatModel, Protocol):
    """A chat model that can also be asked by files."""

    @property
    def batches(self) -> BatchEndpoint: ...
    @property
    def holds_schema(self) -> bool: ...
    def body_of(self, request: ChatRequest) -> dict[str, Any]: ...
    def read_reply(
        self, request: ChatRequest, payload: dict[str, Any], seconds: float | None, is_held: bool
    ) -> ChatReply | ChatFailure: ...


@dataclass(frozen=True)
class BatchReport:
    """What became of the requests; those in neither number are in ``failures``."""

    num_from_cache: int
    num_answered: int
    num_batches: int
    failures: tuple[ChatFailure, ...]


async def answer_in_batches(
    chat: BatchingModel, cache: ResponseCache, requests: Sequence[ChatRequest], poll_seconds: float = 60.0
) -> BatchReport:
    """Have every request answered into the cache, where ``RememberingChat`` finds it.

    Goes on with batches that an earlier call began.

    Raises: BackendFailed when the provider refuses a whole batch or cannot be reached.
    """
    run = _BatchRun(chat, cache, {answer_key(chat, request): request for request in requests})
    return await run.finish(poll_seconds)


def has_open_batches(chat: BatchingModel, cache: ResponseCache) -> bool:
    """Tell whether an earlier call began batches that were not collected yet."""
    return bool(cache.open_batches(_owner_of(chat)))


def _owner_of(chat: BatchingModel) -> str:
    return hash_id(chat.name, chat.revision)


class _BatchRun:
    def __init__(self, chat: BatchingModel, cache: ResponseCache, requests: dict[str, ChatRequest]) -> None:
        self._chat = chat
        self._cache = cache
        self._requests = requests
        self._owner = _owner_of(chat)
        self._refused: dict[str, ChatFailure] = {}
        self._num_answered = 0
        self._num_batches = 0

    async def finish(self, poll_seconds: float) -> BatchReport:
        num_found = len(self._requests) - len(self._missing())
        num_idle_rounds = 0
        while True:
            num_before = self._num_answered
            while not await self._collect_ended():
                await asyncio.sleep(poll_seconds)
            missing = self._missing()
            if self._num_batches:
                num_idle_rounds = 0 if self._num_answered > num_before else num_idle_rounds + 1
            if not missing or num_idle_rounds >= _MAX_ROUNDS_WITHOUT_ANSWERS:
                break
            await self._submit(missing)
        left = [
            ChatFailure(request_id=self._requests[key].request_id, reason="left_out_by_batch", detail="expired or lost")
            for key in missing
        ]
        return BatchReport(num_found, self._num_answered, self._num_batches, (*self._refused.values(), *left))

    def _missing(self) -> list[str]:
        return [key for key in self._requests if key not in self._refused and self._cache.find(key) is None]

    async def _submit(self, keys: Sequence[str]) -> None:
        with TemporaryDirectory(prefix="stablellava-batch-") as folder:
            path = Path(folder) / "requests.jsonl"
            for part in _write_files(self._chat, self._requests, keys, path):
                tag = uuid4().hex  # names a fact of this moment, nothing that is data
                packed = _pack({key: self._requests[key] for key in part}, self._chat.holds_schema)
                batch = OpenBatch(tag, self._owner, "", packed)
                file_id = await self._chat.batches.upload(path)
                self._cache.keep_batch(batch)
                batch_id = await self._chat.batches.create(file_id, tag)
                self._cache.keep_batch(OpenBatch(tag, self._owner, batch_id, batch.requests))
                self._num_batches += 1

    async def _collect_ended(self) -> bool:
        """Take in what has ended; return whether nothing is open any more."""
        is_done = True
        for batch in self._cache.open_batches(self._owner):
            batch_id = batch.batch_id or await self._chat.batches.find(batch.tag)
            if not batch_id:  # killed between the note and the creation
                self._cache.drop_batch(batch.tag)
                continue
            state = await self._chat.batches.watch(batch_id)
            if _is_open(state):
                is_done = False
                continue
            known = _unpack(batch.requests)
            for file_id in state.file_ids:
                self._take_in(known, await self._chat.batches.download(file_id))
            self._cache.drop_batch(batch.tag)
            if state.status == "failed":
                raise BackendFailed(f"the provider refused batch {batch_id}: {state.error or 'it does not say why'}")
        return is_done

    def _take_in(self, known: dict[str, ChatRequest], lines: bytes) -> None:
        answers = []
        for row in _read_rows(lines):
            key = row.get("custom_id", "")
            if key not in known:
                continue
            is_held = known[key].json_schema is not None
            outcome = self._read(self._requests.get(key, known[key]), row, is_held)
            if isinstance(outcome, ChatReply):
                answers.append(cached_reply(key, outcome))
            elif outcome is not None:
                self._refused[key] = outcome
        self._cache.store_now(answers)
        self._num_answered += sum(answer.key in self._requests for answer in answers)

    def _read(self, request: ChatRequest, row: dict[str, Any], is_held: bool) -> ChatReply | ChatFailure | None:
        """Return the answer, why there can be none, or None where asking again may help."""
        response = row.get("response") or {}
        status = response.get("status_code", 0)
        if status == 200:
            reply = self._chat.read_reply(request, response.get("body") or {}, None, is_held)
            return reply if isinstance(reply, ChatReply) else None
        if 400 <= status < 500 and status not in _PASSING_STATUSES:
            detail = orjson.dumps(response.get("body")).decode()[:200]
            return ChatFailure(
                request_id=request.request_id, reason="refused_by_server", detail=f"HTTP {status}: {detail}"
            )
        return None


def _is_open(state: BatchState) -> bool:
    """Tell whether answers are still to come; a provider may have names of its own for that, or name the file early."""
    is_known = state.status in (*_OPEN_STATUSES, *_ENDED_STATUSES)
    return state.status in _OPEN_STATUSES or (not is_known and not state.file_ids)


def _read_rows(lines: bytes) -> Iterator[dict[str, Any]]:
    """Yield the rows of a file; what stands in an empty or a torn line is asked for again."""
    for line in lines.splitlines():
        try:
            row = orjson.loads(line)
        except orjson.JSONDecodeError:
            continue
        if isinstance(row, dict):
            yield row


def _write_files(
    chat: BatchingModel, requests: dict[str, ChatRequest], keys: Sequence[str], path: Path
) -> Iterator[list[str]]:
    """Write one file after the other at the path; yield the keys in each while it is there."""
    part: list[str] = []
    file = path.open("wb")
    try:
        for key in keys:
            url = "/v1/chat/completions"
            line = orjson.dumps({"custom_id": key, "method": "POST", "url": url, "body": chat.body_of(requests[key])})
            if part and (len(part) >= MAX_REQUESTS_PER_FILE or file.tell() + len(line) > MAX_BYTES_PER_FILE):
                file.flush()
                yield part
                part = []
                file.seek(0)
                file.truncate()
            file.write(line + b"\n")
            part.append(key)
        file.flush()
        if part:
            yield part
    finally:
        file.close()


def _pack(requests: dict[str, ChatRequest], holds_schema: bool) -> bytes:
    """Keep what a reply says of its request, and whether that is sent with a schema.

    Messages are long, and not needed to read an answer.
    """
    rows = [
        [key, r.seed, r.temperature, r.top_p, r.max_tokens, holds_schema and r.json_schema is not None]
        for key, r in requests.items()
    ]
    return orjson.dumps(rows)


def _unpack(packed: bytes) -> dict[str, ChatRequest]:
    return {
        key: ChatRequest(
            request_id=key,
            messages=(),
            json_schema={} if is_held else None,
            seed=seed,
            temperature=temperature,
            top_p=top_p,
            max_tokens=max_tokens,
        )
        for key, seed, temperature, top_p, max_tokens, is_held in orjson.loads(packed)
    }
