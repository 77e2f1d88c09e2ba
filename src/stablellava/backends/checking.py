"""One tiny call to a backend, and what is wrong in words."""

import asyncio
import time
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from stablellava.backends.catalog import Kind, build_backend, list_backends
from stablellava.core.chat import ChatFailure, ChatMessage, ChatRequest
from stablellava.core.errors import StableLlavaError
from stablellava.core.sample import PaintJob, PaintRefusal

_QUESTION = "Answer with one word: what color is a ripe tomato?"
_MAX_TOKENS = 16
_MAX_SHOWN = 60
_PHRASE = "dog"
_SIZE_PX = 256


@dataclass(frozen=True)
class CheckResult:
    """What one call showed; ``words`` are the problem, or what came back."""

    kind: str
    name: str
    is_fine: bool
    words: str
    seconds: float


def kinds_of(name: str) -> list[Kind]:
    """Return the kinds in which there is a backend of that name."""
    known = list_backends()
    kinds: tuple[Kind, ...] = ("writer", "chat", "painter", "scorer", "classifier", "features")
    return [kind for kind in kinds if f"{kind}.{name}" in known]


def check_backend(kind: Kind, name: str, options: Mapping[str, Any]) -> CheckResult:
    """Build a backend, call a chat model or a painter once, and say how it went; others are only built."""
    started = time.perf_counter()
    try:
        backend = build_backend(kind, name, options)
        if kind == "chat":
            is_fine, words = asyncio.run(_try_chat(backend))
        elif kind == "painter":
            is_fine, words = _try_painter(backend)
        else:
            is_fine, words = True, "is here"
    except StableLlavaError as exc:
        is_fine, words = False, str(exc)
    return CheckResult(kind, name, is_fine, words, time.perf_counter() - started)


async def _try_chat(chat: Any) -> tuple[bool, str]:
    message = ChatMessage(role="user", text=_QUESTION)
    request = ChatRequest(request_id="check", messages=(message,), max_tokens=_MAX_TOKENS, temperature=0.0, seed=0)
    try:
        answer = await chat.ask(request)
    finally:
        await chat.close()
    if isinstance(answer, ChatFailure):
        return False, f"{answer.reason}: {answer.detail}"
    said = " ".join(answer.text.split())[:_MAX_SHOWN]
    return True, f"{answer.stamp.model} answers: {said}"


def _try_painter(painter: Any) -> tuple[bool, str]:
    job = PaintJob(painting_id="check", text=_PHRASE, seed=0, width_px=_SIZE_PX, height_px=_SIZE_PX)
    (result,) = painter.paint([job])
    if isinstance(result, PaintRefusal):
        return False, f"{result.reason}: it did not paint {_PHRASE!r}"
    return True, f"painted {_PHRASE!r} ({len(result.image):,} bytes)"
