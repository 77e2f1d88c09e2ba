"""Do picture and words lie close together for a pretrained image-text model (CLIP, SigLIP)?"""

from collections.abc import Mapping, Sequence

from stablellava.backends.protocols import Scorer
from stablellava.core.sample import Verdict
from stablellava.filters.base import Candidate
from stablellava.filters.claims import split_claims


class ImageTextScore:
    """Refuses: low_image_text_score.

    Each picture is compared with its prompt, if there is one, and with every statement of the dialogue, one at a time:
    the models' text encoders hold some 64 to 77 tokens and would cut the rest of a longer text without a word. The
    score of a sample is the mean over its statements of the best picture's score.

    Args:
        scorer: gives one number per picture and text; higher is closer.
        threshold: least score; None refuses nothing and keeps the score.
        thresholds: per capability, instead of ``threshold``.
    """

    name = "image_text_score"
    is_cured_by_repainting = True

    def __init__(
        self, scorer: Scorer, threshold: float | None = None, thresholds: Mapping[str, float] | None = None
    ) -> None:
        self._scorer = scorer
        self._threshold = threshold
        self._thresholds = dict(thresholds or {})

    def judge_all(self, candidates: Sequence[Candidate], images: Sequence[tuple[bytes, ...]]) -> list[Verdict]:
        """Return one verdict per candidate, in their order. Raises: BackendFailed."""
        pictures: list[bytes] = []
        texts: list[tuple[str, ...]] = []
        for candidate, own in zip(candidates, images, strict=True):
            statements = tuple(claim.text for claim in split_claims(candidate.draft.turns))
            prompts = [prompt.text for prompt in candidate.draft.prompts]
            of_pictures = [(prompt, *statements) for prompt in prompts] or [statements] * len(own)  # imports have none
            pictures += own
            texts += of_pictures
        scores = iter(self._scorer.score(pictures, texts))
        return [
            self._judge(candidate, [next(scores) for _ in own])
            for candidate, own in zip(candidates, images, strict=True)
        ]

    def _judge(self, candidate: Candidate, of_pictures: Sequence[Sequence[float]]) -> Verdict:
        if not any(of_pictures):
            return Verdict(filter_name=self.name, kept=True, detail="unscored: no picture, or nothing said of it")
        # Each prompt belongs to its own picture; a statement may speak of any of them.
        first = 1 if candidate.draft.prompts else 0
        prompts = [score for scores in of_pictures for score in scores[:first]]
        statements = [max(column) for column in zip(*(scores[first:] for scores in of_pictures), strict=True)]
        score = sum((*prompts, *statements)) / (len(prompts) + len(statements))
        threshold = self._thresholds.get(candidate.draft.capability, self._threshold)
        kept = threshold is None or score >= threshold
        return Verdict(
            filter_name=self.name, kept=kept, reason="" if kept else "low_image_text_score",
            score=score, threshold=threshold,
        )  # fmt: skip
