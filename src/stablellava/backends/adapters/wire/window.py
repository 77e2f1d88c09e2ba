"""How many calls are on the wire at once: found by trying, taken back when the server cannot keep up."""

import asyncio
import math
import time
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass

_START_SHARE = 0.25
_MIN_START = 16
_MIN_ROUND = 8
_SUCCESSES_PER_STEP = 25
_SHRINK = 0.25
_FULL_SHRINK_SHARE = 0.5
_STRAY_SHARE = 0.1
_SLOW_FACTOR = 2.0
_LOST_THROUGHPUT = 0.9
_SHORTEST_ROUND_SECONDS = 1e-6


@dataclass(frozen=True)
class _Trial:
    """A window made smaller because answers came late; ``rate`` is answers per second before."""

    size_before: float
    rate: float


class AdaptiveWindow:
    """Additive increase, multiplicative decrease, decided once per round of as many answers as the window is wide.

    The window opens at a quarter of its maximum, where the server shows how fast it can be, and doubles until something
    speaks against it. Afterwards it grows by one per 25 successes. Refusals shrink it in proportion to their share of
    the round, down to three quarters when half were refused: a stray refusal costs little, a burst is one decrease.
    vLLM queues where others refuse, so a round that took twice as long as the best one shrinks the window too; if fewer
    answers per second came back then, the server was not queueing (answers are longer now), and it is restored.
    """

    def __init__(self, max_size: int, clock: Callable[[], float] = time.monotonic) -> None:
        self._max_size = max_size
        self._clock = clock
        self.size = float(min(max_size, max(_MIN_START, int(max_size * _START_SHARE))))
        self._inside = 0
        self._waiters: deque[asyncio.Future[None]] = deque()
        self._best_seconds = math.inf
        self._trial: _Trial | None = None
        self._is_opening = True
        self._is_settling = False
        self._was_full = False
        self._begin_round()

    async def enter(self) -> None:
        """Wait for a place."""
        if self._inside < int(self.size) and not self._waiters:
            self._take_place()
            return
        place = asyncio.get_running_loop().create_future()
        self._waiters.append(place)
        try:
            await place
        except asyncio.CancelledError:
            if not place.cancelled():  # the place was given just before the caller was cancelled
                self._inside -= 1
                self._give_places()
            raise

    def leave(self, seconds: float | None = None, was_refused: bool = False) -> None:
        """Give the place back; ``seconds`` is how long an answer took, None when there was none."""
        self._inside -= 1
        self._num_ended += 1
        if was_refused:
            self._num_refused += 1
        elif seconds is not None:
            self._seconds.append(seconds)
        if self._num_ended >= max(_MIN_ROUND, int(self.size)):
            self._end_round()
        self._give_places()

    def _take_place(self) -> None:
        self._inside += 1
        self._was_full = self._was_full or self._inside >= int(self.size)

    def _give_places(self) -> None:
        while self._waiters and self._inside < int(self.size):
            place = self._waiters.popleft()
            if not place.done():
                self._take_place()
                place.set_result(None)

    def _begin_round(self) -> None:
        self._num_ended = self._num_refused = 0
        self._seconds: list[float] = []
        self._round_began = self._clock()
        self._was_full = self._inside >= int(self.size)

    def _end_round(self) -> None:
        refused_share = self._num_refused / self._num_ended
        step = len(self._seconds) / _SUCCESSES_PER_STEP
        if refused_share > (_STRAY_SHARE if self._is_opening else 0.0):
            self._is_opening = False
            self._resize(self.size + step - self.size * _SHRINK * min(1.0, refused_share / _FULL_SHRINK_SHARE))
        elif self._is_settling:
            self._is_settling = False
        elif self._seconds and not self._judge_speed(sorted(self._seconds)[len(self._seconds) // 2]) and self._was_full:
            self._resize(self.size * 2 if self._is_opening else self.size + step)
        self._begin_round()

    def _judge_speed(self, median: float) -> bool:
        """Shrink or restore by how long answers took; return whether it did either."""
        trial, self._trial = self._trial, None
        rate = len(self._seconds) / max(self._clock() - self._round_began, _SHORTEST_ROUND_SECONDS)
        if trial and rate < trial.rate * _LOST_THROUGHPUT:
            self._best_seconds = median
            self._resize(trial.size_before)
            return True
        self._best_seconds = min(self._best_seconds, median)
        if trial or median <= _SLOW_FACTOR * self._best_seconds:
            return False
        self._is_opening = False
        self._is_settling = True  # the next round still holds answers asked for before
        self._trial = _Trial(self.size, rate)
        self._resize(self.size * (1 - _SHRINK))
        return True

    def _resize(self, size: float) -> None:
        self.size = min(float(self._max_size), max(1.0, size))
