"""Going through finished data once more: stricter checks, duplicates, benchmark items.

The data it reads stay as they are; what passes is written to a folder of its own, what does not stands there
among the rejects with its reason.
"""

from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import closing
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from stablellava.capabilities import load_known
from stablellava.config.verifying import VerifySettings
from stablellava.core.capability import Keyword
from stablellava.core.record import Record
from stablellava.core.sample import Rejected, Sample, Verdict
from stablellava.filters.base import Candidate, Check
from stablellava.filters.benchmark_items import BenchmarkIndex, BenchmarkMatch, content_words
from stablellava.store.images import image_path
from stablellava.store.look_alikes import LookAlikes
from stablellava.store.manifest import (
    DATA_SCHEMA_VERSION,
    lock_folder,
    open_manifest,
    read_manifest,
)
from stablellava.store.shards import list_shards, read_samples, read_shard
from stablellava.synthesis.derived_data import commit_data
from stablellava.synthesis.duplicates import Duplicate, DuplicateFinder, DuplicateKind, TextPair, count_kinds
from stablellava.synthesis.further_checks import FurtherChecks
from stablellava.synthesis.making import reject

Progress = Callable[[int, int], None]
DROPPED_KINDS: tuple[DuplicateKind, ...] = ("exact_pair", "near_pair", "near_image")


@dataclass(frozen=True)
class FilterPolicy:
    """What is asked of every sample.

    Attributes:
        checks: of the text, by their names in the report.
        further: checks of the pictures, asked about what the others let pass.
        min_overlap: least overlap of shingles that makes texts near-duplicates.
        dropped_kinds: duplicates that are dropped; the other kinds are only counted.
        benchmarks: pictures and questions to stay clear of; None asks nothing.
        description: the checks' settings, for the new data's fingerprint (JSON values).
        capabilities: of the data, as its settings name them; built-in ones need not be named.
    """

    checks: tuple[Check, ...] = ()
    further: VerifySettings | None = None
    min_overlap: float = 0.8
    dropped_kinds: tuple[DuplicateKind, ...] = DROPPED_KINDS
    benchmarks: BenchmarkIndex | None = None
    description: dict[str, Any] = field(default_factory=dict)
    capabilities: tuple[str, ...] = ()


class FilterReport(Record):
    """What was found in a data folder."""

    data_dir: str
    out_dir: str
    """Empty: nothing was written."""
    asked: tuple[str, ...]
    """What every sample was asked, in this order."""
    num_samples: int
    num_kept: int
    dropped: dict[str, int]
    """Reason -> samples, the most frequent first."""
    duplicates: dict[str, int]
    """Kind -> samples, those that were only counted included."""
    examples: tuple[Duplicate, ...]
    benchmark_matches: tuple[tuple[str, str, str, float], ...]
    """(sample, kind, benchmark item, score)."""


_NUM_EXAMPLES = 20
_MAX_OWN_USES = 3
"""A question that the data ask of more pictures is a form of theirs, and no benchmark's."""


class _Sieve:
    """Judges samples in their order; what it kept decides on what follows."""

    def __init__(self, data_dir: Path, policy: FilterPolicy) -> None:
        self._data_dir = data_dir
        self._policy = policy
        self._finder = DuplicateFinder(policy.min_overlap)
        self._pictures = LookAlikes()
        self.capabilities = load_known(policy.capabilities)
        self._further = FurtherChecks(policy.further, data_dir)
        self._own_uses = _count_questions(data_dir) if policy.benchmarks else Counter[frozenset[str]]()
        self.num_samples = 0
        self.dropped: Counter[str] = Counter()
        self.duplicates: list[Duplicate] = []
        self.matches: list[tuple[str, BenchmarkMatch]] = []

    def judge(self, samples: Sequence[Sample]) -> list[Sample | Rejected]:
        asked = self._ask_checks(samples)
        # What a check drops must not make a later sample a repeat of something that is not there.
        standing = [s for s in samples if all(verdict.kept for verdict in asked[s.sample_id])]
        repeats: dict[str, list[Duplicate]] = {}
        for duplicate in self._finder.add([TextPair.from_draft(s.sample_id, s.draft) for s in standing]):
            repeats.setdefault(duplicate.name, []).append(duplicate)
        judged = [self._judge_one(s, asked[s.sample_id], repeats.get(s.sample_id, [])) for s in samples]
        self.num_samples += len(judged)
        self.dropped.update(outcome.reason for outcome in judged if isinstance(outcome, Rejected))
        return judged

    @property
    def asked(self) -> tuple[str, ...]:
        policy = self._policy
        of_pictures = [settings.check for settings in policy.further.checks] if policy.further else []
        benchmarks = ["benchmark_items"] if policy.benchmarks else []
        return (*(check.name for check in policy.checks), *of_pictures, "duplicates", *benchmarks)

    def close(self) -> None:
        """Let go of what the picture checks hold."""
        self._further.close()

    def _ask_checks(self, samples: Sequence[Sample]) -> dict[str, tuple[Verdict, ...]]:
        """Return each sample's verdicts up to the first refusal; pictures are looked at many at a time."""
        verdicts = {sample.sample_id: self._ask_text(sample) for sample in samples}
        standing = [s for s in samples if all(verdict.kept for verdict in verdicts[s.sample_id])]
        looked = self._further.look([self._candidate(sample) for sample in standing])
        for sample, found in zip(standing, looked, strict=True):
            verdicts[sample.sample_id] += found.verdicts
        return verdicts

    def _ask_text(self, sample: Sample) -> tuple[Verdict, ...]:
        verdicts: list[Verdict] = []
        for check in self._policy.checks:
            verdicts.append(check.judge(self._candidate(sample)))
            if not verdicts[-1].kept:
                break
        return tuple(verdicts)

    def _judge_one(self, sample: Sample, asked: tuple[Verdict, ...], repeats: list[Duplicate]) -> Sample | Rejected:
        candidate = self._candidate(sample)
        verdicts = [*sample.verdicts, *asked]
        if asked and not asked[-1].kept:
            return reject(candidate, tuple(verdicts))
        repeats = [*repeats, *self._find_images(sample)]
        self.duplicates.extend(repeats)
        refusal = self._refuse(sample, repeats)
        if refusal:
            return reject(candidate, (*verdicts, refusal))
        for index, painting in enumerate(sample.paintings):
            name = f"{sample.sample_id}/{index}"
            self._pictures.add(name, painting.perceptual_hash, self._path(painting.sha256))
        return sample.model_copy(update={"verdicts": tuple(verdicts)})

    def _refuse(self, sample: Sample, repeats: list[Duplicate]) -> Verdict | None:
        for duplicate in repeats:
            if duplicate.kind in self._policy.dropped_kinds:
                return Verdict(
                    filter_name="duplicates", kept=False, reason=duplicate.kind, detail=f"of {duplicate.first}",
                    score=duplicate.overlap, threshold=self._policy.min_overlap,
                )  # fmt: skip
        match = self._match_benchmark(sample)
        if match is None:
            return None
        self.matches.append((sample.sample_id, match))
        return Verdict(
            filter_name="benchmark_items", kept=False, reason=match.kind, detail=match.name, score=match.score
        )

    def _find_images(self, sample: Sample) -> Iterable[Duplicate]:
        """Yield one duplicate if every picture of the sample looks like one of an earlier sample's."""
        same = [
            self._pictures.find(painting.perceptual_hash, self._path(painting.sha256)) for painting in sample.paintings
        ]
        found = [match for match in same if match]
        if found and len(found) == len(same):
            first = found[0][0].partition("/")[0]
            yield Duplicate(kind="near_image", name=sample.sample_id, first=first, overlap=1 - found[0][1] / 255)

    def _match_benchmark(self, sample: Sample) -> BenchmarkMatch | None:
        index = self._policy.benchmarks
        if index is None:
            return None
        for painting in sample.paintings:
            if match := index.match_image(self._path(painting.sha256), painting.perceptual_hash):
                return match
        questions = (turn.text for turn in sample.draft.turns if turn.speaker == "user")
        rare = (question for question in questions if self._own_uses[content_words(question)] <= _MAX_OWN_USES)
        return next((match for question in rare if (match := index.match_question(question))), None)

    def _candidate(self, sample: Sample) -> Candidate:
        capability = self.capabilities.get(sample.draft.capability)
        found = capability.find_keyword(sample.draft.keyword) if capability else None
        return Candidate(sample.draft, found or Keyword(name=sample.draft.keyword), sample.paintings)

    def _path(self, sha256: str) -> Path:
        return image_path(self._data_dir, sha256)


def _count_questions(data_dir: Path) -> Counter[frozenset[str]]:
    return Counter(
        content_words(turn.text)
        for sample in read_samples(data_dir)
        for turn in sample.draft.turns
        if turn.speaker == "user"
    )


def filter_data(
    data_dir: Path, policy: FilterPolicy, out_dir: Path | None = None, progress: Progress | None = None
) -> FilterReport:
    """Judge every sample of a data folder; with ``out_dir``, write what passes there.

    ``progress`` is told how many shards are done, of how many.

    Raises: RecordError if there are no data, the target holds other data, or the disk is full.
    """
    if out_dir is None:
        with closing(_Sieve(data_dir, policy)) as sieve:
            for _ in _judge_shards(sieve, data_dir, progress):
                pass
            return _report(data_dir, None, sieve)
    source = read_manifest(data_dir)
    inputs = {
        "schema_version": DATA_SCHEMA_VERSION,
        "purpose": "filter",
        "source": source.fingerprint,
        "checks": [check.name for check in policy.checks],
        "min_overlap": policy.min_overlap,
        "dropped_kinds": list(policy.dropped_kinds),
        "benchmarks": policy.benchmarks.fingerprint if policy.benchmarks else None,
        **({"further": policy.further.model_dump(mode="json")} if policy.further else {}),
        **policy.description,
    }
    with lock_folder(out_dir), closing(_Sieve(data_dir, policy)) as sieve:
        manifest = open_manifest(out_dir, inputs, source.attribution)
        commit_data(data_dir, out_dir, manifest, _judge_shards(sieve, data_dir, progress), sieve.capabilities)
        return _report(data_dir, out_dir, sieve)


def _judge_shards(
    sieve: _Sieve, data_dir: Path, progress: Progress | None
) -> Iterator[tuple[str, list[Sample | Rejected]]]:
    shards = list_shards(data_dir)
    for num_done, shard_id in enumerate(shards, start=1):
        yield shard_id, sieve.judge(read_shard(data_dir, shard_id)[0])
        if progress:
            progress(num_done, len(shards))


def _report(data_dir: Path, out_dir: Path | None, sieve: _Sieve) -> FilterReport:
    return FilterReport(
        data_dir=str(data_dir),
        out_dir=str(out_dir or ""),
        asked=sieve.asked,
        num_samples=sieve.num_samples,
        num_kept=sieve.num_samples - sieve.dropped.total(),
        dropped=dict(sorted(sieve.dropped.items(), key=lambda entry: (-entry[1], entry[0]))),
        duplicates=count_kinds(sieve.duplicates),
        examples=tuple(sieve.duplicates[:_NUM_EXAMPLES]),
        benchmark_matches=tuple((name, match.kind, match.name, match.score) for name, match in sieve.matches),
    )
