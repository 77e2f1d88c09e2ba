"""A painter behind the image-generations wire: OpenAI, vLLM-Omni, SGLang and what imitates them."""

import asyncio
import base64
import binascii
import io
import re
import struct
import threading
import weakref
import zlib
from collections import deque
from collections.abc import Iterable, Iterator, Sequence
from concurrent.futures import Future
from pathlib import Path
from typing import Any

import orjson
from PIL import Image

from stablellava.backends.adapters.wire.options import OPENAI_URL, read_wire_options
from stablellava.backends.adapters.wire.problems import Problem
from stablellava.backends.adapters.wire.transport import Wire
from stablellava.backends.gathering import gather_or_stop
from stablellava.backends.keys import refuse_keys
from stablellava.backends.response_cache import CachedAnswer, ResponseCache
from stablellava.core.draft import CallStamp
from stablellava.core.ids import hash_id
from stablellava.core.sample import Painted, PaintJob, PaintRefusal

_PATH = "images/generations"
_DATA_URL = re.compile(r"\Adata:image/[a-z]+;base64,")
_Painting = Future[list[Painted | PaintRefusal]]


class WirePainter:
    """Asks a server for pictures.

    Args:
        model: its name at the server.
        request_size: size to ask for, as "1024x1024", where the server paints certain sizes only; what comes is scaled
            to the job's size. By default the job's size is asked for.
        extra_body: fields added to every call; null takes a field away.
        cache_file: path of a response cache to keep pictures in. Without it a picture is kept by its run alone.
        attribution: licence line for the data card.
        model_revision: a label of the user's own: change it when other weights answer to the same name.
        wire: see WireOptions: base_url, key_env, key_file, max_in_flight, rpm, timeout_seconds, ...
    """

    name = "openai-images"

    def __init__(
        self,
        model: str,
        request_size: str | None = None,
        extra_body: dict[str, Any] | None = None,
        cache_file: str | None = None,
        attribution: str = "",
        model_revision: str = "",
        **wire: Any,
    ) -> None:
        self._extra_body = dict(extra_body or {})
        refuse_keys({**wire, **self._extra_body})
        self.wire = Wire(read_wire_options(wire))
        self.model = model
        self.attribution = attribution
        self.revision = hash_id(model, model_revision, request_size, self._extra_body)
        self._request_size = request_size
        # OpenAI refuses fields it does not know; its gpt-image models always answer with base64 and say so.
        self._takes_seed = self.wire.options.base_url.rstrip("/") != OPENAI_URL
        self._takes_format = not model.startswith("gpt-image")
        self._cache = ResponseCache(Path(cache_file).expanduser()) if cache_file else None
        self._loop: asyncio.AbstractEventLoop | None = None
        self._finalizer: weakref.finalize[[Wire, asyncio.AbstractEventLoop], WirePainter] | None = None

    def paint(self, jobs: Sequence[PaintJob]) -> list[Painted | PaintRefusal]:
        """Return one result per job; all are asked for at once.

        Raises: BackendFailed when no picture can be had.
        """
        return self._begin(jobs).result()

    def paint_batches(self, batches: Iterable[Sequence[PaintJob]]) -> Iterator[list[Painted | PaintRefusal]]:
        """Yield what ``paint`` would return for each batch; as many are on their way as the server is asked for."""
        waiting: deque[tuple[int, _Painting]] = deque()
        try:
            for jobs in batches:
                waiting.append((len(jobs), self._begin(jobs)))
                while sum(num_jobs for num_jobs, _ in waiting) > self.wire.options.max_in_flight:
                    yield waiting.popleft()[1].result()
            while waiting:
                yield waiting.popleft()[1].result()
        finally:
            for _, painting in waiting:
                painting.cancel()

    def close(self) -> None:
        """Close the connections and the cache."""
        if self._finalizer:
            self._finalizer()
            self._loop = None
        if self._cache:
            self._cache.close()

    def body_of(self, job: PaintJob) -> dict[str, Any]:
        """Return what is sent for a job."""
        body: dict[str, Any] = {
            "model": self.model,
            "prompt": job.text,
            "n": 1,
            "size": self._request_size or f"{job.width_px}x{job.height_px}",
        }
        if self._takes_seed:
            body["seed"] = job.seed
            if job.negative:
                body["negative_prompt"] = job.negative
        if self._takes_format:
            body["response_format"] = "b64_json"
        body.update(self._extra_body)
        return {name: value for name, value in body.items() if value is not None}

    def _begin(self, jobs: Sequence[PaintJob]) -> _Painting:
        painting = gather_or_stop(self._paint_one(job) for job in jobs)
        return asyncio.run_coroutine_threadsafe(painting, self._running_loop())

    async def _paint_one(self, job: PaintJob) -> Painted | PaintRefusal:
        body = self.body_of(job)
        # A server that takes no seed gives another picture each time; the seed keeps those apart in the cache.
        key = hash_id(self.name, self.revision, body, job.seed)
        image = self._cache.find(key) if self._cache else None
        is_from_cache = image is not None
        seconds = None
        if image is None:
            outcome = await self.wire.post(_PATH, orjson.dumps(body), job.painting_id)
            if isinstance(outcome, Problem):
                return PaintRefusal(painting_id=job.painting_id, reason=outcome.reason)
            image, seconds = _read_image(outcome.payload), outcome.seconds
            if image is None:
                self._refuse_addresses(outcome.payload)
                return PaintRefusal(painting_id=job.painting_id, reason="unreadable_answer")
            if self._cache:
                await self._cache.store(CachedAnswer(key, self.name, self.model, image))
        stamp = CallStamp(
            backend=self.name,
            model=self.model,
            options_hash=hash_id(self.revision),
            seed=job.seed if self._takes_seed else None,
            seconds=seconds,
            from_cache=is_from_cache,
        )
        sized = await asyncio.to_thread(_fit_size, image, job.width_px, job.height_px)
        return Painted(painting_id=job.painting_id, image=sized, drawn=None, stamp=stamp)

    def _refuse_addresses(self, payload: dict[str, Any]) -> None:
        """Stop where all that is paid for is an address: nobody would fetch it."""
        rows = payload.get("data")
        if isinstance(rows, list) and rows and isinstance(rows[0], dict) and rows[0].get("url"):
            self.wire.breaker.stop(
                f"{self.wire.options.base_url} answers with the addresses of pictures instead of pictures: "
                "name the field by which it sends base64 in extra_body, as {response_format: base64}"
            )

    def _running_loop(self) -> asyncio.AbstractEventLoop:
        """Return a loop in a thread of its own: painters are called from anywhere, running loops included."""
        if self._loop is None:
            self._loop = asyncio.new_event_loop()
            threading.Thread(target=_run_loop, args=(self._loop,), name="openai-images", daemon=True).start()
            # The protocol of painters has no end; the connections are closed with the object or the process.
            self._finalizer = weakref.finalize(self, _stop_loop, self.wire, self._loop)
        return self._loop


def _run_loop(loop: asyncio.AbstractEventLoop) -> None:
    try:
        loop.run_forever()
    finally:
        loop.close()


def _stop_loop(wire: Wire, loop: asyncio.AbstractEventLoop) -> None:
    asyncio.run_coroutine_threadsafe(wire.close(), loop).result()
    loop.call_soon_threadsafe(loop.stop)


def _read_image(payload: dict[str, Any]) -> bytes | None:
    try:
        encoded = payload["data"][0]["b64_json"]
        return base64.b64decode(_DATA_URL.sub("", encoded), validate=True)
    except (KeyError, IndexError, TypeError, binascii.Error):
        return None


def _fit_size(image: bytes, width_px: int, height_px: int) -> bytes:
    """Return the picture in the job's size; bytes that cannot be decoded are left for the checks to refuse."""
    try:
        with Image.open(io.BytesIO(image)) as picture:
            if picture.size == (width_px, height_px):
                return image
            scaled = picture.convert("RGB").resize((width_px, height_px), Image.Resampling.LANCZOS)
    except (OSError, SyntaxError, ValueError, EOFError, struct.error, zlib.error, Image.DecompressionBombError):
        return image
    buffer = io.BytesIO()
    scaled.save(buffer, format="PNG", compress_level=1)
    return buffer.getvalue()
