"""How evenly what was kept covers what was asked for; measured after verification, never from the plan."""

from collections import Counter
from collections.abc import Iterable, Sequence

from stablellava.core.capability import Capability
from stablellava.core.record import Record
from stablellava.core.sample import Sample


class Coverage(Record):
    """Accepted samples of one capability by keyword, setting and attribute."""

    capability: str
    num_samples: int
    num_keywords: int
    """Keywords of the capability."""
    keywords: dict[str, int]
    """Keyword -> accepted samples, zeros included, the rarest first."""
    settings: dict[str, int]
    attributes: dict[str, dict[str, int]]
    """Attribute -> value -> accepted samples."""

    @property
    def missing(self) -> tuple[str, ...]:
        """Keywords without a single sample."""
        return tuple(name for name, count in self.keywords.items() if count == 0)


def measure_coverage(samples: Iterable[Sample], capabilities: Sequence[Capability]) -> tuple[Coverage, ...]:
    """Return one entry per capability, in their order; samples of other capabilities are left out."""
    drafts_of: dict[str, list[Sample]] = {capability.name: [] for capability in capabilities}
    for sample in samples:
        if sample.draft.capability in drafts_of:
            drafts_of[sample.draft.capability].append(sample)
    return tuple(_measure(capability, drafts_of[capability.name]) for capability in capabilities)


def _measure(capability: Capability, samples: list[Sample]) -> Coverage:
    keywords = Counter({keyword.name: 0 for keyword in capability.keywords})
    settings: Counter[str] = Counter()
    attributes: dict[str, Counter[str]] = {}
    for sample in samples:
        keywords[sample.draft.keyword] += 1
        settings[sample.draft.setting] += 1
        for name, value in sample.draft.attributes:
            attributes.setdefault(name, Counter())[value] += 1
    return Coverage(
        capability=capability.name,
        num_samples=len(samples),
        num_keywords=len(capability.keywords),
        keywords=_rarest_first(keywords),
        settings=_rarest_first(settings),
        attributes={name: _rarest_first(attributes[name]) for name in sorted(attributes)},
    )


def _rarest_first(counts: Counter[str]) -> dict[str, int]:
    return dict(sorted(counts.items(), key=lambda entry: (entry[1], entry[0])))
