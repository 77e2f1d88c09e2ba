"""When to stop the whole run instead of failing call by call, and with which one line."""

import time

from stablellava.backends.adapters.wire.options import WireOptions
from stablellava.backends.adapters.wire.problems import Problem
from stablellava.backends.keys import ApiKey
from stablellava.core.errors import BackendFailed

_MAX_FIRST_FAILURES = 20


class CircuitBreaker:
    """Counts failures since the last success; once open, it stays open."""

    def __init__(self, options: WireOptions, key: ApiKey) -> None:
        self._options = options
        self._key = key
        self._has_succeeded = False
        self._num_failures = 0
        self._failing_since = 0.0
        self._unreachable_since: float | None = None
        self._verdict: str | None = None

    def check(self) -> None:
        """Raise BackendFailed if the run was stopped."""
        if self._verdict:
            raise BackendFailed(self._verdict)

    def note_success(self) -> None:
        """The server answered."""
        self._has_succeeded = True
        self._num_failures = 0
        self._unreachable_since = None

    def note_failure(self, problem: Problem) -> None:
        """Take a failed try into account.

        Raises: BackendFailed with one line when no call can succeed any more.
        """
        now = time.monotonic()
        if self._num_failures == 0:
            self._failing_since = now
        self._num_failures += 1
        if problem.was_answered:
            self._unreachable_since = None
        elif problem.scope == "unreachable" and self._unreachable_since is None:
            self._unreachable_since = now
        self._verdict = self._verdict or self._judge(problem, now)
        self.check()

    def stop(self, verdict: str) -> None:
        """Open the breaker with these words.

        Raises: BackendFailed, always.
        """
        self._verdict = self._verdict or verdict
        raise BackendFailed(self._verdict)

    def _judge(self, problem: Problem, now: float) -> str | None:
        url, options, seconds = self._options.base_url, self._options, now - self._failing_since
        detail = self._key.scrub(problem.detail)
        if problem.reason == "wrong_key" or (problem.reason == "forbidden" and not self._has_succeeded):
            said = f" ({detail})" if detail else ""
            return f"{url} refuses the key in {self._key.source}{said}: set the right one, or name another with key_env"
        if problem.reason == "no_credit":
            return f"no credit left for the key in {self._key.source} at {url}: {detail}"
        if problem.scope == "run":
            return f"{url} cannot be used ({problem.reason}): {detail}"
        if problem.wait_seconds is not None and problem.wait_seconds > options.patience_seconds:
            return (
                f"{url} asks to wait {problem.wait_seconds:.0f} s: {detail}. "
                f"Run again later, or allow it with patience_seconds"
            )
        if problem.scope == "unreachable":
            patience = options.unreachable_seconds if self._has_succeeded else options.unreachable_seconds / 4
            is_over = now - (self._unreachable_since or now) >= patience
            return (
                f"nothing answers at {url} ({detail}): is the server running, and base_url right?" if is_over else None
            )
        if not self._has_succeeded and problem.scope != "speed" and self._num_failures >= _MAX_FIRST_FAILURES:
            return f"the first {self._num_failures} calls to {url} all failed; the last: {problem.reason} ({detail})"
        if seconds >= options.patience_seconds:
            return f"every call to {url} failed for {seconds:.0f} s; the last: {problem.reason} ({detail})"
        return None
