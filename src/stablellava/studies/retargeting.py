"""From what a model got wrong to the settings of the next run: which capabilities, and which keywords in them.

Paper: 2308.10253v1 stops at its result figure; going back to make what is missing is ours.
"""

from collections import Counter
from collections.abc import Mapping, Sequence
from typing import Any

from stablellava.capabilities import load_capability
from stablellava.config.synthesis import CoverageSettings, TargetSettings
from stablellava.config.training import SourceSettings, StageConfig, StageName
from stablellava.config.tree import RunConfig
from stablellava.core.capability import Capability
from stablellava.core.record import Record
from stablellava.core.score import EvalLog, EvalLogEntry
from stablellava.evaluation.reporting import capability_reports, group_entries
from stablellava.evaluation.tables import Table, format_interval, format_percent
from stablellava.store.layout import RunLayout

MISSED_WEIGHT = 2
"""A keyword that was answered wrongly gets so many times the samples of one that was not."""
NEW_SHARE = 0.25
"""Of a fixed number of draws, the part that is new samples."""
OLD_TIMES = 4
"""How often an old picture counts beside a new one where the projector is solved for."""
_NUM_KEYWORDS_NAMED = 4


class Shortfall(Record):
    """A capability whose share of right answers lies below the target, its whole interval included."""

    capability: str
    value: float
    ci_low: float
    ci_high: float
    num_items: int
    missed: dict[str, int]
    """Keyword -> wrong answers, the most frequent first."""


def find_shortfalls(log: EvalLog, target: float, most: int) -> tuple[Shortfall, ...]:
    """Return the capabilities that fall short, the weakest first.

    One whose interval reaches the target is left out: so few items do not show that it falls short.

    Args:
        log: of a capability suite.
        target: share of right answers to reach, 0 to 1.
        most: so many capabilities at the most.
    """
    entries = group_entries(log.entries, lambda entry: entry.item.capability)
    found = [
        Shortfall(
            capability=name,
            value=report.value,
            ci_low=report.ci_low or 0.0,
            ci_high=report.ci_high,
            num_items=report.num_items,
            missed=_missed_keywords(entries.get(name, [])),
        )
        for name, report in capability_reports(log).items()
        if report.value is not None and report.ci_high is not None and report.ci_high < target
    ]
    return tuple(sorted(found, key=lambda short: (short.value, short.capability))[:most])


def retarget(
    config: RunConfig, layout: RunLayout, stage: str, shortfalls: Sequence[Shortfall], samples_per_capability: int
) -> RunConfig:
    """Return settings of a run that makes what is missing and trains on it beside what the run was trained on.

    The seed moves on, so that drafts differ; held-out combinations are decided by hash and stay held out. Training
    goes on from the measured model.

    Raises: ConfigError for a capability that is neither one of the run's nor built in.
    """
    entries = {load_capability(entry).name: entry for entry in config.synthesis.capabilities}
    names = tuple(entries.get(short.capability, short.capability) for short in shortfalls)
    wanted = [_keyword_target(short, load_capability(name)) for short, name in zip(shortfalls, names, strict=True)]
    targets = tuple(target for target in wanted if target is not None)
    synthesis = config.synthesis.model_copy(
        update={
            "capabilities": names,
            "samples_per_capability": samples_per_capability,
            "coverage": CoverageSettings(targets=targets) if targets else None,
        }
    )
    changes: dict[str, Any] = {
        "model": config.training.model.model_copy(update={"start": str(layout.model_dir(stage))})
    }
    for name in stages_again(config):
        settings: StageConfig = getattr(config.training, name)
        changes[name] = settings.model_copy(update={"sources": _add_new_samples(settings, layout)})
    return config.model_copy(
        update={
            "name": f"{config.name}-next",
            "seed": config.seed + 1,
            "synthesis": synthesis,
            "training": config.training.model_copy(update=changes),
        }
    )


def stages_again(config: RunConfig) -> tuple[StageName, ...]:
    """Return the stages of the next run, align among them where the projector is solved for, which takes seconds."""
    return ("align", "instruct") if config.training.align.method == "closed_form" else ("instruct",)


def shortfall_table(shortfalls: Sequence[Shortfall], target: float, samples_per_capability: int) -> Table:
    """Return what falls short, and how much of it the next run makes."""
    rows = tuple(
        (
            short.capability,
            format_percent(short.value),
            format_interval(short.ci_low, short.ci_high),
            str(short.num_items),
            f"{samples_per_capability:,}",
            ", ".join(list(short.missed)[:_NUM_KEYWORDS_NAMED]),
        )
        for short in shortfalls
    )
    return Table(
        title=f"Below {format_percent(target)} %, the whole interval included",
        headers=("capability", "right %", "95 % interval", "items", "samples next", "most often wrong"),
        rows=rows,
        notes=(f"A keyword that was answered wrongly gets {MISSED_WEIGHT} times the samples of another.",),
    )


def _missed_keywords(entries: Sequence[EvalLogEntry]) -> dict[str, int]:
    wrong = Counter(entry.item.keyword for entry in entries if entry.score.value == 0.0 and entry.item.keyword)
    return dict(sorted(wrong.items(), key=lambda pair: (-pair[1], pair[0])))


def _add_new_samples(stage: StageConfig, layout: RunLayout) -> tuple[SourceSettings, ...]:
    """Return the new samples and what the stage drew from, the run's own samples by their path.

    What is old keeps most of the weight, lest the model forget the rest: few capabilities are new.
    """
    if stage.num_samples is not None:
        amount = {"share": 1.0}
    else:
        amount = {"epochs": OLD_TIMES * stage.num_epochs} if stage.method == "closed_form" else {}
    old = tuple(_keep(source, str(layout.root), amount) for source in stage.sources or (SourceSettings(),))
    old_share = sum(source.share or 0.0 for source in old)
    return (SourceSettings(share=old_share * NEW_SHARE / (1 - NEW_SHARE) or None), *old)


def _keep(source: SourceSettings, root: str, amount: Mapping[str, float]) -> SourceSettings:
    is_given = any(given is not None for given in (source.share, source.epochs, source.samples))
    return source.model_copy(update={"path": source.path or root, **({} if is_given else amount)})


def _keyword_target(short: Shortfall, capability: Capability) -> TargetSettings | None:
    """Return what the missed keywords are to have; None where that would single out none, or all."""
    known = {keyword.name for keyword in capability.keywords}
    missed = [name for name in short.missed if name in known]
    if not missed or len(missed) == len(known):
        return None
    share = MISSED_WEIGHT / (len(known) + (MISSED_WEIGHT - 1) * len(missed))
    return TargetSettings(capability=short.capability, shares=dict.fromkeys(sorted(missed), share))
