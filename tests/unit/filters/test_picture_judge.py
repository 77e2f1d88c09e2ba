"""A vision-language judge over HTTP that agrees, contradicts, is unsure or is broken."""

import asyncio
import base64
import json
import threading
from collections.abc import Iterator, Sequence

import pytest
from aiohttp import web

from stablellava.backends.catalog import build_backend
from stablellava.core.capability import Keyword
from stablellava.core.chat import ChatFailure, ChatReply, ChatRequest
from stablellava.core.draft import CallStamp, Draft, PaintPrompt, Turn
from stablellava.filters.base import Candidate
from stablellava.filters.picture_judge import PictureJudge

PICTURE = base64.b64decode(
    "iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAYAAAAfFcSJAAAADUlEQVR42mNk+M9QDwADhgGAWjR9awAAAABJRU5ErkJggg=="
)


class JudgeServer:
    """Answers with one verdict for all claims, as ``mood`` says."""

    def __init__(self) -> None:
        self.mood = "yes"
        self.bodies: list[dict] = []
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._loop.run_forever, daemon=True)
        self._thread.start()
        self.url = asyncio.run_coroutine_threadsafe(self._start(), self._loop).result(10)

    async def _start(self) -> str:
        app = web.Application(client_max_size=2**24)
        app.router.add_post("/v1/chat/completions", self._answer)
        self._runner = web.AppRunner(app)
        await self._runner.setup()
        site = web.TCPSite(self._runner, "127.0.0.1", 0)
        await site.start()
        return f"http://127.0.0.1:{self._runner.addresses[0][1]}/v1"

    def close(self) -> None:
        asyncio.run_coroutine_threadsafe(self._runner.cleanup(), self._loop).result(10)
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join(10)
        self._loop.close()

    async def _answer(self, request: web.Request) -> web.Response:
        body = await request.json()
        self.bodies.append(body)
        if self.mood == "gone":
            return web.json_response({"error": {"message": "broken"}}, status=500)
        num_claims = body["response_format"]["json_schema"]["schema"]["properties"]["claims"]["minItems"]
        verdicts = self.mood.split(",") if "," in self.mood else [self.mood] * num_claims
        claims = [
            {"number": number, "reason": f"reason {number}", "verdict": verdict}
            for number, verdict in enumerate(verdicts, start=1)
        ]
        text = "The picture is nice." if self.mood == "broken" else json.dumps({"claims": claims})
        choice = {"index": 0, "message": {"role": "assistant", "content": text}, "finish_reason": "stop"}
        return web.json_response({"model": "judge", "choices": [choice], "usage": {"prompt_tokens": 9}})


@pytest.fixture(scope="module")
def server() -> Iterator[JudgeServer]:
    running = JudgeServer()
    yield running
    running.close()


@pytest.fixture
def judge(server: JudgeServer, monkeypatch: pytest.MonkeyPatch) -> Iterator[PictureJudge]:
    monkeypatch.setenv("JUDGE_KEY", "secret")
    options = {"base_url": server.url, "model": "judge", "key_env": "JUDGE_KEY", "max_tries": 1}
    runner = asyncio.Runner()
    chat = build_backend("chat", "openai", options)

    def ask_all(requests: Sequence[ChatRequest]) -> list[ChatReply | ChatFailure]:
        async def gather() -> list[ChatReply | ChatFailure]:
            return await asyncio.gather(*(chat.ask(request) for request in requests))

        return runner.run(gather())

    yield PictureJudge(ask_all, min_share=0.6)
    runner.run(chat.close())
    runner.close()


def candidate() -> Candidate:
    turns = (
        Turn(speaker="user", text="What is there?", images=(0,)),
        Turn(speaker="assistant", text="A small dog runs here. It is on the beach. The sea is calm."),
    )
    draft = Draft(
        draft_id="d", capability="animal", keyword="dog", setting="beach",
        prompts=(PaintPrompt(text="dog, on the beach"),), turns=turns, stamp=CallStamp(backend="x"),
    )  # fmt: skip
    return Candidate(draft, Keyword(name="dog"))


@pytest.mark.parametrize(
    ("mood", "kept", "reason", "score"),
    [
        ("yes", True, "", 1.0),
        ("no", False, "claim_contradicted", 0.0),
        ("yes,yes,no", False, "claim_contradicted", 2 / 3),
        ("unsure", False, "claim_not_borne_out", 0.0),
        ("yes,unsure,unsure", False, "claim_not_borne_out", 1 / 3),
        ("yes,yes,unsure", True, "", 2 / 3),
    ],
)
def test_each_claim_must_be_borne_out_and_unsure_is_no_yes(
    server: JudgeServer, judge: PictureJudge, mood: str, kept: bool, reason: str, score: float
) -> None:
    server.mood = mood
    verdict = judge.judge_all([candidate()], [(PICTURE,)])[0]
    assert (verdict.kept, verdict.reason, verdict.score) == (kept, reason, pytest.approx(score))
    if mood != "yes":
        assert "reason" in verdict.detail


@pytest.mark.parametrize("mood", ["broken", "yes,yes", "maybe"])
def test_a_judge_that_cannot_be_read_leaves_the_sample_unscored(
    server: JudgeServer, judge: PictureJudge, mood: str
) -> None:
    server.mood = mood
    verdict = judge.judge_all([candidate()], [(PICTURE,)])[0]
    assert (verdict.kept, verdict.score) == (True, None)
    assert verdict.detail.startswith("unscored: ")


def test_the_judge_sees_the_picture_and_every_claim(server: JudgeServer, judge: PictureJudge) -> None:
    server.mood = "yes"
    judge.judge_all([candidate()], [(PICTURE,)])
    sent = json.dumps(server.bodies[-1])
    assert "data:image/png;base64," in sent
    assert all(f"{number}. " in sent for number in (1, 2, 3))
    assert "secret" not in sent


def test_a_dialogue_without_claims_is_not_asked_about(server: JudgeServer, judge: PictureJudge) -> None:
    empty = candidate()
    silent = Candidate(empty.draft.model_copy(update={"turns": ()}), empty.keyword)
    num_asked = len(server.bodies)
    assert judge.judge_all([silent], [(PICTURE,)])[0].detail == "unscored: no claims"
    assert len(server.bodies) == num_asked
