"""What can be said without weights; answers of a real model are in tests/integration."""

import asyncio
from pathlib import Path

import pytest

from stablellava.backends.catalog import build_backend
from stablellava.core.chat import ChatMessage, ChatRequest
from stablellava.core.errors import BackendFailed, ConfigError

pytest.importorskip("xllamacpp")


def test_a_missing_file_is_named_with_a_way_to_get_one(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=r"nowhere\.gguf.*assets pull smollm2"):
        build_backend("chat", "llamacpp", {"model": str(tmp_path / "nowhere.gguf")})


def test_a_file_of_another_kind_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "weights.gguf"
    path.write_bytes(b"PK\x03\x04")

    with pytest.raises(ConfigError, match="no GGUF file"):
        build_backend("chat", "llamacpp", {"model": str(path)})


def test_broken_weights_stop_the_run_with_one_line(tmp_path: Path) -> None:
    path = tmp_path / "weights.gguf"
    path.write_bytes(b"GGUF" + bytes(100))
    chat = build_backend("chat", "llamacpp", {"model": str(path)})

    async def ask() -> None:
        try:
            await chat.ask(ChatRequest(request_id="1", messages=(ChatMessage(role="user", text="x"),)))
        finally:
            await chat.close()

    with pytest.raises(BackendFailed, match=r"cannot load .*weights\.gguf"):
        asyncio.run(ask())


def test_the_revision_follows_the_weights(tmp_path: Path) -> None:
    revisions = set()
    for content in (b"GGUF one", b"GGUF two", b"GGUF two "):
        path = tmp_path / "weights.gguf"
        path.write_bytes(content)
        revisions.add(build_backend("chat", "llamacpp", {"model": str(path)}).revision)

    assert len(revisions) == 3
