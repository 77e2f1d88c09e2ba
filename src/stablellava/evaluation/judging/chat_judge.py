"""A chat model as a judge, over the wire or in this process."""

from collections.abc import Sequence
from dataclasses import replace
from functools import partial

from stablellava.backends.calling import ChatCalls
from stablellava.backends.protocols import ChatModel
from stablellava.core.chat import ChatFailure, ChatMessage, ChatRequest
from stablellava.core.ids import hash_id, seed_from
from stablellava.core.score import Judgement
from stablellava.evaluation.benchmarks.base import JudgeRequest
from stablellava.evaluation.judging.protocols import PROTOCOLS, JudgeProtocol
from stablellava.evaluation.judging.wording import Wording, own_wording

_NUM_SHOWN = 60
_SEED_LIMIT = 1 << 31
"""Servers take signed 32-bit seeds."""


class ChatJudge:
    """Grades answers; satisfies ``evaluation.benchmarks.base.Judge``.

    Each run of a request has a seed of its own. A reply that cannot be read is asked for again as the benchmark's own
    tool does it; what cannot be read in the end is told with the last reply, a call that failed without one.
    """

    def __init__(
        self, chat: ChatModel, *, name: str = "", max_tokens: int | None = None, wording: Wording | None = None
    ) -> None:
        """Take a chat model; ``name`` is what reports call it, by default the backend's name.

        ``max_tokens`` replaces the protocols' own, for judges that think aloud before they grade; replies are still
        read from their beginning. ``close`` when done.
        """
        self.name = name or chat.name
        self._chat = chat
        self._max_tokens = max_tokens
        self._wording = wording or own_wording()
        self._calls: ChatCalls[Judgement] = ChatCalls(chat)
        prompts = dict(self._wording.prompts)
        self.fingerprint = hash_id(
            "judge", chat.name, chat.revision, max_tokens, _describe_protocols(self._wording), prompts
        )

    def judge(self, requests: Sequence[JudgeRequest]) -> list[Judgement]:
        """Return one judgement per request, in their order; equal requests are judged once.

        Raises: BackendFailed when no request can be judged.
        """
        places: dict[str, int] = {}
        for request in requests:
            places.setdefault(_content_key(request), len(places))
        distinct = {_content_key(request): request for request in requests}
        judged = self._calls.run([partial(self._judge_one, distinct[key]) for key in places])
        return [
            judged[places[_content_key(request)]].model_copy(update={"request_id": request.request_id})
            for request in requests
        ]

    def close(self) -> None:
        """Let go of connections."""
        self._calls.close()

    async def _judge_one(self, request: JudgeRequest) -> Judgement:
        protocol = PROTOCOLS[request.kind]
        judgement = Judgement(request_id=request.request_id, text=None, run=request.run, is_swapped=request.is_swapped)
        for attempt in range(len(protocol.temperatures)):
            reply = await self._chat.ask(self._request(request, protocol, attempt))
            if isinstance(reply, ChatFailure):
                why = ": ".join(filter(None, (reply.reason, reply.detail)))
                return judgement.model_copy(update={"text": None, "why": f"the judge's call failed, {why}"})
            # A log says the same of a reply whether it took time or was known.
            stamp = reply.stamp.model_copy(update={"seconds": None, "from_cache": False})
            judgement = judgement.model_copy(update={"text": reply.text, "stamp": stamp})
            if protocol.is_readable(reply.text, request):
                return judgement
        shown = (judgement.text or "").strip()[:_NUM_SHOWN]
        why = f"no grade in {len(protocol.temperatures)} of the judge's replies, last {shown!r}"
        return judgement.model_copy(update={"why": why})

    def _request(self, request: JudgeRequest, protocol: JudgeProtocol, attempt: int) -> ChatRequest:
        *before, last = protocol.phrase(request, self._wording)
        asked = ChatMessage(role=last.role, text=last.text + (protocol.retry_suffix if attempt else ""))
        return ChatRequest(
            request_id=f"{request.request_id} run {request.run}",
            messages=(*before, asked),
            temperature=protocol.temperatures[attempt],
            max_tokens=self._max_tokens or protocol.max_tokens,
            # Runs of one request differ in nothing else.
            seed=seed_from("judge", request.kind, request.run, attempt) % _SEED_LIMIT,
        )


_EXAMPLES = tuple(
    JudgeRequest(
        request_id=kind,
        kind=kind,
        question="What animal is this?",
        reference="a dog",
        prediction="A dog.",
        options={"A": "a dog", "B": "a cat"} if kind == "mmbench" else {},
        context="A dog on a beach." if kind == "llavabench" else "",
    )
    for kind in PROTOCOLS
)
"""A request of each kind: what is sent for it is what judgements depend on."""


def _content_key(request: JudgeRequest) -> str:
    """Return what two requests share that are the same question to the judge."""
    return hash_id({**replace(request, request_id="").__dict__, "options": dict(request.options)})


def _describe_protocols(wording: Wording) -> list[object]:
    """Return all that a judgement depends on besides the model: words, limits and retries."""
    return [
        [
            kind,
            [message.text for message in PROTOCOLS[kind].phrase(request, wording)],
            PROTOCOLS[kind].max_tokens,
            PROTOCOLS[kind].temperatures,
            PROTOCOLS[kind].retry_suffix,
        ]
        for kind, request in zip(PROTOCOLS, _EXAMPLES, strict=True)
    ]
