"""A vision-language model looks at the picture and says of each claim whether the picture bears it out.

Unsure never counts as yes. A judge that fails or cannot be read leaves the sample unscored, and says so.
"""

from collections.abc import Callable, Sequence
from importlib.resources import files
from typing import Any

from stablellava.backends.parsing import parse_answer
from stablellava.core.chat import ChatFailure, ChatMessage, ChatReply, ChatRequest
from stablellava.core.ids import seed_from
from stablellava.core.sample import Verdict
from stablellava.filters.base import Candidate
from stablellava.filters.claims import TurnClaim, split_claims

_INSTRUCTION = "judge_claims.v1.txt"
_VERDICTS = ("yes", "no", "unsure")
_TOKENS_PER_CLAIM = 60

AskAll = Callable[[Sequence[ChatRequest]], Sequence[ChatReply | ChatFailure]]
"""Asks a chat model many requests at once; answers in their order."""


class PictureJudge:
    """Refuses: claim_contradicted (a claim was answered no), claim_not_borne_out (too few were answered yes).

    Args:
        ask_all: of a chat model that takes pictures.
        min_share: least share of claims answered yes, 0 to 1; unsure ones count as not borne out.
        max_contradicted: claims answered no that are let pass.
    """

    name = "picture_judge"
    is_cured_by_repainting = True

    def __init__(self, ask_all: AskAll, min_share: float = 0.5, max_contradicted: int = 0) -> None:
        self._ask_all = ask_all
        self._min_share = min_share
        self._max_contradicted = max_contradicted
        self._instruction = files(__package__).joinpath(_INSTRUCTION).read_text(encoding="utf-8").strip()

    def judge_all(self, candidates: Sequence[Candidate], images: Sequence[tuple[bytes, ...]]) -> list[Verdict]:
        """Return one verdict per candidate, in their order; ``images`` are its encoded pictures.

        Raises: BackendFailed when the judge cannot be asked at all.
        """
        claims = [split_claims(candidate.draft.turns) for candidate in candidates]
        requests = [
            self._request(candidate, of_candidate, pictures)
            for candidate, of_candidate, pictures in zip(candidates, claims, images, strict=True)
            if of_candidate
        ]
        answers = iter(self._ask_all(requests))
        return [
            self._verdict(of_candidate, next(answers)) if of_candidate else _unscored("no claims")
            for of_candidate in claims
        ]

    def _request(self, candidate: Candidate, claims: Sequence[TurnClaim], images: tuple[bytes, ...]) -> ChatRequest:
        listed = "\n".join(f"{number}. {claim.text}" for number, claim in enumerate(claims, start=1))
        return ChatRequest(
            request_id=f"judge:{candidate.draft.draft_id}",
            messages=(
                ChatMessage(role="system", text=self._instruction),
                ChatMessage(role="user", text=f"Claims:\n{listed}", images=images),
            ),
            json_schema=_schema(len(claims)),
            schema_name="claims",
            temperature=0.0,
            max_tokens=100 + _TOKENS_PER_CLAIM * len(claims),
            seed=seed_from(candidate.draft.draft_id, "judge") % 2**31,
        )

    def _verdict(self, claims: Sequence[TurnClaim], answer: ChatReply | ChatFailure) -> Verdict:
        if isinstance(answer, ChatFailure):
            return _unscored(f"{answer.reason} {answer.detail}".strip())
        parsed = parse_answer(answer.text, _schema(len(claims)), answer.finish_reason)
        if parsed.value is None:
            return _unscored(parsed.error)
        judged: list[dict[str, Any]] = sorted(parsed.value["claims"], key=lambda entry: int(entry["number"]))
        if [entry["number"] for entry in judged] != list(range(1, len(claims) + 1)):
            return _unscored("the judge did not answer each claim once")
        return self._weigh(claims, judged)

    def _weigh(self, claims: Sequence[TurnClaim], judged: Sequence[dict[str, Any]]) -> Verdict:
        share = sum(entry["verdict"] == "yes" for entry in judged) / len(judged)
        doubted = [
            f"{entry['verdict']}: {claim.text!r} ({entry['reason']})"
            for claim, entry in zip(claims, judged, strict=True)
            if entry["verdict"] != "yes"
        ]
        num_contradicted = sum(entry["verdict"] == "no" for entry in judged)
        reason = ""
        if num_contradicted > self._max_contradicted:
            reason = "claim_contradicted"
            doubted.sort(key=lambda text: not text.startswith("no"))
        elif share < self._min_share:
            reason = "claim_not_borne_out"
        return Verdict(
            filter_name=self.name, kept=not reason, reason=reason, detail="; ".join(doubted)[:500],
            score=share, threshold=self._min_share,
        )  # fmt: skip


def _unscored(why: str) -> Verdict:
    return Verdict(filter_name=PictureJudge.name, kept=True, detail=f"unscored: {why}"[:500])


def _schema(num_claims: int) -> dict[str, Any]:
    claim = {
        "type": "object",
        "properties": {
            "number": {"type": "integer"},
            "reason": {"type": "string"},
            "verdict": {"type": "string", "enum": list(_VERDICTS)},
        },
        "required": ["number", "reason", "verdict"],
        "additionalProperties": False,
    }
    return {
        "type": "object",
        "properties": {"claims": {"type": "array", "items": claim, "minItems": num_claims, "maxItems": num_claims}},
        "required": ["claims"],
        "additionalProperties": False,
    }
