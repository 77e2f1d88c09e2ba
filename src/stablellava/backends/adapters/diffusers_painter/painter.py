"""The painter `diffusers`: paints in batches, and encodes one batch while it paints the next."""

import os
from collections.abc import Iterable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from pathlib import Path
from typing import Any, Self

from PIL import Image

from stablellava.backends.adapters.diffusers_painter.canvas import RawPicture
from stablellava.backends.adapters.diffusers_painter.options import read_options
from stablellava.backends.adapters.diffusers_painter.prompting import PlannedText
from stablellava.backends.adapters.diffusers_painter.session import Files, Session
from stablellava.backends.adapters.diffusers_painter.stamping import encode_picture, hash_pixels
from stablellava.backends.adapters.diffusers_painter.weights import Weights
from stablellava.core.draft import CallStamp
from stablellava.core.ids import hash_id
from stablellava.core.sample import Painted, PaintJob, PaintRefusal

_MAX_ENCODERS = 4

Result = Painted | PaintRefusal
_Pending = Result | Future[Painted]


class DiffusersPainter:
    """Paints with any text-to-image pipeline of diffusers; takes the options of ``PainterOptions``.

    Weights are found when ``revision`` is asked for and read when the first picture is painted.

    Paper: 2308.10253v1, section 3 (Stable Diffusion; the released script paints SDXL in float16, one at a time).
    Departs: paints in batches, each picture from a seed of its own, and writes into it what it was painted from;
    double brackets become weights.

    Raises: ConfigError for an option that cannot be.
    """

    name = "diffusers"

    def __init__(self, **options: Any) -> None:
        self._options = read_options(options)
        self._session = Session(self._options)
        self._encoders = ThreadPoolExecutor(max_workers=min(os.cpu_count() or 1, _MAX_ENCODERS))

    @classmethod
    def from_pipeline(cls, pipeline: Any, model_revision: str, **options: Any) -> Self:
        """Return a painter around a pipeline that is built already.

        Args:
            pipeline: on any device; it is moved to the one that the options choose.
            model_revision: stands for the pipeline's weights in stamps and in ``revision``.
            options: as in the constructor; ``model`` is a name for the stamps.
        """
        painter = cls(**options)
        weights = Weights(Path(), painter._options.model, model_revision, is_local=True)
        painter._session = Session(painter._options, pipeline, Files(weights))
        return painter

    @property
    def attribution(self) -> str:
        """The line of the data card. What may be done with the pictures, the model's licence says."""
        given = self._options.attribution
        return f"Pictures painted by {self._session.files.model.name}." if given is None else given

    @property
    def revision(self) -> str:
        """Changes with weights, options, libraries, kind of device and number format.

        Raises: ConfigError, BackendFailed if the weights are not to be found.
        """
        options = self._options
        return hash_id(self._session.options_hash, options.batch_size, options.pad_batches, options.unsafe)

    @property
    def session(self) -> Session:
        """What the painter works with."""
        return self._session

    def paint(self, jobs: Sequence[PaintJob]) -> list[Result]:
        """Return one result per job, in their order.

        A picture is the same in every batch up to the order in which kernels add numbers up, which changes with
        how many are painted at once: single pixels may differ by a level. ``pad_batches`` rules that out.

        Raises: BackendFailed, BackendMissing, ConfigError when weights cannot be read or nothing can be painted.
        """
        [results] = self.paint_batches([jobs])
        return results

    def paint_batches(self, batches: Iterable[Sequence[PaintJob]]) -> Iterator[list[Result]]:
        """Yield what ``paint`` would return for each batch; one is encoded while the next is painted."""
        waiting: list[_Pending] | None = None
        for jobs in batches:
            try:
                painted = self._paint_all(jobs)
            except Exception:
                if waiting is not None:  # what is painted already is not lost
                    yield _gather(waiting)
                raise
            if waiting is not None:
                yield _gather(waiting)
            waiting = painted
        if waiting is not None:
            yield _gather(waiting)

    def _paint_all(self, jobs: Sequence[PaintJob]) -> list[_Pending]:
        canvas = self._session.canvas
        results: dict[int, _Pending] = {}
        shapes: dict[tuple[int, int, int], dict[int, PlannedText]] = {}
        for index, job in enumerate(jobs):
            plan = canvas.reading.plan(job)
            if isinstance(plan, str):
                results[index] = PaintRefusal(painting_id=job.painting_id, reason="prompt_too_long", phrase=plan)
            else:
                shapes.setdefault(plan.shape, {})[index] = plan
        for planned in shapes.values():
            for index, raw in zip(planned, canvas.paint(list(planned.values())), strict=True):
                results[index] = self._accept(jobs[index], raw)
        return [results[index] for index in range(len(jobs))]

    def _accept(self, job: PaintJob, raw: RawPicture) -> _Pending:
        if raw.safety == "flagged" and self._options.unsafe == "refuse":
            return PaintRefusal(painting_id=job.painting_id, reason="unsafe_image")
        return self._encoders.submit(self._finish, job, raw)

    def _finish(self, job: PaintJob, raw: RawPicture) -> Painted:
        """Scale, stamp and encode; runs in a thread, beside the painting of what comes next."""
        picture = raw.picture
        if picture.size != (job.width_px, job.height_px):
            picture = picture.resize((job.width_px, job.height_px), Image.Resampling.LANCZOS)
        stamp = self._session.stamp(job, raw, hash_pixels(picture))
        return Painted(
            painting_id=job.painting_id,
            image=encode_picture(picture, stamp, self._options.image_format, self._options.webp_quality),
            drawn=None,
            stamp=CallStamp(
                backend=self.name,
                model=stamp.model,
                revision=stamp.model_revision,
                options_hash=stamp.options_hash,
                seed=job.seed,
            ),
        )


def _gather(results: Sequence[_Pending]) -> list[Result]:
    return [result.result() if isinstance(result, Future) else result for result in results]
