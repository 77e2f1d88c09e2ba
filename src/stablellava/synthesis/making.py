"""One shard from start to end: write, check the text, paint, check the picture, repaint what a check refused."""

import time
from dataclasses import dataclass, field
from pathlib import Path

from stablellava.backends.catalog import build_backend
from stablellava.backends.protocols import Writer
from stablellava.config.synthesis import SynthesisSettings
from stablellava.core.capability import Keyword
from stablellava.core.chat import PASSING_FAILURES
from stablellava.core.draft import Draft, DraftRequest
from stablellava.core.sample import Painting, PaintRefusal, Rejected, Sample, Verdict
from stablellava.filters.base import Candidate
from stablellava.filters.lexicon import Lexicon
from stablellava.store.cleaning import journal_path
from stablellava.store.images import PictureRefused
from stablellava.store.journal import ShardJournal
from stablellava.synthesis.drafting import write_drafts
from stablellava.synthesis.further_checks import FurtherChecks
from stablellava.synthesis.painting import Easel, PaintOutcome, build_painter, paint_jobs
from stablellava.synthesis.taking import GivenDraft, reject_given, take_pictures
from stablellava.synthesis.verifying import build_checks, judge_all

Outcome = Sample | Rejected


@dataclass(frozen=True)
class ShardTask:
    """The unit of work and of commit. Its slots are requests to be written, or what an import brought."""

    shard_id: str
    requests: tuple[DraftRequest, ...] = ()
    imported: tuple[GivenDraft | Rejected, ...] = ()


@dataclass
class ShardResult:
    """Outcomes in planned order; duplicates are not yet dropped. Seconds never reach the data."""

    outcomes: list[Outcome]
    seconds: dict[str, float] = field(default_factory=dict)
    num_painted: int = 0


@dataclass(frozen=True)
class MakerSetup:
    """All a worker process needs to build its task."""

    data_dir: Path
    settings: SynthesisSettings
    lexicon: Lexicon
    has_writer: bool = True


@dataclass
class _Slot:
    """A draft on its way."""

    draft: Draft
    keyword: Keyword
    text_verdicts: tuple[Verdict, ...]
    attempt: int = 0


class ShardMaker:
    """Builds its backends once and then makes shards."""

    def __init__(self, setup: MakerSetup) -> None:
        self._setup = setup
        settings = setup.settings
        self._writer: Writer | None = None
        if setup.has_writer:
            self._writer = build_backend("writer", settings.writer.backend, settings.writer.options)
        self._painter = build_painter(settings)
        self._checks = build_checks(setup.lexicon)
        self._further = FurtherChecks(settings.verify, setup.data_dir)

    def __call__(self, task: ShardTask) -> ShardResult:
        """Return the outcome of every slot. Raises: BackendFailed, RecordError (full disk)."""
        journal = ShardJournal(journal_path(self._setup.data_dir, task.shard_id))
        started = time.perf_counter()
        drafts = self._collect_drafts(task, journal)
        drafted = time.perf_counter()
        outcomes: dict[int, Outcome] = {}
        slots: dict[int, _Slot] = {}
        for index, entry in enumerate(drafts):
            self._check_text(index, entry, slots, outcomes)
        painting_seconds, num_painted = 0.0, 0
        if self._painter is not None:
            easel = Easel(self._painter, self._setup.data_dir, journal)
            painting_seconds = self._paint_and_check(easel, slots, outcomes)
            num_painted = easel.num_painted
        ended = time.perf_counter()
        seconds = {"draft": drafted - started, "paint": painting_seconds, "verify": ended - drafted - painting_seconds}
        return ShardResult([outcomes[index] for index in sorted(outcomes)], seconds, num_painted)

    def close(self) -> None:
        """Let go of what the checks hold open."""
        self._further.close()

    def _collect_drafts(self, task: ShardTask, journal: ShardJournal) -> list[GivenDraft | Rejected]:
        entries: list[GivenDraft | Rejected] = list(task.imported)
        if task.requests:
            assert self._writer is not None
            written = write_drafts(self._writer, task.requests, journal)
            for request, result in zip(task.requests, written, strict=True):
                entries.append(result if isinstance(result, Rejected) else GivenDraft(result, request.keyword))
        return entries

    def _check_text(
        self, index: int, entry: GivenDraft | Rejected, slots: dict[int, _Slot], outcomes: dict[int, Outcome]
    ) -> None:
        if isinstance(entry, Rejected):
            outcomes[index] = entry
            return
        try:
            paintings = take_pictures(entry, self._setup.data_dir)
        except PictureRefused as exc:
            outcomes[index] = reject_given(entry, exc)
            return
        candidate = Candidate(entry.draft, entry.keyword, paintings)
        verdicts, refusing = judge_all((*self._checks.of_text, *self._further.of_text), candidate)
        if refusing:
            outcomes[index] = reject(candidate, verdicts)
        elif paintings or self._painter is None:
            outcomes[index] = _accept(candidate, verdicts, 0)
        else:
            slots[index] = _Slot(entry.draft, entry.keyword, verdicts)

    def _paint_and_check(self, easel: Easel, slots: dict[int, _Slot], outcomes: dict[int, Outcome]) -> float:
        """Paint, judge and repaint until every slot has its outcome; return the seconds spent painting."""
        seconds = 0.0
        while slots:
            jobs = {
                index: paint_jobs(slot.draft, slot.attempt, self._setup.settings.size_px)
                for index, slot in slots.items()
            }
            started = time.perf_counter()
            painted = iter(easel.paint([job for of_slot in jobs.values() for job in of_slot]))
            seconds += time.perf_counter() - started
            judged = {
                index: self._judge_pictures(slots[index], [next(painted) for _ in of_slot])
                for index, of_slot in jobs.items()
            }
            for index, outcome in self._look_further(slots, judged).items():
                if outcome is None:
                    slots[index].attempt += 1
                else:
                    outcomes[index] = outcome
                    del slots[index]
        return seconds

    def _look_further(self, slots: dict[int, _Slot], judged: dict[int, Outcome | None]) -> dict[int, Outcome | None]:
        """Put what passed so far to the checks that take many candidates at a time."""
        passed = {index: outcome for index, outcome in judged.items() if isinstance(outcome, Sample)}
        candidates = [Candidate(sample.draft, slots[i].keyword, sample.paintings) for i, sample in passed.items()]
        looked = self._further.look(candidates)
        for (index, sample), candidate, found in zip(passed.items(), candidates, looked, strict=True):
            verdicts = (*sample.verdicts, *found.verdicts)
            may_repaint = slots[index].attempt < self._setup.settings.max_repaints
            if found.refusing is None:
                judged[index] = sample.model_copy(update={"verdicts": verdicts})
            elif found.refusing.is_cured_by_repainting and may_repaint:
                judged[index] = None
            else:
                judged[index] = reject(candidate, verdicts)
        return judged

    def _judge_pictures(self, slot: _Slot, painted: list[PaintOutcome]) -> Outcome | None:
        """Return what becomes of the slot; None asks for another attempt."""
        may_repaint = slot.attempt < self._setup.settings.max_repaints
        paintings = tuple(outcome for outcome in painted if isinstance(outcome, Painting))
        candidate = Candidate(slot.draft, slot.keyword, paintings)
        for outcome in painted:
            if isinstance(outcome, PaintRefusal):
                if outcome.reason in PASSING_FAILURES and may_repaint:
                    return None
                return _reject_unpainted(candidate, outcome.reason, outcome.phrase, slot.text_verdicts)
            if isinstance(outcome, Verdict):
                verdicts = (*slot.text_verdicts, outcome)
                return None if may_repaint else reject(candidate, verdicts)
        readable = Verdict(filter_name="image_readable", kept=True)
        judged, refusing = judge_all(self._checks.of_picture, candidate)
        verdicts = (*slot.text_verdicts, readable, *judged)
        if refusing is None:
            return _accept(candidate, verdicts, slot.attempt)
        if refusing.is_cured_by_repainting and may_repaint:
            return None
        return reject(candidate, verdicts)


def build_maker(setup: MakerSetup) -> ShardMaker:
    """Return the task of a worker process."""
    return ShardMaker(setup)


def reject(candidate: Candidate, verdicts: tuple[Verdict, ...]) -> Rejected:
    """Return the candidate as a reject of its last verdict."""
    return Rejected(
        draft_id=candidate.draft.draft_id,
        capability=candidate.draft.capability,
        keyword=candidate.draft.keyword,
        stage="verify",
        reason=verdicts[-1].reason,
        detail=verdicts[-1].detail,
        draft=candidate.draft,
        paintings=candidate.paintings,
        verdicts=verdicts,
    )


def _reject_unpainted(candidate: Candidate, reason: str, detail: str, verdicts: tuple[Verdict, ...]) -> Rejected:
    return reject(candidate, (Verdict(filter_name="painter", kept=False, reason=reason, detail=detail),)).model_copy(
        update={"stage": "paint", "verdicts": verdicts}
    )


def _accept(candidate: Candidate, verdicts: tuple[Verdict, ...], num_repaints: int) -> Sample:
    return Sample(
        sample_id=candidate.draft.draft_id,
        draft=candidate.draft,
        paintings=candidate.paintings,
        verdicts=verdicts,
        num_repaints=num_repaints,
    )
