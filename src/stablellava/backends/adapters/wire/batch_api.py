"""A provider's batch endpoint: files of requests, answered within a day at half the price."""

import asyncio
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any, TypeVar

import aiohttp
import orjson

from stablellava.backends.adapters.wire.problems import Problem
from stablellava.backends.adapters.wire.transport import Answered, Wire
from stablellava.backends.batching import BatchState
from stablellava.core.errors import BackendFailed

_ENDPOINT = "/v1/chat/completions"
_WINDOW = "24h"
_MAX_LISTED = 100
_Found = TypeVar("_Found", Answered, bytes)


class BatchApi:
    """Uploads, creates, watches and downloads. Every call is tried again while that can help.

    Raises: BackendFailed from every method when it cannot.
    """

    def __init__(self, wire: Wire) -> None:
        self._wire = wire

    async def upload(self, path: Path) -> str:
        """Upload a JSONL file of requests and return its id."""

        async def send() -> Answered | Problem:
            with path.open("rb") as file:
                form = aiohttp.FormData({"purpose": "batch"})
                form.add_field("file", file, filename=path.name, content_type="application/jsonl")
                return await self._wire.send_form("files", form)

        return str((await self._insist(send)).payload["id"])

    async def create(self, file_id: str, tag: str) -> str:
        """Begin a batch and return its id; one begun under this tag before is not begun twice."""
        body = {
            "input_file_id": file_id,
            "endpoint": _ENDPOINT,
            "completion_window": _WINDOW,
            "metadata": {"tag": tag},
        }

        async def send() -> Answered | Problem:
            found = await self.find(tag)
            if found:
                return Answered({"id": found}, 0.0)
            return await self._wire.send_once("batches", orjson.dumps(body))

        return str((await self._insist(send)).payload["id"])

    async def find(self, tag: str) -> str:
        """Return the id of the batch with a tag, or nothing."""
        after = ""
        while True:
            listed = await self._insist(lambda: self._wire.get(f"batches?limit={_MAX_LISTED}{after}"))  # noqa: B023
            rows = listed.payload.get("data") or []
            for row in rows:
                if (row.get("metadata") or {}).get("tag") == tag:
                    return str(row["id"])
            if not rows or not listed.payload.get("has_more"):
                return ""
            after = f"&after={rows[-1]['id']}"

    async def watch(self, batch_id: str) -> BatchState:
        """Return how a batch stands."""
        batch = (await self._insist(lambda: self._wire.get(f"batches/{batch_id}"))).payload
        errors: list[dict[str, Any]] = (batch.get("errors") or {}).get("data") or []
        files = (batch.get("output_file_id"), batch.get("error_file_id"))
        return BatchState(
            status=batch["status"],
            file_ids=tuple(str(file_id) for file_id in files if file_id),
            error=self._wire.key.scrub("; ".join(str(error.get("message")) for error in errors)),
        )

    async def download(self, file_id: str) -> bytes:
        """Return a file's bytes."""
        return await self._insist(lambda: self._wire.get_bytes(f"files/{file_id}/content"))

    async def _insist(self, call: Callable[[], Awaitable[_Found | Problem]]) -> _Found:
        options = self._wire.options
        num_tries = 0
        while True:
            outcome = await call()
            if not isinstance(outcome, Problem):
                return outcome
            num_tries += 1
            if outcome.scope in ("run", "request") or num_tries >= options.max_tries:
                if outcome.reason != "unknown_model":  # 404: there is no such endpoint
                    self._wire.breaker.note_failure(outcome)
                said = self._wire.key.scrub(outcome.detail)
                what = "does not take batches" if outcome.scope in ("run", "request") else "says nothing of batches"
                raise BackendFailed(f"{options.base_url} {what}: {outcome.reason} ({said})")
            await asyncio.sleep(max(options.backoff_seconds * 2.0**num_tries, outcome.wait_seconds or 0.0))
