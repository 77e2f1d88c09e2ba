"""Which checks a sample has to pass beside the built-in ones."""

from typing import Any, Literal

from stablellava.config.base import BackendSettings, Settings


class CheckSettings(Settings):
    """One check beside the built-in ones."""

    check: Literal[
        "safe_prompt", "keyword_in_prompt", "boilerplate", "length", "language",
        "not_blank", "pixels", "image_text", "safe_picture", "judge",
    ]  # fmt: skip
    """Of the text, before painting: safe_prompt, keyword_in_prompt, boilerplate, length, language. Of the picture:
    not_blank, pixels (fitted by calibrate), image_text (CLIP, SigLIP), safe_picture (an image classifier), judge (a
    chat model that takes pictures)."""
    options: dict[str, Any] = {}
    """Of the check: {language: en}, {model: runs/demo/checks/pixels.npz}, {min_share: 0.8},
    {unsafe_labels: [nsfw]}."""
    backend: BackendSettings | None = None
    """The scorer of image_text, the classifier of safe_picture, the chat model of judge."""
    threshold: float | None = None
    """Least score of pixels and image_text, which calibrate picks, and of safe_picture (0.5)."""
    thresholds: dict[str, float] = {}
    """Per capability, instead of ``threshold``."""


class VerifySettings(Settings):
    """Which further checks a sample has to pass. A refused picture is repainted (max_repaints), then redrafted."""

    checks: tuple[CheckSettings, ...] = ()
    drop_unscored: bool = False
    """Drop samples that a scorer or judge could not score, instead of keeping them as unscored."""
