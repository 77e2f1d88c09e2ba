"""View models of the pool's rounds: curves of variety, growth, and what the guard said."""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from markupsafe import Markup

from stablellava.studio.curves import Line, rounds_chart
from stablellava.synthesis.diversity import Diversity
from stablellava.synthesis.evolution import RoundRecord


@dataclass(frozen=True)
class VarietyView:
    """One capability's rounds."""

    capability: str
    rounds: tuple[RoundRecord, ...]
    charts: tuple[Markup, ...]
    """None with fewer than two measured rounds."""
    words: str
    has_alarm: bool


def view_variety(rounds: Mapping[str, Sequence[RoundRecord]]) -> tuple[VarietyView, ...]:
    """Return one view per capability, those with an alarm first."""
    views = [_view(name, tuple(records)) for name, records in rounds.items() if records]
    return tuple(sorted(views, key=lambda view: (not view.has_alarm, view.capability)))


def _view(capability: str, records: tuple[RoundRecord, ...]) -> VarietyView:
    collapsed = [record for record in records if record.verdict.collapsed]
    charts = (chart for chart in _draw(records, [_number(record) for record in collapsed]) if chart is not None)
    return VarietyView(
        capability=capability,
        rounds=records,
        charts=tuple(charts),
        words=_in_words(records, collapsed),
        has_alarm=bool(collapsed),
    )


def _draw(records: Sequence[RoundRecord], marked: Sequence[float]) -> list[Markup | None]:
    measured = [(_number(record), record.diversity) for record in records if record.diversity is not None]
    keywords = [(number, math.exp(diversity.keyword_entropy)) for number, diversity in measured]
    grown = [(_number(record), record.pool.num_grown) for record in records]
    size = [
        Line("prompts", [(number, float(prompts)) for number, (prompts, _) in grown], "after"),
        Line("dialogues", [(number, float(dialogues)) for number, (_, dialogues) in grown], "before"),
    ]
    return [
        rounds_chart(_sides(measured, "vendi"), y_label="Vendi score", marked=marked),
        rounds_chart(_sides(measured, "distinct"), y_label="distinct-4", marked=marked),
        rounds_chart(_sides(measured, "self_bleu"), y_label="self-BLEU", marked=marked),
        rounds_chart([Line("keywords", keywords, "after")], y_label="effective number of keywords", marked=marked),
        rounds_chart(size, y_label="grown exemplars in the pool", marked=marked),
    ]


def _sides(measured: Sequence[tuple[float, Diversity]], measure: str) -> list[Line]:
    """Return a line of prompts and one of answers."""
    lines = []
    for name, css_class in (("prompts", "after"), ("answers", "before")):
        values = [(number, getattr(getattr(diversity, name), measure)) for number, diversity in measured]
        lines.append(Line(name, [(x, y[-1] if isinstance(y, tuple) else y) for x, y in values], css_class))
    return lines


def _in_words(records: Sequence[RoundRecord], collapsed: Sequence[RoundRecord]) -> str:
    rounds = f"{len(records)} {'round' if len(records) == 1 else 'rounds'}"
    if not collapsed:
        return f"{rounds}, none collapsed"
    numbers = " and ".join(str(record.round_index + 1) for record in collapsed)
    ended = "; drafting was stopped" if records[-1].action == "stopped" else ""
    return f"{rounds}; collapsed: {numbers}{ended}"


def _number(record: RoundRecord) -> float:
    return float(record.round_index + 1)
