"""Can the painter's bytes be decoded to the last pixel, and are they of the size asked for?"""

from stablellava.core.sample import Verdict
from stablellava.store.images import Picture, PictureRefused, decode_picture

NAME = "image_readable"


def judge_bytes(
    data: bytes, width_px: int | None = None, height_px: int | None = None
) -> tuple[Verdict, Picture | None]:
    """Return the verdict and, when it keeps them, what was decoded.

    Refuses: image_too_large, image_truncated, image_unreadable, image_size_mismatch (None: any size will do).
    """
    try:
        picture = decode_picture(data, "painting")
    except PictureRefused as exc:
        return Verdict(filter_name=NAME, kept=False, reason=exc.reason, detail=str(exc)), None
    wanted = (width_px or picture.width_px, height_px or picture.height_px)
    if (picture.width_px, picture.height_px) != wanted:
        detail = f"asked for {wanted[0]} x {wanted[1]}, got {picture.width_px} x {picture.height_px}"
        return Verdict(filter_name=NAME, kept=False, reason="image_size_mismatch", detail=detail), None
    return Verdict(filter_name=NAME, kept=True), picture
