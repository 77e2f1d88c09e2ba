"""Chat: ask a model that this run trained about one of its pictures. The model is loaded at the first question."""

import asyncio
from importlib.util import find_spec
from typing import TYPE_CHECKING

from aiohttp import web

from stablellava.core.draft import Turn
from stablellava.core.errors import RecordError
from stablellava.store.layout import RunLayout
from stablellava.studio.reading import stage_order
from stablellava.studio.web.answering import PictureShelf, address_of, send_page

if TYPE_CHECKING:
    from stablellava.model.answering import LocalAnswerer

_MAX_NEW_TOKENS = 64
_MAX_TURNS = 40


class ChatPage:
    """One question at a time: the model is the machine's whole strength."""

    def __init__(self, layout: RunLayout, pictures: PictureShelf) -> None:
        self._layout = layout
        self._pictures = pictures
        self._lock = asyncio.Lock()
        self._loaded: tuple[str, LocalAnswerer] | None = None

    async def get(self, request: web.Request) -> web.Response:
        """Answer with an empty dialogue about a picture."""
        sha256 = request.query.get("picture", "")
        if sha256:
            self._pictures.find(sha256)
        return self._send(sha256, request.query.get("stage", ""), ())

    async def post(self, request: web.Request) -> web.Response:
        """Answer with the dialogue so far and what the model says now. Keeps nothing."""
        form = await request.post()
        said = [str(text) for text in form.getall("said", [])]
        question, sha256, stage = (str(form.get(name, "")) for name in ("question", "picture", "stage"))
        if not question.strip():
            raise RecordError("the question is empty. Ask something, as in: What is this?")
        if len(said) % 2 or len(said) > _MAX_TURNS:
            raise RecordError(f"{len(said)} earlier turns: the dialogue is broken or too long; begin a new one")
        stages = self._list_stages()
        if missing := self._say_what_is_missing(stages):
            raise RecordError(missing)
        if stage not in stages:
            raise RecordError(f"no model {stage!r} in this run; there are {', '.join(stages)}")
        path = self._pictures.find(sha256)
        texts = [*said, question]
        turns = [
            Turn(speaker="assistant" if index % 2 else "user", text=text, images=() if index else (0,))
            for index, text in enumerate(texts)
        ]
        async with self._lock:
            answerer = await asyncio.to_thread(self._load, stage)
            reply = await asyncio.to_thread(answerer.reply, turns, [path])
        return self._send(sha256, stage, (*texts, reply))

    def _send(self, sha256: str, stage: str, said: tuple[str, ...]) -> web.Response:
        stages = self._list_stages()
        return send_page(
            "web_chat.html.j2",
            title="Ask the model",
            problem=self._say_what_is_missing(stages),
            stages=stages,
            stage=stage or (stages[-1] if stages else ""),
            picture=sha256,
            uri=address_of(sha256) if sha256 else "",
            said=said,
        )

    def _list_stages(self) -> list[str]:
        found = (self._layout.root / "model").glob("*/config.json")
        return sorted((path.parent.name for path in found), key=stage_order)

    def _say_what_is_missing(self, stages: list[str]) -> str:
        if not stages:
            return "This run has no trained model yet: stablellava train --stage align, then --stage instruct."
        if find_spec("torch") is None or find_spec("transformers") is None:
            return "Models need torch: pip install 'stablellava[train]'"
        return ""

    def _load(self, stage: str) -> "LocalAnswerer":
        from stablellava.model.answering import LocalAnswerer

        if self._loaded is None or self._loaded[0] != stage:
            self._loaded = None  # two models at once may be more than the memory holds
            self._loaded = (stage, LocalAnswerer(self._layout.model_dir(stage), _MAX_NEW_TOKENS))
        return self._loaded[1]
