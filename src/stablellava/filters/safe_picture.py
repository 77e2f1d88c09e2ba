"""Does a classifier take a picture for unsuitable? The pictures' side of the check of prompts."""

from collections.abc import Mapping, Sequence

from stablellava.backends.protocols import Classifier
from stablellava.core.errors import ConfigError
from stablellava.core.sample import Verdict
from stablellava.filters.base import Candidate

UNSAFE_LABELS = ("nsfw", "unsafe", "porn", "hentai", "sexy", "explicit", "nudity", "gore", "violence")
"""Labels of public classifiers that name what should not be there, compared without regard to case."""
_MIN_SAFE = 0.5


class SafePicture:
    """Refuses: unsafe_picture. The score is the probability that the least safe picture is safe.

    Args:
        classifier: gives probabilities per label.
        threshold: least score, by default 0.5.
        thresholds: per capability, instead of ``threshold``.
        unsafe_labels: labels that make a picture unsafe; by default those of ``UNSAFE_LABELS`` that the classifier has.

    Raises: ConfigError if the classifier has no such label.
    """

    name = "safe_picture"
    is_cured_by_repainting = True

    def __init__(
        self,
        classifier: Classifier,
        threshold: float | None = None,
        thresholds: Mapping[str, float] | None = None,
        unsafe_labels: Sequence[str] | None = None,
    ) -> None:
        wanted = {label.lower() for label in (UNSAFE_LABELS if unsafe_labels is None else unsafe_labels)}
        self._unsafe = [label for label in classifier.labels if label.lower() in wanted]
        missing = [] if unsafe_labels is None else sorted(wanted - {label.lower() for label in self._unsafe})
        if missing or not self._unsafe:
            what = f"no label {missing[0]!r}" if missing else "no label that is known as unsafe"
            raise ConfigError(
                f"check 'safe_picture': the classifier has {what}; it has {', '.join(classifier.labels)}. "
                "Say which are unsafe: options: {unsafe_labels: [...]}"
            )
        self._classifier = classifier
        self._threshold = _MIN_SAFE if threshold is None else threshold
        self._thresholds = dict(thresholds or {})

    def judge_all(self, candidates: Sequence[Candidate], images: Sequence[tuple[bytes, ...]]) -> list[Verdict]:
        """Return one verdict per candidate, in their order. Raises: BackendFailed."""
        found = iter(self._classifier.classify([image for own in images for image in own]))
        return [
            self._judge(candidate, [next(found) for _ in own])
            for candidate, own in zip(candidates, images, strict=True)
        ]

    def _judge(self, candidate: Candidate, of_pictures: Sequence[Mapping[str, float]]) -> Verdict:
        if not of_pictures:
            return Verdict(filter_name=self.name, kept=True, detail="unscored: no picture")
        unsafe = [sum(probabilities[label] for label in self._unsafe) for probabilities in of_pictures]
        worst = max(range(len(unsafe)), key=unsafe.__getitem__)
        label = max(self._unsafe, key=lambda name: of_pictures[worst][name])
        threshold = self._thresholds.get(candidate.draft.capability, self._threshold)
        kept = 1 - unsafe[worst] >= threshold
        return Verdict(
            filter_name=self.name, kept=kept, reason="" if kept else "unsafe_picture",
            detail="" if kept else f"picture {worst + 1} of {len(unsafe)}: {label} {of_pictures[worst][label]:.2f}",
            score=1 - unsafe[worst], threshold=threshold,
        )  # fmt: skip
