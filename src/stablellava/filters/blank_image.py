"""Does the picture show anything: more than one flat color, or pure noise?"""

import io
from collections.abc import Sequence

import numpy as np
from PIL import Image

from stablellava.core.sample import Verdict
from stablellava.filters.base import Candidate

NAME = "not_blank"
_SIDE_PX = 64
_MIN_DEVIATION = 3.0
"""Gray levels of 255 after shrinking; a black or white frame, as safety checkers return it, has 0."""
_MIN_CORRELATION = 0.2
"""Of neighbouring pixels; independent noise has none, every scene has more than a half."""


class NotBlank:
    """Refuses: image_blank, image_noise."""

    name = NAME
    is_cured_by_repainting = True

    def judge_all(self, candidates: Sequence[Candidate], images: Sequence[tuple[bytes, ...]]) -> list[Verdict]:
        """Return one verdict per candidate: of its first picture without content, if any."""
        return [self._judge([judge_content(image) for image in own]) for own in images]

    def _judge(self, verdicts: list[Verdict]) -> Verdict:
        refused = [verdict for verdict in verdicts if not verdict.kept]
        return (refused or verdicts or [Verdict(filter_name=NAME, kept=True)])[0]


def judge_content(data: bytes) -> Verdict:
    """Return whether the encoded picture has content. Refuses: image_blank, image_noise."""
    with Image.open(io.BytesIO(data)) as image:
        full = np.asarray(image.convert("L"), dtype=np.float64)
        gray = np.asarray(image.convert("L").resize((_SIDE_PX, _SIDE_PX), Image.Resampling.BOX), dtype=np.float64)
    deviation = max(float(gray.std()), float(full.std()))
    if deviation < _MIN_DEVIATION:
        return _refuse("image_blank", deviation, _MIN_DEVIATION)
    correlation = _correlate_neighbours(full)
    if correlation < _MIN_CORRELATION:
        return _refuse("image_noise", correlation, _MIN_CORRELATION)
    return Verdict(filter_name=NAME, kept=True, score=deviation, threshold=_MIN_DEVIATION)


def _correlate_neighbours(gray: "np.ndarray[tuple[int, int], np.dtype[np.float64]]") -> float:
    centred = gray - gray.mean()
    variance = float((centred**2).mean())
    return float((centred[:, 1:] * centred[:, :-1]).mean()) / variance if variance else 1.0


def _refuse(reason: str, score: float, threshold: float) -> Verdict:
    return Verdict(filter_name=NAME, kept=False, reason=reason, score=score, threshold=threshold)
