"""Which exemplars a sample's draft was written after, which those were written after, and so on back to the seeds."""

from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from stablellava.core.errors import RecordError
from stablellava.core.record import Record
from stablellava.core.sample import Sample
from stablellava.store.shards import read_samples
from stablellava.synthesis.evolution import read_rounds
from stablellava.synthesis.pool import ExemplarPool, PoolExemplar

ExemplarKind = Literal["prompt", "dialogue"]


class ShownExemplar(Record):
    """An exemplar that a draft was written after, and what its own draft was written after."""

    exemplar_id: str
    kind: ExemplarKind
    keyword: str
    text: str
    draft_id: str
    """The draft it is taken from; empty for a seed."""
    depth: int
    shown: tuple["ShownExemplar", ...] = ()
    """Empty for a seed, and where ``is_repeated``."""
    is_repeated: bool = False
    """Its own exemplars stand where it comes first in the tree."""


class SampleLineage(Record):
    """A sample's ancestors."""

    sample_id: str
    capability: str
    keyword: str
    depth: int
    shown: tuple[ShownExemplar, ...]


class Influence(Record):
    """How far an exemplar reaches."""

    exemplar_id: str
    kind: ExemplarKind
    capability: str
    keyword: str
    text: str
    draft_id: str
    depth: int
    num_shown: int
    """Accepted samples whose draft was shown it."""
    num_descendants: int
    """Accepted samples that it is an ancestor of, those it was shown to included."""


class LineageSummary(Record):
    """Depths and influences over a run."""

    num_samples: int
    depths: dict[int, int]
    """Depth -> accepted samples; 0: written without exemplars of a pool."""
    most_influential: tuple[Influence, ...]
    """Grown exemplars by descendants, the most first; seeds reach everything."""


@dataclass(frozen=True)
class _Known:
    exemplar: PoolExemplar
    kind: ExemplarKind
    capability: str


class Ancestry:
    """The exemplars of a run's pools, and the samples that some of them were taken from.

    Raises: RecordError if the data folder has no samples or is damaged.
    """

    def __init__(self, data_dir: Path) -> None:
        self._data_dir = data_dir
        self._known: dict[str, _Known] = {}
        for records in read_rounds(data_dir).values():
            for record in records:
                self._learn(record.pool)
        sources = {entry.exemplar.draft_id for entry in self._known.values()}
        self._shown_to = {
            sample.sample_id: sample.draft.exemplar_ids
            for sample in read_samples(data_dir)
            if sample.sample_id in sources
        }

    def trace(self, sample_id: str) -> SampleLineage:
        """Return the ancestors of the sample whose id begins like this.

        Raises: RecordError if none or several do.
        """
        found = [sample for sample in read_samples(self._data_dir) if sample.sample_id.startswith(sample_id)]
        if len(found) != 1:
            what = f"{len(found)} samples have ids that begin with" if found else "no accepted sample has the id"
            raise RecordError(f"{self._data_dir}: {what} {sample_id!r}; 'stablellava inspect samples' shows ids")
        draft = found[0].draft
        return SampleLineage(
            sample_id=found[0].sample_id,
            capability=draft.capability,
            keyword=draft.keyword,
            depth=draft.depth,
            shown=self._expand(draft.exemplar_ids, set()),
        )

    def summarize(self, num_influential: int, capabilities: Iterable[str]) -> LineageSummary:
        """Return depths and the most influential exemplars of the capabilities' samples."""
        wanted = set(capabilities)
        depths: Counter[int] = Counter()
        shown: Counter[str] = Counter()
        descendants: Counter[str] = Counter()
        ancestors: dict[str, frozenset[str]] = {}
        for sample in read_samples(self._data_dir):
            if sample.draft.capability in wanted:
                depths[sample.draft.depth] += 1
                shown.update(sample.draft.exemplar_ids)
                descendants.update(self._ancestors_of(sample, ancestors))
        grown = [exemplar_id for exemplar_id in descendants if self._is_grown(exemplar_id)]
        ranked = sorted(grown, key=lambda exemplar_id: (-descendants[exemplar_id], exemplar_id))[:num_influential]
        return LineageSummary(
            num_samples=depths.total(),
            depths=dict(sorted(depths.items())),
            most_influential=tuple(self._weigh(exemplar_id, shown, descendants) for exemplar_id in ranked),
        )

    def _learn(self, pool: ExemplarPool) -> None:
        sides: tuple[tuple[ExemplarKind, tuple[PoolExemplar, ...]], ...] = (
            ("prompt", pool.prompts),
            ("dialogue", pool.dialogues),
        )
        for kind, entries in sides:
            for entry in entries:
                self._known[entry.exemplar_id] = _Known(entry, kind, pool.capability)

    def _find(self, exemplar_id: str) -> _Known:
        if exemplar_id not in self._known:
            raise RecordError(f"{self._data_dir}: no pool holds exemplar {exemplar_id}; is a file of pools/ missing?")
        return self._known[exemplar_id]

    def _expand(self, exemplar_ids: Iterable[str], seen: set[str]) -> tuple[ShownExemplar, ...]:
        nodes = []
        for exemplar_id in exemplar_ids:
            known = self._find(exemplar_id)
            exemplar = known.exemplar
            is_repeated = not exemplar.is_seed and exemplar_id in seen
            seen.add(exemplar_id)
            nodes.append(
                ShownExemplar(
                    exemplar_id=exemplar_id,
                    kind=known.kind,
                    keyword=exemplar.keyword,
                    text=exemplar.text,
                    draft_id=exemplar.draft_id,
                    depth=exemplar.depth,
                    shown=() if is_repeated else self._expand(self._shown_to.get(exemplar.draft_id, ()), seen),
                    is_repeated=is_repeated,
                )
            )
        return tuple(nodes)

    def _ancestors_of(self, sample: Sample, known: dict[str, frozenset[str]]) -> frozenset[str]:
        return frozenset().union(*(self._reach(exemplar_id, known) for exemplar_id in sample.draft.exemplar_ids))

    def _reach(self, exemplar_id: str, known: dict[str, frozenset[str]]) -> frozenset[str]:
        """Return the exemplar and all its ancestors; a draft is only ever shown earlier ones, so this ends."""
        if exemplar_id not in known:
            own = self._shown_to.get(self._find(exemplar_id).exemplar.draft_id, ())
            known[exemplar_id] = frozenset({exemplar_id}).union(*(self._reach(one, known) for one in own))
        return known[exemplar_id]

    def _is_grown(self, exemplar_id: str) -> bool:
        return not self._find(exemplar_id).exemplar.is_seed

    def _weigh(self, exemplar_id: str, shown: Mapping[str, int], descendants: Mapping[str, int]) -> Influence:
        known = self._find(exemplar_id)
        return Influence(
            exemplar_id=exemplar_id,
            kind=known.kind,
            capability=known.capability,
            keyword=known.exemplar.keyword,
            text=known.exemplar.text,
            draft_id=known.exemplar.draft_id,
            depth=known.exemplar.depth,
            num_shown=shown.get(exemplar_id, 0),
            num_descendants=descendants[exemplar_id],
        )
