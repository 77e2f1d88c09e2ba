"""Fixed limits on requests and tokens per minute."""

from aiolimiter import AsyncLimiter

_SECONDS = 60.0


class FixedLimits:
    """Spreads calls evenly: a bucket holds one second's worth, so a minute sees at most a sixtieth above its limit."""

    def __init__(self, rpm: float | None, tpm: float | None) -> None:
        self._requests = _bucket(rpm)
        self._tokens = _bucket(tpm)

    async def wait(self, num_tokens: int) -> None:
        """Wait until a call of about this many tokens may be sent."""
        if self._requests:
            await self._requests.acquire()
        if self._tokens:
            # A call larger than the bucket would wait forever; it pays for what fits, many times if need be.
            left = float(num_tokens)
            while left > 0:
                part = min(left, self._tokens.max_rate)
                await self._tokens.acquire(part)
                left -= part


def _bucket(per_minute: float | None) -> AsyncLimiter | None:
    if per_minute is None:
        return None
    per_second = per_minute / _SECONDS
    return AsyncLimiter(per_second, 1.0) if per_second >= 1 else AsyncLimiter(1.0, 1.0 / per_second)
