"""Failure signatures: mismatch by capability and painter, repetition, and the kept pairs that scored lowest.

The paper's own critics name mismatched and repetitive pairs as how such data fail.
"""

import heapq
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from itertools import combinations
from pathlib import Path
from typing import Any, TypeVar

from stablellava.core.ids import seed_from
from stablellava.core.matching import split_words
from stablellava.core.sample import Painting, Rejected, Sample
from stablellava.evaluation.statistics import Interval, wilson_interval
from stablellava.store.images import hash_distance
from stablellava.studio.gallery import SampleView, view_stored_sample
from stablellava.synthesis.diversity import Diversity, DraftText, measure_round, text_of

MISMATCH_REASONS = frozenset(
    {
        "keyword_not_drawn", "attribute_on_wrong_thing", "claim_not_drawn", "claim_contradicted",
        "claim_not_borne_out", "picture_disagrees", "low_image_text_score",
    }
)  # fmt: skip
"""Reasons that say that picture and words do not agree."""
_NUM_LOWEST = 6
_NUM_MEASURED = 100
_NUM_REPEATED = 5
_NUM_ALIKE = 3
_HALF_OF_BITS = 32
"""In so many of 64 bits the hashes of unlike pictures differ."""
_Entry = TypeVar("_Entry", bound=tuple[Any, ...])


@dataclass
class QualityDigest:
    """What the section needs of samples and rejects, gathered in one pass over each."""

    painted: Counter[tuple[str, str]] = field(default_factory=Counter)
    """(capability, painter) -> candidates that were painted."""
    mismatched: Counter[tuple[str, str]] = field(default_factory=Counter)
    repainted: Counter[tuple[str, str]] = field(default_factory=Counter)
    """Samples that stood only after a repaint."""
    lowest: dict[str, list[tuple[float, int, Sample]]] = field(default_factory=dict)
    """Filter -> its lowest-scoring kept samples, as a heap of (negated score, tie-breaker, sample)."""
    texts: dict[str, list[tuple[int, DraftText]]] = field(default_factory=dict)
    """Capability -> texts of some samples, as a heap by the hash of the id."""
    painted_samples: dict[str, list[tuple[int, int, Sample]]] = field(default_factory=dict)
    """Capability -> some of its samples with one picture, likewise."""
    prompts: dict[str, Counter[str]] = field(default_factory=dict)

    def watch(self, samples: Iterable[Sample]) -> Iterator[Sample]:
        """Pass the samples on and remember what is needed of them."""
        for sample in samples:
            self._add(sample)
            yield sample

    def add_rejected(self, rejected: Rejected) -> None:
        """Count a reject that was painted."""
        if rejected.paintings:
            key = (rejected.capability, _painter_of(rejected.paintings))
            self.painted[key] += 1
            self.mismatched[key] += rejected.reason in MISMATCH_REASONS

    def _add(self, sample: Sample) -> None:
        draft = sample.draft
        if sample.paintings:
            key = (draft.capability, _painter_of(sample.paintings))
            self.painted[key] += 1
            self.repainted[key] += sample.num_repaints > 0
        for verdict in sample.verdicts:
            if verdict.score is not None:
                entry = (-verdict.score, seed_from(sample.sample_id), sample)
                _keep_greatest(self.lowest.setdefault(verdict.filter_name, []), entry, _NUM_LOWEST)
        texts = self.texts.setdefault(draft.capability, [])
        _keep_greatest(texts, (-seed_from(sample.sample_id, "repetition"), text_of(draft)), _NUM_MEASURED)
        if len(sample.paintings) == 1:
            painted = self.painted_samples.setdefault(draft.capability, [])
            entry_of = (-seed_from(sample.sample_id, "repetition"), self.painted.total(), sample)
            _keep_greatest(painted, entry_of, _NUM_MEASURED)
        self.prompts.setdefault(draft.capability, Counter())[" / ".join(p.text for p in draft.prompts)] += 1


@dataclass(frozen=True)
class MismatchRow:
    """How often a painter's pictures did not show what was asked for."""

    capability: str
    painter: str
    num_painted: int
    num_mismatched: int
    rate: Interval
    num_repainted: int


@dataclass(frozen=True)
class RepetitionRow:
    """How much a capability's kept samples repeat each other."""

    capability: str
    diversity: Diversity
    repeated: tuple[tuple[str, int], ...]
    """Prompts that occur more than once."""


@dataclass(frozen=True)
class AlikeView:
    """Two kept samples that repeat each other more than others do."""

    word_overlap: float
    """Jaccard overlap of their dialogues' words."""
    num_differing_bits: int
    """Of 64 of the pictures' perceptual hashes."""
    cards: tuple[SampleView, SampleView]


@dataclass(frozen=True)
class LowestView:
    """The kept samples that a check liked least."""

    filter_name: str
    cards: tuple[SampleView, ...]


@dataclass(frozen=True)
class QualityView:
    """The section."""

    mismatch: tuple[MismatchRow, ...]
    repetition: tuple[RepetitionRow, ...]
    alike: tuple[AlikeView, ...]
    lowest: tuple[LowestView, ...]


def view_quality(digest: QualityDigest, data_dir: Path) -> QualityView:
    """Return the rows with the highest mismatch and the lowest variety first."""
    mismatch = [_view_mismatch(digest, capability, painter) for capability, painter in digest.painted]
    repetition = [
        RepetitionRow(name, measure_round([text for _, text in texts]), _repeated(digest.prompts[name]))
        for name, texts in digest.texts.items()
    ]
    lowest = [
        LowestView(name, tuple(view_stored_sample(entry[2], data_dir) for entry in sorted(heap, reverse=True)))
        for name, heap in sorted(digest.lowest.items())
    ]
    return QualityView(
        tuple(sorted(mismatch, key=lambda row: (-row.rate.value, row.capability, row.painter))),
        tuple(sorted(repetition, key=lambda row: (row.diversity.prompts.distinct, row.capability))),
        _view_alike(digest, data_dir),
        tuple(lowest),
    )


def _view_alike(digest: QualityDigest, data_dir: Path) -> tuple[AlikeView, ...]:
    """Return the pairs whose words and pictures are both the most alike, at most one pair per capability."""
    pairs = [max(_compare_pairs([entry[-1] for entry in heap]), key=lambda pair: pair[:2], default=None)
             for _, heap in sorted(digest.painted_samples.items())]  # fmt: skip
    found = sorted((pair for pair in pairs if pair), key=lambda pair: pair[:2], reverse=True)
    return tuple(
        AlikeView(overlap, -negated, (view_stored_sample(first, data_dir), view_stored_sample(second, data_dir)))
        for _, negated, overlap, first, second in found[:_NUM_ALIKE]
    )


def _compare_pairs(samples: Sequence[Sample]) -> Iterator[tuple[float, int, float, Sample, Sample]]:
    """Yield likeness, negated bits that differ, overlap of words, and the two samples."""
    words = [frozenset(split_words(" ".join(turn.text for turn in sample.draft.turns))) for sample in samples]
    hashes = [sample.paintings[0].perceptual_hash for sample in samples]
    for first, second in combinations(range(len(samples)), 2):
        union = len(words[first] | words[second])
        overlap = len(words[first] & words[second]) / union if union else 1.0
        bits = hash_distance(hashes[first], hashes[second])
        # Both have to be alike: other words under the same picture repeat nothing.
        yield min(overlap, 1 - bits / _HALF_OF_BITS), -bits, overlap, samples[first], samples[second]


def _view_mismatch(digest: QualityDigest, capability: str, painter: str) -> MismatchRow:
    key = (capability, painter)
    num_painted, num_mismatched = digest.painted[key], digest.mismatched[key]
    rate = wilson_interval(num_mismatched, num_painted)
    return MismatchRow(capability, painter, num_painted, num_mismatched, rate, digest.repainted[key])


def _repeated(prompts: Counter[str]) -> tuple[tuple[str, int], ...]:
    found = [(prompt, count) for prompt, count in prompts.items() if count > 1]
    return tuple(sorted(found, key=lambda entry: (-entry[1], entry[0]))[:_NUM_REPEATED])


def _painter_of(paintings: tuple[Painting, ...]) -> str:
    return paintings[0].stamp.backend


def _keep_greatest(heap: list[_Entry], entry: _Entry, size: int) -> None:
    heapq.heappush(heap, entry)
    if len(heap) > size:
        heapq.heappop(heap)
