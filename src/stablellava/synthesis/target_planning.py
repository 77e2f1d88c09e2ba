"""Planning towards targets: the emptiest cells first, never more slots than a cell has room, within a budget.

The contract with a round loop, for a capability with targets::

    planner = TargetedPlanner(planner, axes, num_wanted, max_drafts_per_sample)
    requests = planner.plan_round(round_index, num_slots, tally)     # as Planner; an empty plan ends the capability
    outcomes = planner.settle(outcomes)     # in planned order, duplicates dropped, before they are committed
    planner.explain_shortfalls()            # at the end

It keeps count of its own plans, so rounds have to be planned and settled in order, also when a run is taken up again.
"""

import math
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass

from stablellava.core.capability import Capability, Keyword
from stablellava.core.draft import DraftRequest
from stablellava.core.ids import hash_id, seed_from
from stablellava.core.sample import Rejected, Sample, Verdict, turn_down
from stablellava.synthesis.planning import Planner, Tally
from stablellava.synthesis.targets import (
    REST,
    Axis,
    CellCounts,
    CellShortfall,
    drafted_cell,
    planned_value,
)

Outcome = Sample | Rejected
OVER_TARGET = "over_target"
"""Reason of rejects that are right but one too many for their cell."""
_HOPELESS_AFTER = 3
"""A keyword without a target none of whose first so many drafts stood is left out as long as others stand."""


@dataclass(frozen=True)
class _Choice:
    keyword: Keyword
    setting: str
    cells: tuple[tuple[str, str], ...]
    """(attribute, cell) of every axis."""
    wishes: tuple[tuple[str, str], ...]


class TargetedPlanner:
    """Plans the rounds of one capability towards its targets.

    Args:
        planner: names slots, knows keywords and their settings.
        axes: the targets.
        num_wanted: accepted samples of the capability.
        max_drafts_per_sample: budget of every cell and of the capability.
    """

    def __init__(self, planner: Planner, axes: Sequence[Axis], num_wanted: int, max_drafts_per_sample: float) -> None:
        self._planner = planner
        self._axes = tuple(axes)
        self._counts = {axis.attribute: CellCounts() for axis in self._axes}
        self._max_drafts_per_sample = max_drafts_per_sample
        self._budget = math.ceil(max_drafts_per_sample * num_wanted)
        self._num_drafted = 0
        self._num_drafts_of: Counter[str] = Counter()
        self._open: dict[str, tuple[tuple[str, str], ...]] = {}
        """Draft id -> the cells it was meant for, until it is settled."""

    @property
    def capability(self) -> Capability:
        return self._planner.capability

    def plan_round(self, round_index: int, num_slots: int, tally: Tally) -> list[DraftRequest]:
        """Return at most one request per slot; none when every cell is full or out of budget."""
        planned: Counter[tuple[str, str]] = Counter()
        planned_keywords: Counter[str] = Counter()
        requests: list[DraftRequest] = []
        for slot in range(min(num_slots, self._budget - self._num_drafted)):
            choice = self._choose(planned, planned_keywords, tally)
            if choice is None:
                break
            name = choice.keyword.name
            position = tally.num_accepted + slot
            request = self._planner.request(round_index, slot, name, choice.setting, position)
            requests.append(_wish(request, choice.wishes))
            planned.update(choice.cells)
            planned_keywords[name] += 1
            self._num_drafts_of[name] += 1
            self._open[requests[-1].draft_id] = choice.cells
            for attribute, cell in choice.cells:
                self._counts[attribute].drafted[cell] += 1
        self._num_drafted += len(requests)
        return requests

    def settle(self, outcomes: Sequence[Outcome]) -> list[Outcome]:
        """Count the outcomes in planned order; samples whose cell is full by then come back as rejects."""
        return [self._settle(outcome) for outcome in outcomes]

    def explain_shortfalls(self) -> tuple[CellShortfall, ...]:
        """Return the cells that have fewer samples than wanted."""
        return tuple(
            CellShortfall(
                capability=self.capability.name,
                attribute=axis.attribute,
                value=cell,
                wanted=wanted,
                accepted=counts.accepted[cell],
                num_drafts=counts.drafted[cell],
                rejected=_most_frequent_first(counts.rejected.get(cell, Counter())),
                budget_spent=self._is_spent(axis, cell) or self._num_drafted >= self._budget,
            )
            for axis, counts in ((axis, self._counts[axis.attribute]) for axis in self._axes)
            for cell, wanted in axis.wanted.items()
            if counts.accepted[cell] < wanted
        )

    def _settle(self, outcome: Outcome) -> Outcome:
        meant = self._open.pop(outcome.sample_id if isinstance(outcome, Sample) else outcome.draft_id, ())
        if isinstance(outcome, Sample):
            cells = [(axis, drafted_cell(axis, self.capability, outcome.draft)) for axis in self._axes]
            full = [
                entry
                for entry in cells
                if self._counts[entry[0].attribute].accepted[entry[1]] >= entry[0].wanted[entry[1]]
            ]
            if not full:
                for axis, cell in cells:
                    self._counts[axis.attribute].accepted[cell] += 1
                return outcome
            outcome = turn_down(outcome, _over_target(*full[0]))
        for attribute, cell in meant:
            self._counts[attribute].rejected.setdefault(cell, Counter())[outcome.reason] += 1
        return outcome

    def _choose(
        self, planned: Counter[tuple[str, str]], planned_keywords: Counter[str], tally: Tally
    ) -> _Choice | None:
        """Return the keyword and setting whose cells are emptiest, counting what this round has planned."""
        best: tuple[tuple[float, int, int, int], _Choice] | None = None
        wished = self._choose_wishes(planned)
        if wished is None:
            return None
        for name in self._standing(tally):
            keyword = self.capability.find_keyword(name) or Keyword(name=name)
            found = self._choose_setting(keyword, planned)
            if found is not None:
                fill, setting, cells = found
                rank = self._planner.rank(name)
                order = (fill, tally.accepted[name] + planned_keywords[name], self._num_drafts_of[name], rank)
                if best is None or order < best[0]:
                    best = order, _Choice(keyword, setting, (*cells, *wished), tuple(w for w in wished if w[1] != REST))
        return best[1] if best else None

    def _choose_setting(
        self, keyword: Keyword, planned: Counter[tuple[str, str]]
    ) -> tuple[float, str, tuple[tuple[str, str], ...]] | None:
        """Return how full the keyword's emptiest setting is, the setting and the cells; None without room."""
        settings = self._planner.settings_by_keyword[keyword.name]
        start = self._num_drafts_of[keyword.name]
        has_say = any(axis.attribute == "setting" for axis in self._axes)
        best: tuple[float, str, tuple[tuple[str, str], ...]] | None = None
        for offset in range(len(settings) if has_say else 1):
            setting = settings[(start + offset) % len(settings)]
            values = ((axis, planned_value(axis.attribute, self.capability, keyword, setting)) for axis in self._axes)
            cells = [(axis, axis.cell_of(value)) for axis, value in values if value is not None]
            fills = [self._fill(axis, cell, planned) for axis, cell in cells]
            if None not in fills:
                fill = sum(fill for fill in fills if fill is not None)
                if best is None or fill < best[0]:
                    best = fill, setting, tuple((axis.attribute, cell) for axis, cell in cells)
        return best

    def _choose_wishes(self, planned: Counter[tuple[str, str]]) -> tuple[tuple[str, str], ...] | None:
        """Return the emptiest cell of every axis that only drafts decide; None if one has no room left."""
        chosen = []
        any_keyword = self.capability.keywords[0]
        for axis in self._axes:
            if planned_value(axis.attribute, self.capability, any_keyword, "") is None:
                fills = {cell: self._fill(axis, cell, planned) for cell in axis.wanted}
                known = {cell: fill for cell, fill in fills.items() if fill is not None}
                if not known:
                    return None
                chosen.append((axis.attribute, min(known, key=lambda cell: (known[cell], cell))))
        return tuple(chosen)

    def _fill(self, axis: Axis, cell: str, planned: Counter[tuple[str, str]]) -> float | None:
        """Return the filled share of a cell, slots planned in this round included; None if it has no room."""
        counts, wanted = self._counts[axis.attribute], axis.wanted[cell]
        held = counts.accepted[cell] + planned[axis.attribute, cell]
        return None if held >= wanted or self._is_spent(axis, cell) else held / wanted

    def _is_spent(self, axis: Axis, cell: str) -> bool:
        return self._counts[axis.attribute].drafted[cell] >= math.ceil(self._max_drafts_per_sample * axis.wanted[cell])

    def _standing(self, tally: Tally) -> list[str]:
        """Return the keywords that may be drafted; those without a target only while there is hope."""
        targeted = next((axis.wanted for axis in self._axes if axis.attribute == "keyword"), {})
        names = list(self._planner.settings_by_keyword)
        is_hopeless = {
            name: not tally.accepted[name] and self._num_drafts_of[name] >= _HOPELESS_AFTER for name in names
        }
        hopeful = [name for name in names if name in targeted or not is_hopeless[name]]
        return hopeful or names


def _wish(request: DraftRequest, wishes: tuple[tuple[str, str], ...]) -> DraftRequest:
    """Return the request with its wishes; they have a say in its id and seed."""
    if not wishes:
        return request
    draft_id = hash_id(request.draft_id, "wishes", wishes)
    return request.model_copy(
        update={"draft_id": draft_id, "seed": seed_from(draft_id, "draft"), "wishes": wishes},
    )


def _over_target(axis: Axis, cell: str) -> Verdict:
    value = f"{axis.attribute} {cell}" if cell else f"any {axis.attribute} without a target"
    detail = f"{value} has its {axis.wanted[cell]} samples"
    return Verdict(filter_name="coverage_target", kept=False, reason=OVER_TARGET, detail=detail)


def _most_frequent_first(reasons: Counter[str]) -> dict[str, int]:
    return dict(sorted(reasons.items(), key=lambda entry: (-entry[1], entry[0])))
