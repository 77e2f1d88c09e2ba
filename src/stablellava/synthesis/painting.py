"""One paint job per prompt; pictures are stored and journaled as soon as they are there."""

from collections.abc import Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from pathlib import Path

from stablellava.backends.catalog import build_backend
from stablellava.backends.protocols import Painter, StreamingPainter
from stablellava.config.synthesis import SynthesisSettings
from stablellava.core.draft import Draft
from stablellava.core.errors import BackendFailed
from stablellava.core.ids import hash_id, seed_from
from stablellava.core.sample import Painted, Painting, PaintJob, PaintRefusal, Verdict
from stablellava.filters.image_readable import judge_bytes
from stablellava.store.images import Picture, store_image
from stablellava.store.journal import ShardJournal

PaintOutcome = Painting | PaintRefusal | Verdict
"""A picture, the painter's refusal, or why the bytes it gave are no picture."""
_JOBS_PER_CALL = 16
"""Bounds memory and what an interrupt can cost; a painter may split it further."""


def build_painter(settings: SynthesisSettings) -> Painter | None:
    """Return the painter of a run, or None where drafts stay without pictures.

    Raises: ConfigError, BackendMissing.
    """
    if settings.painter is None:
        return None
    painter: Painter = build_backend("painter", settings.painter.backend, settings.painter.options)
    return painter


def paint_jobs(draft: Draft, attempt: int, size_px: int) -> list[PaintJob]:
    """Return one job per prompt; every attempt has its own seeds."""
    jobs = []
    for index, prompt in enumerate(draft.prompts):
        painting_id = hash_id(draft.draft_id, "painting", index, attempt)
        jobs.append(
            PaintJob(
                painting_id=painting_id,
                text=prompt.text,
                emphasis=prompt.emphasis,
                negative=prompt.negative,
                seed=seed_from(painting_id, "paint"),
                width_px=size_px,
                height_px=size_px,
            )
        )
    return jobs


def describe_painting(job: PaintJob, painted: Painted, picture: Picture) -> Painting:
    """Return the record of a picture that was decoded."""
    return Painting(
        painting_id=job.painting_id,
        sha256=picture.sha256,
        width_px=picture.width_px,
        height_px=picture.height_px,
        seed=job.seed,
        perceptual_hash=picture.perceptual_hash,
        drawn=painted.drawn,
        ignored=painted.ignored,
        # Seconds, and where a picture came from, differ from run to run and data must not.
        stamp=painted.stamp.model_copy(update={"seconds": None, "from_cache": False}),
    )


class Easel:
    """Paints into a data folder; what the shard's journal holds is not painted again."""

    def __init__(self, painter: Painter, data_dir: Path, journal: ShardJournal) -> None:
        self._painter = painter
        self._data_dir = data_dir
        self._journal = journal
        self.num_painted = 0

    def paint(self, jobs: Sequence[PaintJob]) -> list[PaintOutcome]:
        """Return one outcome per job, in their order.

        Raises: BackendFailed if the painter does not answer every job.
        """
        # Batches are cut before journaled jobs are left out, so that a resumed run paints the same ones together.
        open_batches = [batch for batch in _batches(jobs) if any(map(self._is_open, batch))]
        with ThreadPoolExecutor(max_workers=1) as storing:
            stored: Future[None] | None = None
            for batch, results in zip(open_batches, self._paint_batches(open_batches), strict=True):
                # One batch is stored while the next is painted, and no more than one waits.
                if stored:
                    stored.result()
                stored = storing.submit(self._keep_batch, batch, results)
        if stored:
            stored.result()
        self.num_painted += sum(map(len, open_batches))
        return [self._from_journal(job.painting_id) for job in jobs]

    def _paint_batches(self, batches: list[Sequence[PaintJob]]) -> Iterator[list[Painted | PaintRefusal]]:
        if isinstance(self._painter, StreamingPainter):
            return self._painter.paint_batches(batches)
        return map(self._painter.paint, batches)

    def _keep_batch(self, batch: Sequence[PaintJob], results: list[Painted | PaintRefusal]) -> None:
        if len(results) != len(batch):
            raise BackendFailed(f"painter {self._painter.name!r} gave {len(results)} results for {len(batch)} jobs")
        kept = [
            (job.painting_id, self._keep(job, result))
            for job, result in zip(batch, results, strict=True)
            if self._is_open(job)
        ]
        self._journal.add([(name, {type(outcome).__name__: outcome.model_dump(mode="json")}) for name, outcome in kept])

    def _is_open(self, job: PaintJob) -> bool:
        return self._journal.find(job.painting_id) is None

    def _keep(self, job: PaintJob, result: Painted | PaintRefusal) -> PaintOutcome:
        if isinstance(result, PaintRefusal):
            return result
        verdict, picture = judge_bytes(result.image, job.width_px, job.height_px)
        if picture is None:
            return verdict
        store_image(self._data_dir, result.image, picture)
        return describe_painting(job, result, picture)

    def _from_journal(self, painting_id: str) -> PaintOutcome:
        entry = self._journal.find(painting_id)
        assert entry is not None
        ((kind, value),) = entry.items()
        kinds: dict[str, type[Painting] | type[PaintRefusal] | type[Verdict]] = {
            "Painting": Painting, "PaintRefusal": PaintRefusal, "Verdict": Verdict,
        }  # fmt: skip
        return kinds[kind].model_validate(value)


def _batches(jobs: Sequence[PaintJob]) -> Iterator[Sequence[PaintJob]]:
    for start in range(0, len(jobs), _JOBS_PER_CALL):
        yield jobs[start : start + _JOBS_PER_CALL]
