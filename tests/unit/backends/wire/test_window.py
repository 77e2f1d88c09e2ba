"""The window against simulated servers, in virtual time."""

import asyncio
import heapq
from collections.abc import Callable

import pytest

from stablellava.backends.adapters.wire.window import AdaptiveWindow
from stablellava.core.ids import share_of

Server = Callable[[int, int], tuple[float, bool]]
"""(number of the call, calls inside) -> (seconds it takes, whether it is refused)."""


def drive(server: Server, num_calls: int, max_size: int = 256) -> list[float]:
    """Keep the window full; return its size after every call."""

    async def run() -> list[float]:
        now = 0.0
        window = AdaptiveWindow(max_size, lambda: now)
        inside: list[tuple[float, int, float, bool]] = []
        sizes: list[float] = []
        for number in range(num_calls):
            while len(inside) >= int(window.size):
                now, _, seconds, was_refused = heapq.heappop(inside)
                window.leave(None if was_refused else seconds, was_refused)
                sizes.append(window.size)
            await window.enter()
            seconds, was_refused = server(number, len(inside))
            heapq.heappush(inside, (now + seconds, number, seconds, was_refused))
        return sizes

    return asyncio.run(run())


def average(values: list[float]) -> float:
    return sum(values) / len(values)


def test_constant_latency_leaves_the_window_open() -> None:
    sizes = drive(lambda number, inside: (0.2, False), 5000)

    assert sizes[400] == 256
    assert min(sizes[400:]) == 256


def test_noisy_latency_leaves_the_window_open() -> None:
    sizes = drive(lambda number, inside: (0.05 + share_of(number), False), 8000)

    assert average(sizes[1000:]) > 250


def test_stray_refusals_cost_little() -> None:
    sizes = drive(lambda number, inside: (0.2, share_of(number) < 0.05), 20_000)

    assert average(sizes[2000:]) > 180


def test_a_server_with_a_limit_is_found_out() -> None:
    sizes = drive(lambda number, inside: (0.2, inside > 40), 20_000)

    assert 30 < average(sizes[5000:]) < 60


def test_a_server_that_queues_instead_of_refusing_is_found_out() -> None:
    """Forty slots of 0.2 s; whatever is above waits its turn, so latency grows and throughput does not."""
    sizes = drive(lambda number, inside: (0.2 * max(1.0, inside / 20), False), 20_000)

    assert 20 <= average(sizes[5000:]) < 130


def test_answers_that_get_longer_do_not_shrink_the_window_for_long() -> None:
    sizes = drive(lambda number, inside: (0.2 if number < 4000 else 0.7, False), 12_000)

    assert average(sizes[8000:]) > 250


def test_a_window_never_closes() -> None:
    sizes = drive(lambda number, inside: (0.2, True), 2000, max_size=16)

    assert min(sizes) >= 1


def test_a_caller_that_gives_up_waiting_leaves_no_place_behind() -> None:
    async def run() -> None:
        window = AdaptiveWindow(1)
        await window.enter()
        waiting = [asyncio.create_task(window.enter()) for _ in range(3)]
        await asyncio.sleep(0)
        window.leave(0.1)  # gives the place to the first, which is cancelled before it runs
        waiting[0].cancel()
        waiting[1].cancel()
        await asyncio.wait_for(waiting[2], 1)
        assert [task.cancelled() for task in waiting] == [True, True, False]

    asyncio.run(run())


@pytest.mark.parametrize("max_size", [1, 3, 8])
def test_a_small_window_begins_within_its_bound(max_size: int) -> None:
    assert AdaptiveWindow(max_size).size <= max_size
