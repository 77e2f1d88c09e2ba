"""How evenly what was kept covers what was asked for; measured after verification, never from the plan."""

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence

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


class CoverageMeter:
    """Counts the samples of one capability as they come."""

    def __init__(self, capability: Capability) -> None:
        self._capability = capability
        self._num_samples = 0
        self._keywords = Counter({keyword.name: 0 for keyword in capability.keywords})
        self._settings: Counter[str] = Counter()
        self._attributes: dict[str, Counter[str]] = {}

    def add(self, sample: Sample) -> None:
        """Count an accepted sample."""
        self._num_samples += 1
        self._keywords[sample.draft.keyword] += 1
        self._settings[sample.draft.setting] += 1
        for name, value in sample.draft.attributes:
            self._attributes.setdefault(name, Counter())[value] += 1

    def add_counts(
        self, keywords: Sequence[str], settings: Mapping[str, int], attributes: Mapping[str, Mapping[str, int]]
    ) -> None:
        """Count accepted samples that were counted before; ``keywords`` has one entry per sample."""
        self._num_samples += len(keywords)
        self._keywords.update(keywords)
        self._settings.update(settings)
        for name, values in attributes.items():
            self._attributes.setdefault(name, Counter()).update(values)

    def read(self) -> Coverage:
        """Return the counts so far."""
        return Coverage(
            capability=self._capability.name,
            num_samples=self._num_samples,
            num_keywords=len(self._capability.keywords),
            keywords=_rarest_first(self._keywords),
            settings=_rarest_first(self._settings),
            attributes={name: _rarest_first(self._attributes[name]) for name in sorted(self._attributes)},
        )


def measure_coverage(samples: Iterable[Sample], capabilities: Sequence[Capability]) -> tuple[Coverage, ...]:
    """Return one entry per capability, in their order; samples of other capabilities are left out."""
    meters = {capability.name: CoverageMeter(capability) for capability in capabilities}
    for sample in samples:
        if sample.draft.capability in meters:
            meters[sample.draft.capability].add(sample)
    return tuple(meter.read() for meter in meters.values())


def _rarest_first(counts: Counter[str]) -> dict[str, int]:
    return dict(sorted(counts.items(), key=lambda entry: (entry[1], entry[0])))
