"""How far raters agree beyond chance, by the plain definitions.

Cohen 1960 (Educational and Psychological Measurement 20:37) for two raters, Fleiss 1971 (Psychological Bulletin
76:378) for more. Where chance alone gives full agreement, because everybody always said the same, there is no kappa.
"""

from collections import Counter
from collections.abc import Hashable, Sequence


def observed_agreement(rows: Sequence[Sequence[Hashable]]) -> float | None:
    """Return the share of agreeing pairs of raters, averaged over the rows; one row per item, one label per rater."""
    if not rows:
        return None
    return sum(_agreeing_share(row) for row in rows) / len(rows)


def cohen_kappa(rows: Sequence[tuple[Hashable, Hashable]]) -> float | None:
    """Return Cohen's kappa of two raters, one row per item that both rated."""
    observed = observed_agreement(rows)
    if observed is None:
        return None
    first, second = (Counter(row[rater] for row in rows) for rater in (0, 1))
    expected = sum(first[label] * second[label] for label in first) / len(rows) ** 2
    return _beyond_chance(observed, expected)


def fleiss_kappa(rows: Sequence[Sequence[Hashable]]) -> float | None:
    """Return Fleiss' kappa, one row per item with the labels of the same number of raters.

    Raises: ValueError if rows differ in length or hold fewer than two labels.
    """
    if len({len(row) for row in rows}) > 1 or any(len(row) < 2 for row in rows):
        raise ValueError("Fleiss' kappa needs the same number of labels for every item, at least two")
    observed = observed_agreement(rows)
    if observed is None:
        return None
    counts = Counter(label for row in rows for label in row)
    expected = sum((count / counts.total()) ** 2 for count in counts.values())
    return _beyond_chance(observed, expected)


def _agreeing_share(row: Sequence[Hashable]) -> float:
    num_pairs = len(row) * (len(row) - 1)
    return sum(count * (count - 1) for count in Counter(row).values()) / num_pairs


def _beyond_chance(observed: float, expected: float) -> float | None:
    # Both are sums of fractions: exactly 1 where one label is all there is.
    return None if expected >= 1.0 else (observed - expected) / (1.0 - expected)
