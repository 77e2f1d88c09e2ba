"""A server on loopback that speaks the OpenAI wire and misbehaves as it is told; with batch files."""

import asyncio
import json
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

from aiohttp import web

Body = dict[str, Any]
Say = Callable[[int, Body], "Fault | str"]


class Fault:
    """An answer that is none: a status with a body, or "close", "hang", "garbage"."""

    def __init__(self, kind: int | str, body: Any = None, headers: dict[str, str] | None = None) -> None:
        self.kind = kind
        self.body = {"error": {"message": "broken"}} if body is None else body
        self.headers = headers or {}


def completion(text: str, body: Body, **message: Any) -> Body:
    return {
        "model": body.get("model"),
        "choices": [{"message": {"content": text, **message}, "finish_reason": "stop"}],
        "usage": {"prompt_tokens": 3, "completion_tokens": 5},
    }


class FaultServer:
    """Counts and keeps what it is sent.

    ``say`` gets the number of the call and its body, and returns a text or a fault. ``end_batch`` gets the lines of a
    batch and returns its status and the lines of its output.
    """

    def __init__(self, say: Say | None = None) -> None:
        self.say: Say = say or (lambda number, body: f"answer to {body['messages'][-1]['content']}")
        self.end_batch: Callable[[list[Body]], tuple[str, list[Body]]] = lambda lines: ("completed", [])
        self.bodies: list[Body] = []
        self.headers: list[dict[str, str]] = []
        self.files: dict[str, bytes] = {}
        self.batches: list[Body] = []
        self.peak_in_flight = self._in_flight = 0
        self.base_url = ""

    async def post(self, request: web.Request) -> web.StreamResponse:
        body = json.loads(await request.read())
        self.headers.append(dict(request.headers))
        self.bodies.append(body)
        self._in_flight += 1
        self.peak_in_flight = max(self.peak_in_flight, self._in_flight)
        try:
            said = self.say(len(self.bodies), body)
            await asyncio.sleep(0.002)
            return await self._answer(request, body, said)
        finally:
            self._in_flight -= 1

    async def _answer(self, request: web.Request, body: Body, said: Fault | str) -> web.StreamResponse:
        if isinstance(said, str):
            return web.json_response(completion(said, body))
        if said.kind == "close":
            assert request.transport is not None
            request.transport.close()
        if said.kind == "hang":
            await asyncio.sleep(30)
        if said.kind == "garbage":
            return web.Response(text="<html>gateway</html>")
        if said.kind == "json":
            return web.json_response(said.body)
        status = said.kind if isinstance(said.kind, int) else 500
        return web.json_response(said.body, status=status, headers=said.headers)

    async def models(self, request: web.Request) -> web.Response:
        return web.json_response({"data": [{"id": "small"}, {"id": "large"}]})

    async def upload(self, request: web.Request) -> web.Response:
        form = await request.post()
        field = form["file"]
        assert isinstance(field, web.FileField)
        file_id = f"file-{len(self.files)}"
        self.files[file_id] = field.file.read()
        return web.json_response({"id": file_id})

    async def content(self, request: web.Request) -> web.Response:
        return web.Response(body=self.files[request.match_info["id"]])

    async def begin_batch(self, request: web.Request) -> web.Response:
        body = await request.json()
        batch = {"id": f"batch-{len(self.batches)}", "status": "in_progress", **body}
        self.batches.append(batch)
        return web.json_response(batch)

    async def list_batches(self, request: web.Request) -> web.Response:
        return web.json_response({"data": self.batches, "has_more": False})

    async def watch_batch(self, request: web.Request) -> web.Response:
        """Be in progress once, then ended."""
        batch = next(batch for batch in self.batches if batch["id"] == request.match_info["id"])
        batch["num_polls"] = batch.get("num_polls", 0) + 1
        if batch["num_polls"] == 2:
            lines = [json.loads(line) for line in self.files[batch["input_file_id"]].splitlines()]
            batch["status"], output = self.end_batch(lines)
            batch["output_file_id"] = f"out-{batch['id']}"
            self.files[batch["output_file_id"]] = b"".join(json.dumps(line).encode() + b"\n" for line in output)
        return web.json_response(batch)

    def build_app(self) -> web.Application:
        app = web.Application()
        for path in ("chat/completions", "images/generations", "embeddings"):
            app.router.add_post(f"/v1/{path}", self.post)
        app.router.add_get("/v1/models", self.models)
        app.router.add_post("/v1/files", self.upload)
        app.router.add_get("/v1/files/{id}/content", self.content)
        app.router.add_post("/v1/batches", self.begin_batch)
        app.router.add_get("/v1/batches", self.list_batches)
        app.router.add_get("/v1/batches/{id}", self.watch_batch)
        return app


@contextmanager
def serve(server: FaultServer) -> Iterator[FaultServer]:
    """Run the server in a thread; its address is in ``base_url``."""
    started = threading.Event()
    loop = asyncio.new_event_loop()

    async def start() -> web.AppRunner:
        runner = web.AppRunner(server.build_app(), access_log=None, shutdown_timeout=0.1)
        await runner.setup()
        site = web.TCPSite(runner, "127.0.0.1", 0)
        await site.start()
        server.base_url = f"http://127.0.0.1:{runner.addresses[0][1]}/v1"
        return runner

    async def stop(runner: web.AppRunner) -> None:
        await runner.cleanup()
        left = asyncio.all_tasks() - {asyncio.current_task()}  # answers that hang
        for task in left:
            task.cancel()
        await asyncio.gather(*left, return_exceptions=True)

    def run() -> None:
        runner = loop.run_until_complete(start())
        started.set()
        loop.run_forever()
        loop.run_until_complete(stop(runner))
        loop.close()

    thread = threading.Thread(target=run)
    thread.start()
    started.wait()
    try:
        yield server
    finally:
        loop.call_soon_threadsafe(loop.stop)
        thread.join()
