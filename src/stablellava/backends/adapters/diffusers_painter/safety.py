"""The model's own safety checker, asked for its verdict without letting it blacken pictures."""

from collections.abc import Sequence
from typing import Any, Literal

import numpy as np
import torch
from PIL import Image

SafetyVerdict = Literal["passed", "flagged", "not_checked"]


class SafetyGuard:
    """Takes the checker out of a pipeline, which would turn flagged pictures black, and asks it afterwards."""

    def __init__(self, pipeline: Any) -> None:
        checker = getattr(pipeline, "safety_checker", None)
        self._checker: Any = checker if type(checker).__name__ == "StableDiffusionSafetyChecker" else None
        if self._checker is not None:
            self._extractor = pipeline.feature_extractor
            pipeline.safety_checker = None

    def place(self, device: torch.device) -> None:
        """Move the checker to the device."""
        if self._checker is not None:
            self._checker.to(device)

    def judge(self, pictures: Sequence[Image.Image], flags: Sequence[bool] | None) -> list[SafetyVerdict]:
        """Return a verdict per picture; ``flags`` are those of a pipeline with a checker of another kind."""
        if self._checker is not None:
            pixels = self._extractor(list(pictures), return_tensors="pt").pixel_values
            pixels = pixels.to(self._checker.device, self._checker.dtype)
            # It blackens what it is given, so it is given placeholders.
            placeholders = [np.zeros((1, 1, 3)) for _ in pictures]
            _, flags = self._checker(clip_input=pixels, images=placeholders)
        if flags is None:
            return ["not_checked"] * len(pictures)
        return ["flagged" if flag else "passed" for flag in flags]
