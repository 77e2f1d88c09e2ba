"""What went wrong with a call, and whether trying again can help."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from typing import Any, Literal

import orjson

Scope = Literal["run", "unreachable", "speed", "try", "request"]
"""Who is hit: every call of the run; every call, as nothing listens; calls sent too fast; this try; this request."""

_MAX_DETAIL = 300
_NO_CREDIT = ("insufficient_quota", "billing_hard_limit", "insufficient_balance", "insufficient credit")
_UNKNOWN_MODEL = ("model_not_found", "does not exist", "unknown model", "model not found")
_SCHEMA_FIELDS = ("response_format", "json_schema", "guided_json", "structured output")


@dataclass(frozen=True, slots=True)
class Problem:
    """A failed try.

    Attributes:
        reason: stable identifier in snake case.
        detail: the server's words, or the system's.
        wait_seconds: what the server asks to wait; None when it does not say.
    """

    scope: Scope
    reason: str
    detail: str = ""
    wait_seconds: float | None = None

    @property
    def was_answered(self) -> bool:
        """Whether something listens there: it answered, if only to refuse."""
        return self.scope in ("run", "speed", "request") or self.reason in ("server_error", "unreadable_answer")

    @property
    def is_about_schema(self) -> bool:
        """Whether the server refused to hold its answer to a schema."""
        words = self.detail.lower()
        return self.reason == "refused_by_server" and any(field in words for field in _SCHEMA_FIELDS)


def judge_status(status: int, raw: bytes, headers: Mapping[str, str]) -> Problem:
    """Read an answer that is no success."""
    detail, code = _server_words(raw)
    said = f"{code} {detail}".lower()
    if status == 402 or any(words in said for words in _NO_CREDIT):
        return Problem("run", "no_credit", detail)
    if status == 401:
        return Problem("run", "wrong_key")
    if status == 403:
        return Problem("request", "forbidden", detail)
    if status == 404 or (status == 400 and any(words in said for words in _UNKNOWN_MODEL)):
        return Problem("run", "unknown_model", detail)
    if status == 429:
        return Problem("speed", "rate_limited", detail, _retry_after(headers))
    if status >= 500 or status in (408, 409, 425):
        return Problem("try", "server_error", f"HTTP {status}: {detail}", _retry_after(headers))
    if 300 <= status < 400:
        return Problem("run", "redirected", headers.get("Location", ""))
    return Problem("request", "refused_by_server", f"HTTP {status}: {detail}")


def judge_error(error: Any, raw: bytes) -> Problem:
    """Read an error that came with the status of a success; its code often is the status meant."""
    code = error.get("code") if isinstance(error, dict) else None
    status = code if isinstance(code, int) and 400 <= code < 600 else 502
    return judge_status(status, raw, {})


def _server_words(raw: bytes) -> tuple[str, str]:
    """Return (message, code) of an error answer in any of the usual forms."""
    try:
        payload: Any = orjson.loads(raw)
    except orjson.JSONDecodeError:
        return raw[:_MAX_DETAIL].decode(errors="replace").strip(), ""
    error = payload.get("error", payload) if isinstance(payload, dict) else payload
    if not isinstance(error, dict):
        return str(error)[:_MAX_DETAIL], ""
    message = error.get("message") or error.get("detail") or error
    return str(message)[:_MAX_DETAIL], f"{error.get('code', '')} {error.get('type', '')}"


def _retry_after(headers: Mapping[str, str]) -> float | None:
    """Read Retry-After as seconds or as a date."""
    value = headers.get("Retry-After", "").strip()
    if value.replace(".", "", 1).isdigit():
        return float(value)
    try:
        return max(0.0, (parsedate_to_datetime(value) - datetime.now(UTC)).total_seconds())
    except (TypeError, ValueError):  # missing, or in a form of its own
        return None
