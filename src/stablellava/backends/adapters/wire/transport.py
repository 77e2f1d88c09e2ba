"""One connection pool to one server: limits, retries and the circuit breaker around plain POSTs."""

import asyncio
import os
import time
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any
from urllib.request import getproxies, proxy_bypass

import aiohttp
import orjson
from yarl import URL

from stablellava.backends.adapters.wire.breaker import CircuitBreaker
from stablellava.backends.adapters.wire.limits import FixedLimits
from stablellava.backends.adapters.wire.options import OPENAI_URL, WireOptions
from stablellava.backends.adapters.wire.problems import Problem, judge_error, judge_status
from stablellava.backends.adapters.wire.window import AdaptiveWindow
from stablellava.backends.keys import read_key
from stablellava.core.ids import share_of
from stablellava.core.rank import num_workers

_CONNECT_SECONDS = 10.0
_KEEP_ALIVE_SECONDS = 30.0
_MAX_BACKOFF_SECONDS = 30.0
_TRIES_PER_REFUSAL = 5
"""So many refusals for speed cost a call as much as one broken try: they say nothing against the call."""
_BYTES_PER_TOKEN = 4
_MAX_WORDS = 200
_MAX_MODELS_NAMED = 8
_RESULTS = ("choices", "data")
"""What an answer has that is more than an error; gateways also report their servers' errors with status 200."""
_JSON_HEADERS = {"Content-Type": "application/json"}


@dataclass(frozen=True, slots=True)
class Answered:
    """A success: the answer's JSON, and how long its last try took."""

    payload: dict[str, Any]
    seconds: float


class Wire:
    """Sends JSON and reads JSON. Lives in one event loop at a time: close it before using another."""

    def __init__(self, options: WireOptions) -> None:
        self.options = options
        self.key = read_key(options.key_env, options.key_file, is_required=options.base_url.rstrip("/") == OPENAI_URL)
        self.breaker = CircuitBreaker(options, self.key)
        # Painters and judges are built once per process; what the server is spared is meant for all of them together.
        self._num_sharing = num_workers()
        self._window = AdaptiveWindow(max(1, options.max_in_flight // self._num_sharing))
        self._session: aiohttp.ClientSession | None = None
        self._limits = FixedLimits(None, None)
        self._urls: dict[str, URL] = {}

    def url_of(self, path: str) -> URL:
        """Return the address of an endpoint below base_url ("chat/completions")."""
        if path not in self._urls:
            self._urls[path] = URL(f"{self.options.base_url.rstrip('/')}/{path}")
        return self._urls[path]

    async def post(
        self, path: str, body: bytes, call_id: str, max_tokens: int = 0, may_lack_schema: bool = False
    ) -> Answered | Problem:
        """Send until there is an answer or no use in going on.

        Args:
            path: endpoint below base_url.
            body: JSON.
            call_id: what waits between tries vary by, so that they are the same in every run.
            max_tokens: tokens that the answer may have, for the limit on tokens.
            may_lack_schema: whether the caller has another way should the server refuse the schema.

        Raises: BackendFailed when no call can succeed.
        """
        num_failed = 0.0
        num_tries = 0
        url = self.url_of(path)
        while True:
            self.breaker.check()
            session = self._open_session()
            await self._limits.wait(len(body) // _BYTES_PER_TOKEN + max_tokens)
            await self._window.enter()
            outcome = await self._try(session, url, body)
            if isinstance(outcome, Answered):
                self.breaker.note_success()
                return outcome
            if outcome.reason == "unknown_model":
                self.breaker.stop(await self._explain_unknown(outcome, body))
            if may_lack_schema and outcome.is_about_schema:
                return outcome
            self.breaker.note_failure(outcome)
            if outcome.scope == "request":
                return outcome
            if outcome.scope != "unreachable":  # how long nothing may listen is the breaker's to say
                num_failed += 1 / _TRIES_PER_REFUSAL if outcome.scope == "speed" else 1
            num_tries += 1
            if num_failed >= self.options.max_tries:
                return outcome
            await asyncio.sleep(self._wait_seconds(outcome, num_tries, call_id))

    async def get(self, path: str) -> Answered | Problem:
        """Fetch JSON once, without retries."""
        return await self._exchange(self._open_session(), "GET", self.url_of(path), None)

    async def send_once(self, path: str, body: bytes) -> Answered | Problem:
        """Send JSON once, without retries."""
        return await self._exchange(self._open_session(), "POST", self.url_of(path), body)

    async def send_form(self, path: str, form: aiohttp.FormData) -> Answered | Problem:
        """Upload a form once, without retries."""
        return await self._exchange(self._open_session(), "POST", self.url_of(path), form)

    async def get_bytes(self, path: str) -> bytes | Problem:
        """Fetch a file once, without retries."""
        return await self._read(self._open_session(), "GET", self.url_of(path), None)

    async def close(self) -> None:
        """Close the connections; a later call opens new ones."""
        session, self._session = self._session, None
        if session:
            await session.close()

    async def _try(self, session: aiohttp.ClientSession, url: URL, body: bytes) -> Answered | Problem:
        seconds, was_refused = None, False
        try:
            self.breaker.check()  # it may have opened while this call waited for its place
            outcome = await self._exchange(session, "POST", url, body)
            if isinstance(outcome, Answered):
                seconds = outcome.seconds
            else:
                was_refused = outcome.scope == "speed" or outcome.reason == "timed_out"
            return outcome
        finally:
            self._window.leave(seconds, was_refused)

    async def _exchange(
        self, session: aiohttp.ClientSession, method: str, url: URL, data: bytes | aiohttp.FormData | None
    ) -> Answered | Problem:
        started = time.perf_counter()
        raw = await self._read(session, method, url, data)
        if isinstance(raw, Problem):
            return raw
        try:
            payload = orjson.loads(raw)
        except orjson.JSONDecodeError:
            return Problem("try", "unreadable_answer", f"no JSON: {raw[:80].decode(errors='replace')}")
        if not isinstance(payload, dict):
            return Problem("try", "unreadable_answer", f"JSON that is no object: {raw[:80].decode(errors='replace')}")
        if payload.get("error") and payload.keys().isdisjoint(_RESULTS):
            return judge_error(payload["error"], raw)
        return Answered(payload, time.perf_counter() - started)

    async def _read(
        self, session: aiohttp.ClientSession, method: str, url: URL, data: bytes | aiohttp.FormData | None
    ) -> bytes | Problem:
        headers = _JSON_HEADERS if isinstance(data, bytes) else None
        try:
            async with session.request(method, url, data=data, headers=headers, allow_redirects=False) as response:
                raw = await response.read()
        except aiohttp.ClientSSLError as exc:
            return Problem("run", "untrusted_certificate", str(exc))
        except (aiohttp.ClientConnectorError, aiohttp.ConnectionTimeoutError) as exc:
            return Problem("unreachable", "server_gone", _system_words(exc))
        except TimeoutError:
            return Problem("try", "timed_out", f"no answer within {self.options.timeout_seconds:g} s")
        except aiohttp.ClientError as exc:
            return Problem("try", "connection_dropped", f"{type(exc).__name__}: {exc}"[:_MAX_WORDS])
        return raw if response.status == 200 else judge_status(response.status, raw, response.headers)

    def _open_session(self) -> aiohttp.ClientSession:
        if self._session is None:
            options = self.options
            limits = (limit and limit / self._num_sharing for limit in (options.rpm, options.tpm))
            self._limits = FixedLimits(*limits)
            self._session = aiohttp.ClientSession(
                connector=aiohttp.TCPConnector(limit=options.max_in_flight, keepalive_timeout=_KEEP_ALIVE_SECONDS),
                timeout=aiohttp.ClientTimeout(total=options.timeout_seconds, sock_connect=_CONNECT_SECONDS),
                headers=self.key.headers,
                cookie_jar=aiohttp.DummyCookieJar(),
                proxy=_find_proxy(options.url),
            )
        return self._session

    def _wait_seconds(self, problem: Problem, num_tries: int, call_id: str) -> float:
        longest = min(_MAX_BACKOFF_SECONDS, self.options.backoff_seconds * 2.0 ** (num_tries - 1))
        backoff = longest * (0.5 + share_of(call_id, num_tries) / 2)
        if problem.scope == "unreachable":
            return min(backoff, 1.0)
        return max(backoff, problem.wait_seconds or 0.0)

    async def _explain_unknown(self, problem: Problem, body: bytes) -> str:
        model = orjson.loads(body).get("model", "")
        where = f"{self.options.base_url} knows no model {model!r}"
        names = await self.list_models()
        if model in names:
            return f"{self.options.base_url} has no such endpoint for {model!r}: {self.key.scrub(problem.detail)}"
        if not names:
            return f"{where} or base_url is wrong: {self.key.scrub(problem.detail)}"
        more = f" and {len(names) - _MAX_MODELS_NAMED} more" if len(names) > _MAX_MODELS_NAMED else ""
        return f"{where}. It serves: {', '.join(names[:_MAX_MODELS_NAMED])}{more}"

    async def list_models(self) -> list[str]:
        """Return the names the server lists; none when it lists none."""
        listed = await self.get("models")
        rows = listed.payload.get("data") if isinstance(listed, Answered) else None
        return [str(row.get("id")) for row in rows if isinstance(row, Mapping)] if isinstance(rows, list) else []


def _system_words(exc: Exception) -> str:
    cause = getattr(exc, "os_error", None)
    number = getattr(cause, "errno", None) or 0  # negative for a name that cannot be resolved
    return os.strerror(number) if number > 0 else str(cause or exc)[:_MAX_WORDS]


def _find_proxy(url: URL) -> str | None:
    """Read the environment's proxy once; asking aiohttp to trust the environment would read it for every call."""
    if proxy_bypass(url.host or ""):
        return None
    return getproxies().get(url.scheme)
