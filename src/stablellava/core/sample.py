"""Paintings, verdicts and what becomes of them."""

from typing import Literal

from stablellava.core.draft import CallStamp, Draft
from stablellava.core.record import Record

FactKind = Literal["thing", "place", "style", "color", "hair", "profession", "action", "relation", "count", "feature"]


class DrawnFact(Record):
    """One thing a painter says is to be seen."""

    kind: FactKind
    name: str
    """Canonical: "dog", "beach", "watercolor", "red"."""
    said: str
    """The words of the prompt it answers to: "puppy", "at the seaside"."""
    subject: str = ""
    """Canonical name of the thing it is a property of: the "car" that is "red"."""


class PaintJob(Record):
    """One picture to be painted; the seed comes from the id."""

    painting_id: str
    text: str
    emphasis: tuple[tuple[str, float], ...] = ()
    negative: str = ""
    seed: int
    width_px: int
    height_px: int


class Painted(Record):
    """A painter's product, not yet stored. Without a report (``drawn`` is None) only scorers can check it."""

    painting_id: str
    image: bytes
    """Encoded PNG or WebP."""
    drawn: tuple[DrawnFact, ...] | None
    ignored: tuple[str, ...] = ()
    """Phrases of the prompt that left no trace in the picture."""
    stamp: CallStamp


class PaintRefusal(Record):
    """A prompt that a painter would have had to paint as something else."""

    painting_id: str
    reason: str
    """Stable identifier: "keyword_not_drawable"."""
    phrase: str = ""


class Painting(Record):
    """A stored picture."""

    painting_id: str
    sha256: str
    width_px: int
    height_px: int
    seed: int
    perceptual_hash: str
    """16 hex digits of a 64-bit difference hash."""
    drawn: tuple[DrawnFact, ...] | None
    ignored: tuple[str, ...] = ()
    stamp: CallStamp


class Verdict(Record):
    """What one filter says of one candidate."""

    filter_name: str
    kept: bool
    reason: str = ""
    """Stable identifier, empty when kept."""
    detail: str = ""
    score: float | None = None
    threshold: float | None = None


class Sample(Record):
    """A draft, its pictures and the checks it passed."""

    sample_id: str
    draft: Draft
    paintings: tuple[Painting, ...]
    verdicts: tuple[Verdict, ...]
    num_repaints: int = 0


class Rejected(Record):
    """A candidate that was dropped, with all that is known of it."""

    draft_id: str
    capability: str
    keyword: str
    stage: Literal["draft", "paint", "verify", "import"]
    reason: str
    detail: str = ""
    draft: Draft | None = None
    paintings: tuple[Painting, ...] = ()
    verdicts: tuple[Verdict, ...] = ()


def turn_down(sample: Sample, verdict: Verdict) -> Rejected:
    """Return a sample that passed its own checks as a reject of a verdict on it among others."""
    return Rejected(
        draft_id=sample.draft.draft_id,
        capability=sample.draft.capability,
        keyword=sample.draft.keyword,
        stage="verify",
        reason=verdict.reason,
        detail=verdict.detail,
        draft=sample.draft,
        paintings=sample.paintings,
        verdicts=(*sample.verdicts, verdict),
    )


class ShardManifest(Record):
    """One committed shard: what is in it, so that a torn file is noticed."""

    shard_id: str
    num_samples: int
    num_rejected: int
    samples_sha256: str
    rejects_sha256: str
