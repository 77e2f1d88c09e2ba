"""Which samples share a batch and a row, by their real number of tokens."""

import heapq
from collections.abc import Sequence


def spread(lengths: Sequence[int], num_bins: int) -> list[list[int]]:
    """Return the places of ``lengths`` in bins of about equal sums; the longest is placed first, bins keep the order.

    Every bin gets one place before any gets two, so a bin is empty only when there are too few.
    """
    bins: list[list[int]] = [[] for _ in range(num_bins)]
    filled = [(0, 0, number) for number in range(num_bins)]
    for place in sorted(range(len(lengths)), key=lambda place: (-lengths[place], place)):
        tokens, count, number = heapq.heappop(filled)
        bins[number].append(place)
        heapq.heappush(filled, (tokens + lengths[place], count + 1, number))
    return [sorted(places) for places in bins]


def fill_rows(lengths: Sequence[int], capacity: int) -> list[list[int]]:
    """Return the places of ``lengths`` in few rows of at most ``capacity`` tokens, first fit by falling length.

    A sample longer than the capacity has a row of its own.
    """
    rows: list[list[int]] = []
    room: list[int] = []
    for place in sorted(range(len(lengths)), key=lambda place: (-lengths[place], place)):
        chosen = next((row for row, left in enumerate(room) if lengths[place] <= left), len(rows))
        if chosen == len(rows):
            rows.append([])
            room.append(capacity)
        rows[chosen].append(place)
        room[chosen] -= lengths[place]
    return rows
