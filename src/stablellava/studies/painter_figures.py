"""Two painters' marks on the same drafts as tables: shares and means, with paired differences."""

from collections.abc import Sequence

from stablellava.evaluation.resampling import clustered_mean
from stablellava.evaluation.statistics import Interval, paired_difference
from stablellava.evaluation.tables import Table, format_interval, format_percent

Marks = dict[str, float | None]
_SHARES = frozenset({"painted", "kept", "keyword_drawn", "dialogue_grounded"})


def compare_marks(
    names: tuple[str, str],
    capabilities: Sequence[str],
    first: Sequence[Marks],
    second: Sequence[Marks],
    *,
    seed: int,
    notes: Sequence[str] = (),
) -> tuple[Table, Table]:
    """Return a row per measure with the notes below it, and a row per capability of what passed every check.

    Capabilities and marks have a place per draft.
    """
    measures = list(dict.fromkeys(name for marks in (*first, *second) for name in marks))
    rows = [_row(measure, measure, first, second, seed) for measure in measures]
    by_capability = []
    for capability in dict.fromkeys(capabilities):
        places = [index for index, name in enumerate(capabilities) if name == capability]
        chosen, other = ([marks[index] for index in places] for marks in (first, second))
        by_capability.append(_row(capability, "kept", chosen, other, seed))
    headers = (*names, "difference", "95 % interval", "pairs", "unscored 1", "unscored 2")
    explained = (
        f"Checks in percent, scores as they are; the difference is {names[1]} minus {names[0]}, paired draft by draft.",
        "kept: passed by every check; unscored where a check needs a report and the painter gives none.",
        "Shares: Newcombe's paired score interval. Scores: bootstrap over drafts.",
    )
    return (
        Table(f"{names[0]} and {names[1]}", ("measure", *headers), tuple(rows), (*explained, *notes)),
        Table("Kept, by capability", ("capability", *headers), tuple(by_capability)),
    )


def _row(label: str, measure: str, first: Sequence[Marks], second: Sequence[Marks], seed: int) -> tuple[str, ...]:
    values = [[marks.get(measure) for marks in side] for side in (first, second)]
    pairs = [(a, b) for a, b in zip(*values, strict=True) if a is not None and b is not None]
    scored = [[value for value in side if value is not None] for side in values]
    is_share = measure in _SHARES
    unscored = tuple(str(side.count(None)) for side in values)
    means = tuple(_mean(side, is_share) for side in scored)
    if not pairs:
        return (label, *means, "-", "-", "0", *unscored)
    difference = _share_difference(pairs) if is_share else _score_difference(pairs, seed)
    return (label, *means, *_tell(difference, is_share), str(len(pairs)), *unscored)


def _mean(values: Sequence[float], is_share: bool) -> str:
    if not values:
        return "-"
    if not is_share:
        return f"{sum(values) / len(values):.3f}"
    return format_percent(sum(values) / len(values))


def _share_difference(pairs: Sequence[tuple[float, float]]) -> Interval:
    counts = [sum(pair == wanted for pair in pairs) for wanted in ((1, 1), (0, 1), (1, 0), (0, 0))]
    return paired_difference(*counts)


def _score_difference(pairs: Sequence[tuple[float, float]], seed: int) -> Interval:
    return clustered_mean([b - a for a, b in pairs], [str(index) for index in range(len(pairs))], seed=seed)


def _tell(difference: Interval, is_share: bool) -> tuple[str, str]:
    if is_share:
        return f"{100 * difference.value:+.1f}", format_interval(difference.low, difference.high, signed=True)
    return f"{difference.value:+.3f}", f"{difference.low:+.3f} to {difference.high:+.3f}"
