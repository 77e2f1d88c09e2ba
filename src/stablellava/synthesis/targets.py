"""How many accepted samples each value of an attribute is to have: settings made exact, and cells counted."""

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from stablellava.config.synthesis import CoverageSettings, TargetSettings
from stablellava.core.capability import Capability, Keyword
from stablellava.core.draft import Draft
from stablellava.core.errors import ConfigError
from stablellava.core.matching import first_match
from stablellava.core.record import Record
from stablellava.core.suggesting import suggest_name

REST = ""
"""The cell of all values that a target does not name."""
_KEYWORD_PROPERTIES = ("keyword", "group", "subject")
_NUM_REASONS_NAMED = 3


@dataclass(frozen=True)
class Axis:
    """The cells of one attribute; their numbers add up to the samples wanted of the capability."""

    attribute: str
    wanted: Mapping[str, int]
    """Cell -> accepted samples; REST for all values not named."""

    def cell_of(self, value: str) -> str:
        """Return the cell that a value falls into."""
        return value if value in self.wanted else REST


class CellShortfall(Record):
    """A cell that could not be filled."""

    capability: str
    attribute: str
    value: str
    """Empty: all values that no target names."""
    wanted: int
    accepted: int
    num_drafts: int
    rejected: dict[str, int]
    """Reason -> drafts meant for this cell, the most frequent first."""
    budget_spent: bool

    @property
    def words(self) -> str:
        """A plain statement of what is missing and why."""
        cell = f"{self.attribute} {self.value}" if self.value else f"any other {self.attribute}"
        named = [f"{reason} {count}" for reason, count in self.rejected.items()][:_NUM_REASONS_NAMED]
        why = (
            f"rejected: {', '.join(named)}" if named else "its drafts came out as other values" * bool(self.num_drafts)
        )
        spent = ", its budget" if self.budget_spent else ""
        told = f"; {why}" if why else "; nothing that is left to draft may have it"
        return f"{cell}: {self.accepted} of {self.wanted} after {self.num_drafts} drafts{spent}{told}"


@dataclass
class CellCounts:
    """What became of the drafts of one axis."""

    accepted: Counter[str] = field(default_factory=Counter)
    drafted: Counter[str] = field(default_factory=Counter)
    """Drafts meant for a cell, whatever they turned out to be."""
    rejected: dict[str, Counter[str]] = field(default_factory=dict)
    """Cell -> reasons."""


def resolve_targets(
    settings: CoverageSettings,
    capability: Capability,
    settings_by_keyword: Mapping[str, Sequence[str]],
    num_wanted: int,
) -> tuple[Axis, ...]:
    """Return one axis per targeted attribute of the capability; targets that name it go before general ones.

    Args:
        settings: the run's targets.
        capability: whose samples are counted.
        settings_by_keyword: what may be planned.
        num_wanted: accepted samples of the capability.

    Raises: ConfigError for values that the capability does not have, or that ask for more than there will be.
    """
    chosen: dict[str, TargetSettings] = {}
    for target in settings.targets:
        if target.capability in ("", capability.name):
            held = chosen.get(target.attribute)
            if held is not None and held.capability == target.capability:
                raise ConfigError(
                    f"synthesis.coverage.targets: {target.attribute} of {capability.name!r} has two targets; put their "
                    "values into one"
                )
            if held is None or target.capability:
                chosen[target.attribute] = target
    axes = (_to_axis(target, capability, settings_by_keyword, num_wanted) for target in chosen.values())
    return tuple(axis for axis in axes if set(axis.wanted) != {REST})


def check_targets(settings: CoverageSettings, capabilities: Sequence[str]) -> None:
    """Raise ConfigError for a target of a capability that the run does not have."""
    for target in settings.targets:
        if target.capability and target.capability not in capabilities:
            raise ConfigError(
                f"synthesis.coverage.targets: no capability {target.capability!r} in this run. "
                f"{suggest_name(target.capability, capabilities)}"
            )


def planned_value(attribute: str, capability: Capability, keyword: Keyword, setting: str) -> str | None:
    """Return the value that keyword and setting decide; None for what the draft decides."""
    known = {
        "keyword": keyword.name,
        "setting": setting,
        "group": keyword.group,
        "subject": keyword.subject or keyword.name,
        capability.name: keyword.short_answer,
    }
    return known.get(attribute)


def drafted_cell(axis: Axis, capability: Capability, draft: Draft) -> str:
    """Return the cell that a draft falls into.

    Where keyword and setting do not decide, the draft's own attribute does; a draft that states none has the value
    that its prompts name first.
    """
    keyword = capability.find_keyword(draft.keyword) or Keyword(name=draft.keyword)
    value = planned_value(axis.attribute, capability, keyword, draft.setting)
    if value is None:
        value = dict(draft.attributes).get(axis.attribute)
    if value is None:
        named = [name for name in axis.wanted if name != REST]
        value = first_match(" ".join(prompt.text for prompt in draft.prompts), named) or REST
    return axis.cell_of(value)


def _to_axis(
    target: TargetSettings, capability: Capability, settings_by_keyword: Mapping[str, Sequence[str]], num_wanted: int
) -> Axis:
    place = f"synthesis.coverage.targets: {target.attribute} of {capability.name!r}"
    both = sorted(target.counts.keys() & target.shares.keys())
    if both:
        raise ConfigError(f"{place}: {both[0]!r} has a count and a share; give one")
    wanted = dict(target.counts) | _share_out(target.shares, num_wanted)
    low = sorted(name for name in wanted if wanted[name] < 0)
    if low:
        raise ConfigError(f"{place}: {low[0]!r} is to have {wanted[low[0]]} samples; 0 or more works")
    known = _known_values(target.attribute, capability, settings_by_keyword)
    if known is not None:
        unknown = sorted(wanted.keys() - known)
        if unknown and target.capability:
            raise ConfigError(f"{place}: no {unknown[0]!r} to draft. {suggest_name(unknown[0], known)}")
        wanted = {name: count for name, count in wanted.items() if name in known}
    total = sum(wanted.values())
    if total > num_wanted:
        raise ConfigError(
            f"{place} asks for {total} samples of {num_wanted}; raise samples_per_capability or ask for less"
        )
    if known is not None and wanted.keys() == known and total < num_wanted:
        raise ConfigError(
            f"{place} names every value but asks for {total} samples of {num_wanted}; let them add up, or leave one out"
        )
    return Axis(target.attribute, {**wanted, REST: num_wanted - total})


def _share_out(shares: Mapping[str, float], num_wanted: int) -> dict[str, int]:
    """Return whole numbers that add up to the shares' sum of the total, the largest remainders rounded up."""
    exact = {name: share * num_wanted for name, share in shares.items()}
    counts = {name: int(value) for name, value in exact.items()}
    missing = round(sum(exact.values())) - sum(counts.values())
    for name in sorted(exact, key=lambda name: (counts[name] - exact[name], name))[:missing]:
        counts[name] += 1
    return counts


def _known_values(
    attribute: str, capability: Capability, settings_by_keyword: Mapping[str, Sequence[str]]
) -> set[str] | None:
    """Return all values that can be planned; None where the draft decides."""
    found: set[str] = set()
    for name, settings in settings_by_keyword.items():
        keyword = capability.find_keyword(name) or Keyword(name=name)
        for setting in settings:
            value = planned_value(attribute, capability, keyword, setting)
            if value is None:
                return None
            found.add(value)
    return found
