"""From scores of good and bad pairs to a threshold, with what it will cost and find."""

import math
from collections.abc import Sequence

from stablellava.core.errors import ConfigError
from stablellava.core.record import Record
from stablellava.core.shares import wilson_bounds


class Calibration(Record):
    """A threshold and how it does on the pairs it was picked from (or, better, on others)."""

    threshold: float
    """Scores below it are dropped."""
    num_good: int
    num_bad: int
    recall: float
    """Bad pairs that are dropped."""
    recall_interval: tuple[float, float]
    """95 %, Wilson."""
    false_drops: float
    """Good pairs that are dropped."""
    false_drops_interval: tuple[float, float]
    precision: float | None
    """Bad pairs among all that are dropped; None if nothing is."""
    num_unscored: int = 0
    """Pairs without a score: never dropped, counted as missed when bad."""


def pick_threshold(
    scores: Sequence[float | None], is_good: Sequence[bool], max_false_drops: float = 0.05
) -> Calibration:
    """Return the highest threshold that drops at most a share of the good pairs.

    Raises: ConfigError without good and bad pairs that have a score.
    """
    good = sorted(score for score, fine in zip(scores, is_good, strict=True) if fine and score is not None)
    num_bad = sum(score is not None and not fine for score, fine in zip(scores, is_good, strict=True))
    if not good or not num_bad:
        raise ConfigError(
            f"a threshold needs scored pairs of both kinds, and {len(good)} good and {num_bad} bad ones of "
            f"{len(scores)} have a score; look at more pairs (-n), or label more"
        )
    threshold = good[min(math.floor(max_false_drops * sum(is_good)), len(good) - 1)]
    return measure_threshold(scores, is_good, threshold)


def measure_threshold(scores: Sequence[float | None], is_good: Sequence[bool], threshold: float) -> Calibration:
    """Return how a given threshold does on labelled pairs."""
    is_dropped = [score is not None and score < threshold for score in scores]
    pairs = list(zip(is_dropped, is_good, strict=True))
    num_good = sum(is_good)
    num_bad = len(pairs) - num_good
    found = sum(dropped and not fine for dropped, fine in pairs)
    lost = sum(dropped and fine for dropped, fine in pairs)
    return Calibration(
        threshold=threshold,
        num_good=num_good,
        num_bad=num_bad,
        recall=found / num_bad if num_bad else 0.0,
        recall_interval=wilson_bounds(found, num_bad),
        false_drops=lost / num_good if num_good else 0.0,
        false_drops_interval=wilson_bounds(lost, num_good),
        precision=found / (found + lost) if found + lost else None,
        num_unscored=sum(score is None for score in scores),
    )
