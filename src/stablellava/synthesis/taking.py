"""Drafts that come from elsewhere, with or without their pictures."""

from dataclasses import dataclass
from pathlib import Path

from stablellava.core.capability import Keyword
from stablellava.core.draft import CallStamp, Draft
from stablellava.core.ids import hash_id
from stablellava.core.sample import Painting, Rejected
from stablellava.store.images import PictureRefused, read_picture, resolve_inside, store_image


@dataclass(frozen=True)
class GivenDraft:
    """A draft that nobody has to write.

    Attributes:
        images: its pictures' paths inside ``image_dir``; empty if they are to be painted.
        where: names the draft in messages ("row 12").
    """

    draft: Draft
    keyword: Keyword
    images: tuple[str, ...] = ()
    image_dir: Path = Path()
    where: str = ""


def take_pictures(given: GivenDraft, data_dir: Path) -> tuple[Painting, ...]:
    """Decode the draft's pictures and store them by content.

    Raises: PictureRefused for one that is missing, outside the folder, too large or broken.
    """
    return tuple(_take(given, index, data_dir) for index in range(len(given.images)))


def reject_given(given: GivenDraft, error: PictureRefused) -> Rejected:
    """Return the draft as a reject of the import stage."""
    return Rejected(
        draft_id=given.draft.draft_id,
        capability=given.draft.capability,
        keyword=given.draft.keyword,
        stage="import",
        reason=error.reason,
        detail=str(error),
        draft=given.draft,
    )


def _take(given: GivenDraft, index: int, data_dir: Path) -> Painting:
    data, picture = read_picture(resolve_inside(given.image_dir, given.images[index], given.where), given.where)
    store_image(data_dir, data, picture)
    return Painting(
        painting_id=hash_id(given.draft.draft_id, "picture", index),
        sha256=picture.sha256,
        width_px=picture.width_px,
        height_px=picture.height_px,
        seed=0,
        perceptual_hash=picture.perceptual_hash,
        drawn=None,
        stamp=CallStamp(backend="import"),
    )
