import asyncio
import os
import signal
import sqlite3
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from stablellava.backends.adapters.fake_chat import FakeChat
from stablellava.backends.cache_upkeep import CacheShare, CacheUpkeep
from stablellava.backends.remembering import RememberingChat
from stablellava.backends.response_cache import CachedAnswer, OpenBatch, ResponseCache
from stablellava.core.chat import ChatFailure, ChatMessage, ChatReply, ChatRequest
from stablellava.core.errors import RecordError
from stablellava.core.ids import hash_id


def request(text: str, **changes: object) -> ChatRequest:
    return ChatRequest.model_validate(
        {"request_id": f"id {text}", "messages": (ChatMessage(role="user", text=text),), **changes}
    )


def answer(number: int, model: str = "m", size: int = 100) -> CachedAnswer:
    return CachedAnswer(hash_id(number), "backend", model, os.urandom(size))


def shares(path: Path) -> list[CacheShare]:
    upkeep = CacheUpkeep(path)
    try:
        return upkeep.stats()
    finally:
        upkeep.close()


def remember(cache: ResponseCache, chat: FakeChat, *requests: ChatRequest) -> list[ChatReply | ChatFailure]:
    async def run() -> list[ChatReply | ChatFailure]:
        remembering = RememberingChat(chat, cache)
        return await asyncio.gather(*(remembering.ask(one) for one in requests))

    return asyncio.run(run())


def test_an_answer_is_paid_for_once_and_differs_only_in_its_stamp(tmp_path: Path) -> None:
    chat = FakeChat()
    cache = ResponseCache(tmp_path / "c.sqlite")
    (first,) = remember(cache, chat, request("hello"))
    cache.close()

    cache = ResponseCache(tmp_path / "c.sqlite")
    (second,) = remember(cache, chat, request("hello", request_id="another id"))
    cache.close()

    assert isinstance(first, ChatReply) and isinstance(second, ChatReply)
    assert chat.num_answers == 1
    assert (first.stamp.from_cache, second.stamp.from_cache) == (False, True)
    assert second.request_id == "another id"
    assert second.stamp.model_copy(update={"from_cache": False}) == first.stamp
    assert (second.text, second.finish_reason) == (first.text, first.finish_reason)


def test_equal_requests_on_their_way_are_asked_once(tmp_path: Path) -> None:
    chat = FakeChat(seconds=0.02)
    cache = ResponseCache(tmp_path / "c.sqlite")

    answers = remember(cache, chat, *(request("hello", request_id=str(i)) for i in range(20)))
    cache.close()

    assert chat.num_answers == 1
    assert [one.request_id for one in answers] == [str(i) for i in range(20)]


def test_other_attempts_models_and_options_have_answers_of_their_own(tmp_path: Path) -> None:
    cache = ResponseCache(tmp_path / "c.sqlite")
    chat, other_model = FakeChat(), FakeChat(truncated_share=0.001)

    remember(cache, chat, request("x"), request("x", attempt=1), request("x", temperature=0.5), request("x", seed=1))
    remember(cache, other_model, request("x"))

    assert (chat.num_answers, other_model.num_answers) == (4, 1)
    assert shares(cache.path)[0].num_answers == 5
    cache.close()


def test_a_failure_is_not_kept(tmp_path: Path) -> None:
    cache = ResponseCache(tmp_path / "c.sqlite")
    remember(cache, FakeChat(fail_share=1.0), request("hello"))
    assert shares(cache.path) == []
    cache.close()


def test_a_waiting_caller_asks_itself_when_the_first_one_failed(tmp_path: Path) -> None:
    said: list[str] = []

    def script(one: ChatRequest) -> str | ChatFailure:
        said.append(one.request_id)
        return ChatFailure(request_id=one.request_id, reason="server_error") if len(said) == 1 else "fine"

    cache = ResponseCache(tmp_path / "c.sqlite")
    first, second = remember(
        cache, FakeChat(script, seconds=0.01), request("x", request_id="1"), request("x", request_id="2")
    )
    cache.close()

    assert isinstance(first, ChatFailure)
    assert isinstance(second, ChatReply)


_WRITE_UNTIL_KILLED = """
import asyncio, sys
from pathlib import Path
from stablellava.backends.adapters.fake_chat import FakeChat
from stablellava.backends.remembering import RememberingChat
from stablellava.backends.response_cache import ResponseCache
from stablellava.core.chat import ChatMessage, ChatRequest

async def main():
    chat = RememberingChat(FakeChat(), ResponseCache(Path(sys.argv[1])))
    async def work(part):
        for i in range(part, 10**9, 8):
            await chat.ask(ChatRequest(request_id=str(i), messages=(ChatMessage(role="user", text=f"row {i}"),)))
            print(i, flush=True)
    await asyncio.gather(*(work(part) for part in range(8)))

asyncio.run(main())
"""


def test_no_answer_that_was_returned_is_lost_by_a_kill(tmp_path: Path) -> None:
    path = tmp_path / "c.sqlite"
    command = [sys.executable, "-c", _WRITE_UNTIL_KILLED, str(path)]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as writer:
        assert writer.stdout is not None
        seen = [int(writer.stdout.readline()) for _ in range(500)]
        os.kill(writer.pid, signal.SIGKILL)
        rest = [line for line in writer.stdout.read().splitlines() if line]
    seen += [int(line) for line in rest[:-1]]  # the last line may be torn

    cache = ResponseCache(path)
    chat = FakeChat()
    remember(cache, chat, *(request(f"row {i}", request_id=str(i)) for i in seen))
    cache.close()

    assert len(seen) >= 500
    assert chat.num_answers == 0


def test_several_processes_share_a_new_cache(tmp_path: Path) -> None:
    path = tmp_path / "c.sqlite"
    script = (
        "import sys; from pathlib import Path; from stablellava.backends.response_cache import *\n"
        "from stablellava.core.ids import hash_id\n"
        "cache = ResponseCache(Path(sys.argv[1]))\n"
        "for i in range(200): cache.store_now([CachedAnswer(hash_id(sys.argv[2], i), 'b', sys.argv[2], b'x')])\n"
        "cache.close()\n"
    )
    writers = [subprocess.Popen([sys.executable, "-c", script, str(path), name]) for name in "abc"]
    assert [writer.wait() for writer in writers] == [0, 0, 0]

    cache = ResponseCache(path)
    assert [(share.model, share.num_answers) for share in shares(cache.path)] == [("a", 200), ("b", 200), ("c", 200)]
    cache.close()


def test_pruning_by_model_and_by_size_deletes_the_oldest_and_gives_room_back(tmp_path: Path) -> None:
    cache = ResponseCache(tmp_path / "c.sqlite")
    cache.store_now([answer(i, "old", 5000) for i in range(200)])
    cache.store_now([answer(1000 + i, "new", 5000) for i in range(3_000)])
    upkeep = CacheUpkeep(cache.path)
    size = upkeep.size_bytes

    assert upkeep.prune(model="other") == 0
    assert upkeep.prune(older_than_s=3600) == 0
    num_deleted = upkeep.prune(max_size_bytes=size // 2)

    assert 1_000 <= num_deleted < 3_200
    assert upkeep.size_bytes <= size // 2
    assert cache.path.stat().st_size <= size // 2 + 2**20
    assert [share.model for share in upkeep.stats()] == ["new"]
    assert upkeep.prune(model="new") == 3_200 - num_deleted
    assert upkeep.stats() == []
    upkeep.close()
    cache.close()


def test_pruning_by_age_keeps_what_is_younger(tmp_path: Path) -> None:
    cache = ResponseCache(tmp_path / "c.sqlite")
    cache.store_now([answer(i) for i in range(10)])
    cache.close()
    with sqlite3.connect(tmp_path / "c.sqlite") as connection:
        connection.execute("UPDATE answers SET created_s = created_s - 7200 WHERE position <= 4")
    connection.close()

    cache = ResponseCache(tmp_path / "c.sqlite")
    upkeep = CacheUpkeep(cache.path)
    assert upkeep.prune(older_than_s=3600) == 4
    upkeep.close()
    assert cache.find(hash_id(3)) is None
    assert cache.find(hash_id(4)) is not None
    cache.close()


def test_a_file_that_is_no_cache_is_named(tmp_path: Path) -> None:
    path = tmp_path / "c.sqlite"
    path.write_bytes(b"something else " * 100)

    with pytest.raises(RecordError, match=r"c\.sqlite.*Delete it"):
        ResponseCache(path)


def test_a_cache_that_breaks_while_it_is_used_is_one_line_that_names_it(tmp_path: Path) -> None:
    cache, upkeep = ResponseCache(tmp_path / "c.sqlite"), CacheUpkeep(tmp_path / "c.sqlite")
    with sqlite3.connect(cache.path) as connection:
        connection.executescript("DROP TABLE answers; DROP TABLE batches")
    connection.close()
    uses: list[Callable[[], object]] = [
        lambda: cache.find(hash_id(1)),
        lambda: cache.store_now([answer(1)]),
        lambda: cache.open_batches("owner"),
        lambda: cache.keep_batch(OpenBatch("tag", "owner", "", b"[]")),
        lambda: cache.drop_batch("tag"),
        lambda: remember(cache, FakeChat(), request("x")),
        lambda: upkeep.stats(),
        lambda: upkeep.prune(model="m"),
    ]
    for use in uses:
        with pytest.raises(RecordError, match=r"cannot (read|write) the response cache .*c\.sqlite: no such table"):
            use()
    upkeep.close()
    cache.close()
