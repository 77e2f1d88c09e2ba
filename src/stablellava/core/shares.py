"""How sure a share of so many items is."""

import math

Z_95 = 1.959963984540054


def wilson_bounds(successes: int, total: int) -> tuple[float, float]:
    """Return the ends of the 95 % Wilson score interval of a share; nothing is known without items: 0 and 1."""
    if total < 1:
        return 0.0, 1.0
    share = successes / total
    z_squared = Z_95**2
    scale = 1 + z_squared / total
    center = (share + z_squared / (2 * total)) / scale
    spread = share * (1 - share) / total + z_squared / (4 * total**2)
    half_width = Z_95 * math.sqrt(spread) / scale
    return max(0.0, center - half_width), min(1.0, center + half_width)
