"""Backends for tests and rehearsals: they keep the protocols and can be told to misbehave.

``fake-writer`` writes plain drafts; ``fake-painter`` draws every phrase as a colored shape and reports it.
Both draw their faults from seeds, so a planted fault is at the same place in every run.
"""

import hashlib
import io
import time
from collections.abc import Sequence

from PIL import Image, ImageDraw

from stablellava.core.draft import CallStamp, Draft, DraftRefusal, DraftRequest, PaintPrompt, Turn
from stablellava.core.ids import seed_from, share_of
from stablellava.core.sample import DrawnFact, Painted, PaintJob, PaintRefusal

_DETAILS = (
    "soft light", "hard shadow", "fine grain", "bright sun", "thin mist", "deep contrast", "warm glow", "cool haze",
)  # fmt: skip
_OPENINGS = ("There is", "I can see", "The picture shows", "This is", "One sees", "It shows")
_EMPHASIS = 1.2
_NUM_LEFT = 2
"""Variations left to a writer that has collapsed."""


class FakeWriter:
    """Writes plain drafts.

    Args:
        repeat_share: share of drafts that say the same as every other repeated draft of their keyword and setting.
        empty_share: share of drafts whose answer is empty.
        refuse_share: share of requests refused as "unparsable_answer".
        invent_share: share of drafts that claim a zebra.
        collapse_depth: drafts so many generations away from the seed exemplars say one of two things, keyword and
            setting filled in.
    """

    name = "fake-writer"
    revision = "1"

    def __init__(
        self,
        repeat_share: float = 0.0,
        empty_share: float = 0.0,
        refuse_share: float = 0.0,
        invent_share: float = 0.0,
        collapse_depth: int | None = None,
    ) -> None:
        self._repeat_share = repeat_share
        self._empty_share = empty_share
        self._refuse_share = refuse_share
        self._invent_share = invent_share
        self._collapse_depth = collapse_depth

    def write(self, requests: Sequence[DraftRequest]) -> list[Draft | DraftRefusal]:
        """Return one result per request."""
        return [self._write_one(request) for request in requests]

    def _write_one(self, request: DraftRequest) -> Draft | DraftRefusal:
        if share_of(request.seed, "refuse") < self._refuse_share:
            return DraftRefusal(draft_id=request.draft_id, reason="unparsable_answer", detail="planted")
        is_repeat = share_of(request.seed, "repeat") < self._repeat_share
        variation = 0 if is_repeat else seed_from(request.seed, "variation")
        if self._collapse_depth is not None and request.depth >= self._collapse_depth:
            variation %= _NUM_LEFT
        detail = _DETAILS[variation % len(_DETAILS)]
        keyword, setting = request.keyword.name, request.setting
        parts = request.keyword.parts or (keyword,) * request.capability.min_images
        phrases = [", ".join(filter(None, (part, setting, detail))) for part in parts]
        return Draft(
            draft_id=request.draft_id,
            capability=request.capability.name,
            keyword=keyword,
            setting=setting,
            attributes=(("detail", detail),),
            prompts=tuple(
                PaintPrompt(text=text, emphasis=((part, _EMPHASIS),)) for text, part in zip(phrases, parts, strict=True)
            ),
            turns=self._turns(request, variation, detail, len(parts)),
            accepted_answers=self._accepted(request),
            form=request.form,
            exemplar_ids=request.exemplar_ids,
            depth=request.depth,
            stamp=CallStamp(backend=self.name, seed=request.seed, seconds=0.0),
        )

    def _turns(self, request: DraftRequest, variation: int, detail: str, num_images: int) -> tuple[Turn, ...]:
        images = tuple(range(num_images))
        keyword = request.keyword.name
        if request.form == "yes_no":
            question, answer = f"Is this {keyword}?", "Yes."
        elif request.form == "either_or":
            question, answer = f"Is this {keyword} or something else?", request.keyword.short_answer
        elif request.form == "wh":
            question, answer = "What is this?", request.keyword.short_answer
        else:
            opening = _OPENINGS[variation // len(_DETAILS) % len(_OPENINGS)]
            where = f" with {request.setting}" if request.setting else ""
            question, answer = "What do you see?", f"{opening} a {keyword}{where} in {detail}."
        if share_of(request.seed, "empty") < self._empty_share:
            answer = ""
        elif share_of(request.seed, "invent") < self._invent_share:
            answer += " There is a zebra too."
        return (Turn(speaker="user", text=question, images=images), Turn(speaker="assistant", text=answer))

    def _accepted(self, request: DraftRequest) -> tuple[str, ...]:
        if request.form is None:
            return ()
        return ("yes",) if request.form == "yes_no" else request.keyword.accepted_answers


class FakePainter:
    """Draws phrases as colored shapes and reports them as things.

    Args:
        fail_share: share of first phrases it cannot draw and refuses.
        wrong_share: share of pictures that show, and report, something else than the first phrase.
        broken_share: share of pictures whose bytes end too early.
        num_layouts: different arrangements of one prompt; 1 makes equal prompts give equal bytes.
        seconds_per_picture: how long a picture takes.
    """

    name = "fake-painter"
    revision = "1"
    attribution = "Pictures by fake-painter: colored shapes, no rights reserved."

    def __init__(
        self,
        fail_share: float = 0.0,
        wrong_share: float = 0.0,
        broken_share: float = 0.0,
        num_layouts: int = 1_000_000,
        seconds_per_picture: float = 0.0,
    ) -> None:
        self._fail_share = fail_share
        self._wrong_share = wrong_share
        self._broken_share = broken_share
        self._num_layouts = num_layouts
        self._seconds_per_picture = seconds_per_picture

    def paint(self, jobs: Sequence[PaintJob]) -> list[Painted | PaintRefusal]:
        """Return one result per job."""
        return [self._paint_one(job) for job in jobs]

    def _paint_one(self, job: PaintJob) -> Painted | PaintRefusal:
        time.sleep(self._seconds_per_picture)
        phrases = [phrase.strip() for phrase in job.text.split(",") if phrase.strip()]
        if share_of("fail", phrases[0]) < self._fail_share:
            return PaintRefusal(painting_id=job.painting_id, reason="keyword_not_drawable", phrase=phrases[0])
        if share_of(job.seed, "wrong") < self._wrong_share:
            phrases[0] = "gray blob"
        image = _draw(phrases, job, seed_from(job.seed, "layout") % self._num_layouts)
        if share_of(job.seed, "broken") < self._broken_share:
            image = image[: len(image) // 2]
        return Painted(
            painting_id=job.painting_id,
            image=image,
            drawn=tuple(_fact(phrase) for phrase in phrases),
            stamp=CallStamp(backend=self.name, seed=job.seed, seconds=self._seconds_per_picture),
        )


def _fact(phrase: str) -> DrawnFact:
    return DrawnFact(kind="feature" if phrase in _DETAILS else "thing", name=phrase, said=phrase)


def _draw(phrases: list[str], job: PaintJob, layout: int) -> bytes:
    image = Image.new("RGB", (job.width_px, job.height_px), _color(phrases[-1]))
    pen = ImageDraw.Draw(image)
    side = min(job.width_px, job.height_px) // 3
    for index, phrase in enumerate(phrases):
        left = seed_from(layout, index, "left") % (job.width_px - side)
        top = seed_from(layout, index, "top") % (job.height_px - side)
        box = (left, top, left + side, top + side)
        (pen.ellipse, pen.rectangle)[len(phrase) % 2](box, fill=_color(phrase))
    buffer = io.BytesIO()
    image.save(buffer, format="PNG", compress_level=1)
    return buffer.getvalue()


def _color(phrase: str) -> tuple[int, int, int]:
    red, green, blue = hashlib.sha256(phrase.encode()).digest()[:3]
    return red, green, blue
