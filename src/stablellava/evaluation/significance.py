"""How many comparisons at once are judged, and how small a difference a number of items can show."""

import math
from collections.abc import Sequence

LEVEL = 0.05
"""Two-sided; the level at which this package calls a difference one that stands."""
_Z_LEVEL = 1.959963984540054
_Z_POWER = 0.8416212335729143
"""Of a power of 80 %."""
_MAX_ROUNDS = 200


def adjust_holm(p_values: Sequence[float]) -> tuple[float, ...]:
    """Return p-values that may each be held against one level, however many there are (Holm 1979).

    The chance that any difference is called real by luck alone stays below the level.
    """
    order = sorted(range(len(p_values)), key=lambda place: p_values[place])
    adjusted = [0.0] * len(p_values)
    largest = 0.0
    for rank, place in enumerate(order):
        largest = max(largest, min(1.0, (len(p_values) - rank) * p_values[place]))
        adjusted[place] = largest
    return tuple(adjusted)


def adjust_benjamini_hochberg(p_values: Sequence[float]) -> tuple[float, ...]:
    """Return p-values that bound the share of differences called real by luck (Benjamini and Hochberg 1995)."""
    order = sorted(range(len(p_values)), key=lambda place: p_values[place], reverse=True)
    adjusted = [0.0] * len(p_values)
    smallest = 1.0
    for rank, place in enumerate(order):
        smallest = min(smallest, p_values[place] * len(p_values) / (len(p_values) - rank))
        adjusted[place] = smallest
    return tuple(adjusted)


def smallest_paired_difference(num_items: int, share_changed: float) -> float:
    """Return the gain that this many items show with 80 % power at the 95 % level, on the same items twice.

    ``share_changed`` is the share of items on which the two differ: the more they differ by chance, the
    larger a gain has to be. Miettinen (1968, Biometrics 24:339). At most 1.

    Raises: ValueError without items.
    """
    if num_items < 1:
        raise ValueError(f"{num_items} items show no difference")
    # Fewer than one changed item could not carry even the evidence for itself.
    changed = max(share_changed, 1 / num_items)
    gain = 0.0
    for _ in range(_MAX_ROUNDS):
        spread = _Z_LEVEL * math.sqrt(changed) + _Z_POWER * math.sqrt(max(changed - gain**2, 0.0))
        gain = 0.5 * gain + 0.5 * spread / math.sqrt(num_items)
    return min(1.0, gain)


def fisher_exact(num_right: int, num_items: int, other_right: int, other_items: int) -> float:
    """Return the two-sided p-value of two equal shares of different items, by Fisher's exact test.

    Tables that are as unlikely as the observed one or more so count.
    """
    total_right, total = num_right + other_right, num_items + other_items
    lowest, highest = max(0, total_right - other_items), min(num_items, total_right)
    ways = [
        math.comb(num_items, right) * math.comb(other_items, total_right - right)
        for right in range(lowest, highest + 1)
    ]
    observed = ways[num_right - lowest]
    return min(1.0, sum(way for way in ways if way <= observed) / math.comb(total, total_right))
