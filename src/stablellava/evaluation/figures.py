"""A share, or a difference of shares, with its interval."""

from stablellava.core.record import Record
from stablellava.evaluation.statistics import Interval


class Figure(Record):
    """A share, or a difference of shares, with its 95 % interval."""

    value: float
    low: float
    high: float

    @classmethod
    def from_interval(cls, interval: Interval) -> "Figure":
        return cls(value=interval.value, low=interval.low, high=interval.high)

    def to_interval(self) -> Interval:
        return Interval(self.value, self.low, self.high)

    @property
    def is_above_zero(self) -> bool:
        return self.low > 0

    @property
    def is_below_zero(self) -> bool:
        return self.high < 0


def format_points(figure: Figure) -> str:
    """Return a difference in percentage points with its interval."""
    low, high = 100 * figure.low, 100 * figure.high
    return f"{100 * figure.value:+.1f} points (95 % interval {low:+.1f} to {high:+.1f})"
