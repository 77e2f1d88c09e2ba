import asyncio
from pathlib import Path

import pytest

from stablellava.config.synthesis import SpendingSettings
from stablellava.core.chat import ChatFailure, ChatMessage, ChatReply, ChatRequest
from stablellava.core.errors import ConfigError
from stablellava.synthesis.chat_drafting.spending import (
    LimitReached,
    MeteredChat,
    Spending,
    SpendingFile,
    SpendingMeter,
    look_up_prices,
    read_file,
)
from talking import TalkingChat

PRICES = {"price_in": 10_000.0, "price_out": 100_000.0}  # a call of 100 + 10 tokens costs 2


def ask_many(num: int, seconds: float = 0.01, **limits: float) -> tuple[SpendingMeter, int]:
    meter = SpendingMeter(SpendingSettings(**limits))  # type: ignore[arg-type]
    chat = MeteredChat(TalkingChat(lambda _: "{}", seconds=seconds), meter)

    async def ask_all() -> int:
        message = (ChatMessage(role="user", text="x" * 270),)
        calls = (
            chat.ask(ChatRequest(request_id=f"{'ab'[index % 2]}/{index}", messages=message, max_tokens=11))
            for index in range(num)
        )
        results = await asyncio.gather(*calls, return_exceptions=True)
        assert all(not isinstance(result, Exception) or isinstance(result, LimitReached) for result in results)
        return sum(isinstance(result, LimitReached) for result in results)

    return meter, asyncio.run(ask_all())


def test_calls_tokens_and_cost_are_summed_up_by_capability() -> None:
    meter, num_refused = ask_many(6, **PRICES)
    assert num_refused == 0
    assert meter.by_capability["a"] == Spending(num_calls=3, tokens_in=300, tokens_out=30, cost=6.0)
    assert meter.total == Spending(num_calls=6, tokens_in=600, tokens_out=60, cost=12.0)


def test_without_prices_no_cost_is_made_up() -> None:
    meter, _ = ask_many(2)
    assert meter.total.cost is None
    assert meter.total.tokens_in == 200


def test_no_call_more_than_allowed_is_sent() -> None:
    meter, num_refused = ask_many(20, max_calls=7)
    assert meter.total.num_calls == 7
    assert num_refused == 13


def test_a_limited_cost_is_used_but_never_passed() -> None:
    meter, num_refused = ask_many(30, max_cost=21.0, **PRICES)
    assert meter.total.cost is not None
    assert 16.0 <= meter.total.cost <= 21.0
    assert num_refused


class SilentChat(TalkingChat):
    """A server that does not say what its answers took."""

    async def ask(self, request: ChatRequest) -> ChatReply | ChatFailure:
        answer = await super().ask(request)
        assert isinstance(answer, ChatReply)
        unstated = {"tokens_in": None, "tokens_out": None}
        return answer.model_copy(update={"stamp": answer.stamp.model_copy(update=unstated)})


def test_a_limited_cost_holds_where_the_server_states_no_tokens() -> None:
    meter = SpendingMeter(SpendingSettings(max_cost=21.0, **PRICES))
    chat = MeteredChat(SilentChat(lambda _: "{}"), meter)
    asked = ChatRequest(request_id="a/1", messages=(ChatMessage(role="user", text="x" * 270),), max_tokens=11)

    async def ask_on() -> None:
        for _ in range(30):
            await chat.ask(asked)

    with pytest.raises(LimitReached, match="max_cost=21"):
        asyncio.run(ask_on())
    assert 9 <= meter.total.num_unstated <= 11
    assert meter.total.cost is None


def test_a_limited_cost_needs_prices() -> None:
    with pytest.raises(ConfigError, match="price_in"):
        SpendingMeter(SpendingSettings(max_cost=1.0))


def test_failed_calls_count_but_have_no_tokens() -> None:
    meter = SpendingMeter(SpendingSettings())
    chat = MeteredChat(TalkingChat(lambda request: ChatFailure(request_id="", reason="timed_out")), meter)
    asyncio.run(chat.ask(ChatRequest(request_id="a/1", messages=())))
    assert meter.total == Spending(num_calls=1, num_failed=1)


def test_starts_of_a_run_add_up_in_a_file(tmp_path: Path) -> None:
    path = tmp_path / "spending.json"
    first, _ = ask_many(4, **PRICES)
    second, _ = ask_many(2, **PRICES)
    SpendingFile(path, first).save()
    later = SpendingFile(path, second)
    assert later.save() == later.save(), "saved twice, counted once"
    assert read_file(path) == {
        name: first.by_capability[name].plus(second.by_capability[name]) for name in first.by_capability
    }


def test_what_a_killed_start_has_spent_is_in_the_file_but_for_its_last_seconds(tmp_path: Path) -> None:
    path, now = tmp_path / "spending.json", 0.0
    meter, _ = ask_many(4, **PRICES)
    killed = SpendingFile(path, meter, clock=lambda: now)
    killed.save_now_and_then()
    assert read_file(path) == {}
    now = 10.0
    killed.save_now_and_then()
    assert read_file(path) == meter.by_capability


def test_prices_come_out_of_a_table(tmp_path: Path) -> None:
    path = tmp_path / "prices.yaml"
    path.write_text("version: 2026-11\ncurrency: USD\nmodels: {small: {input: 0.15, output: 0.6}}")
    settings = SpendingSettings(prices=str(path))

    found = look_up_prices(settings, "small")
    assert (found.price_in, found.price_out, found.price_note) == (0.15, 0.6, "USD, 2026-11")
    unknown = look_up_prices(settings, "large")
    assert (unknown.price_in, unknown.price_note) == (None, "USD, 2026-11: no price of 'large'")
    with pytest.raises(ConfigError, match="not both"):
        look_up_prices(settings.model_copy(update={"price_in": 1.0}), "small")
