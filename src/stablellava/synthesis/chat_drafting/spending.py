"""Calls, tokens and cost of a run, counted as replies come, and where to stop.

Nothing of it is part of the data: a resumed run pays for less than one that was never interrupted.
"""

import asyncio
import time
from collections import Counter, defaultdict
from collections.abc import Callable, Iterable
from pathlib import Path

import orjson

from stablellava.backends.prices import load_prices
from stablellava.backends.protocols import ChatModel
from stablellava.config.synthesis import SpendingSettings
from stablellava.core.chat import ChatFailure, ChatReply, ChatRequest
from stablellava.core.errors import ConfigError
from stablellava.core.record import Record
from stablellava.store.files import write_atomic

_TOKENS_PER_PRICE = 1_000_000
_SECONDS_BETWEEN_SAVES = 2.0
_CHARS_PER_TOKEN = 3
"""Fewer than in English text, so that what a call may cost is not stated too low."""


class LimitReached(Exception):
    """The next call might exceed what may be spent; the message says which limit."""


class Spending(Record):
    """What was asked of a chat model and what it cost."""

    num_calls: int = 0
    """Calls that were sent."""
    num_from_cache: int = 0
    """Answers that had been paid for before."""
    num_failed: int = 0
    """Calls that had no answer after every retry."""
    tokens_in: int = 0
    tokens_out: int = 0
    num_unstated: int = 0
    """Answers whose server did not say how many tokens they took."""
    cost: float | None = None
    """In the currency of the prices; null where a price or a token count is not known."""

    def plus(self, other: "Spending") -> "Spending":
        """Return the sum; its cost is known only where both are."""
        counts = {name: getattr(self, name) + getattr(other, name) for name in _COUNTS}
        cost = None if self.cost is None or other.cost is None else self.cost + other.cost
        return Spending(cost=cost, **counts)


_COUNTS = tuple(name for name in Spending.model_fields if name != "cost")


def look_up_prices(settings: SpendingSettings, model: str) -> SpendingSettings:
    """Return the settings with the model's prices out of the table they name, if they name one.

    Raises: ConfigError for a table that cannot be read, or beside prices that are also given.
    """
    if not settings.prices:
        return settings
    if settings.price_in is not None or settings.price_out is not None:
        raise ConfigError("synthesis.spending: give prices (a table) or price_in and price_out, not both")
    table = load_prices(Path(settings.prices))
    price = table.models.get(model)
    note = f"{table.currency}, {table.version}"
    if price is None:
        return settings.model_copy(update={"price_note": f"{note}: no price of {model!r}"})
    return settings.model_copy(update={"price_in": price.input, "price_out": price.output, "price_note": note})


def sum_spending(parts: Iterable[Spending]) -> Spending | None:
    """Return the sum; None of none."""
    total: Spending | None = None
    for part in parts:
        total = part if total is None else total.plus(part)
    return total


class SpendingMeter:
    """Sums up calls per capability and says whether one more fits the limits.

    Args:
        settings: prices and limits.

    Raises: ConfigError if a cost is limited and a price is not known.
    """

    def __init__(self, settings: SpendingSettings) -> None:
        self.has_prices = settings.price_in is not None and settings.price_out is not None
        if settings.max_cost is not None and not self.has_prices:
            raise ConfigError(
                f"synthesis.spending.max_cost={settings.max_cost:g}: a cost needs prices; set "
                "synthesis.spending.price_in and synthesis.spending.price_out, per million tokens"
            )
        self._settings = settings
        self._counts: dict[str, Counter[str]] = defaultdict(Counter)
        self._num_calls = 0
        self._tokens = [0, 0]
        self._unstated_cost = 0.0

    @property
    def by_capability(self) -> dict[str, Spending]:
        """What each capability took so far, by name."""
        return {name: self._spending(self._counts[name]) for name in sorted(self._counts)}

    @property
    def total(self) -> Spending:
        return self._spending(sum(self._counts.values(), Counter()))

    def find_reached_limit(self, num_open: int, reserved: float, expected_cost: float) -> str:
        """Return which limit one more call would break, in words, or nothing.

        Args:
            num_open: calls on their way.
            reserved: what those may cost.
            expected_cost: what the call may cost.
        """
        max_calls, max_cost = self._settings.max_calls, self._settings.max_cost
        if max_calls is not None and self._num_calls + num_open >= max_calls:
            return f"synthesis.spending.max_calls={max_calls:,} is reached"
        spent = self.cost_of(*self._tokens) + self._unstated_cost
        if max_cost is not None and spent + reserved + expected_cost > max_cost:
            return f"synthesis.spending.max_cost={max_cost:g} might be passed by the next call; {spent:.4g} is spent"
        return ""

    def count(self, capability: str, answer: ChatReply | ChatFailure, bound_cost: float = 0.0) -> None:
        """Count an answer, or a call without one.

        Where the server does not say what an answer took, the most that it may have cost counts towards the limit.
        """
        counts = self._counts[capability]
        if isinstance(answer, ChatFailure):
            counts["num_failed"] += 1
            counts["num_calls"] += 1
            self._num_calls += 1
            return
        stamp = answer.stamp
        if stamp.from_cache:
            counts["num_from_cache"] += 1
            return
        counts["num_calls"] += 1
        self._num_calls += 1
        if stamp.tokens_in is None or stamp.tokens_out is None:
            counts["num_unstated"] += 1
            self._unstated_cost += bound_cost
            return
        counts["tokens_in"] += stamp.tokens_in
        counts["tokens_out"] += stamp.tokens_out
        self._tokens[0] += stamp.tokens_in
        self._tokens[1] += stamp.tokens_out

    def cost_of(self, tokens_in: float, tokens_out: float) -> float:
        """Return the price of so many tokens; 0 where no price is known."""
        price_in, price_out = self._settings.price_in or 0.0, self._settings.price_out or 0.0
        return (tokens_in * price_in + tokens_out * price_out) / _TOKENS_PER_PRICE

    def _spending(self, counts: Counter[str]) -> Spending:
        is_known = self.has_prices and not counts["num_unstated"]
        cost = self.cost_of(counts["tokens_in"], counts["tokens_out"]) if is_known else None
        return Spending(cost=cost, **{name: counts[name] for name in _COUNTS})


class MeteredChat:
    """A chat model that counts its calls and refuses those that might pass a limit.

    Stands between the model and the cache: what the cache answers costs nothing and is never refused. A request's id
    begins with the capability it is counted for ("animal/...").
    """

    def __init__(self, chat: ChatModel, meter: SpendingMeter) -> None:
        self._chat = chat
        self._meter = meter
        self._num_open = 0
        self._reserved = 0.0
        self._settled = asyncio.Event()
        self.name = chat.name
        self.revision = chat.revision
        self.max_in_flight = chat.max_in_flight

    async def ask(self, request: ChatRequest) -> ChatReply | ChatFailure:
        """Return the model's answer. Raises: BackendFailed, LimitReached."""
        expected = self._bound_cost(request)
        # What open calls may cost is more than what they will; and whoever hears of a limit may drop what is open.
        while reached := self._meter.find_reached_limit(self._num_open, self._reserved, expected):
            if not self._num_open:
                raise LimitReached(reached)
            self._settled.clear()
            await self._settled.wait()
        self._num_open += 1
        self._reserved += expected
        try:
            answer = await self._chat.ask(request)
        finally:
            self._num_open -= 1
            self._reserved = self._reserved - expected if self._num_open else 0.0
            self._settled.set()
        self._meter.count(capability_counted(request), answer, expected)
        return answer

    async def close(self) -> None:
        await self._chat.close()

    def _bound_cost(self, request: ChatRequest) -> float:
        if not self._meter.has_prices:
            return 0.0
        num_chars = sum(len(message.text) for message in request.messages)
        return self._meter.cost_of(num_chars / _CHARS_PER_TOKEN, request.max_tokens)


def capability_counted(request: ChatRequest) -> str:
    """Return the capability that a call is counted for."""
    return request.request_id.partition("/")[0]


class SpendingFile:
    """The sums of all starts of a run, this one included as far as it has come.

    Args:
        path: of the file.
        meter: of this start.
        clock: gives seconds.
    """

    def __init__(self, path: Path, meter: SpendingMeter, clock: Callable[[], float] = time.monotonic) -> None:
        self._path = path
        self._meter = meter
        self._clock = clock
        self._earlier = read_file(path)
        self._saved_at = clock()

    def save_now_and_then(self) -> None:
        """Save if that is some seconds ago: a start that is killed has its last calls missing, no more."""
        if self._clock() - self._saved_at >= _SECONDS_BETWEEN_SAVES:
            self.save()

    def save(self) -> dict[str, Spending]:
        """Write the sums, and return them. Raises: RecordError (full disk)."""
        sums = dict(self._earlier)
        for name, spending in self._meter.by_capability.items():
            sums[name] = sums[name].plus(spending) if name in sums else spending
        write_atomic(self._path, orjson.dumps({name: sums[name].model_dump() for name in sorted(sums)}) + b"\n")
        self._saved_at = self._clock()
        return sums


def read_file(path: Path) -> dict[str, Spending]:
    """Return the sums that SpendingFile wrote; none if there is no file."""
    if not path.is_file():
        return {}
    return {name: Spending(**entry) for name, entry in orjson.loads(path.read_bytes()).items()}
