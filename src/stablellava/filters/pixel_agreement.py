"""Does the picture look like what its prompt says? A check that sees pixels only, fitted on one's own pictures.

Ridge regression from a frozen tower's features to the terms of the prompt (keyword, setting, capability, words).
Leave-one-out predictions tell, for each term, what it scores in pictures that show it and in others; a sample's
score is the sum of its terms' log-likelihood ratios, each clipped. For painters that cannot report what they drew
and where no pretrained image-text scorer serves.

Shape legend: N pictures, D features, T terms.
"""

import io
import zipfile
import zlib
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from stablellava.backends.protocols import FeatureReader
from stablellava.core.draft import Draft
from stablellava.core.errors import ConfigError, RecordError
from stablellava.core.matching import split_words
from stablellava.core.sample import Verdict
from stablellava.filters.base import Candidate
from stablellava.store.files import write_atomic

Floats = NDArray[np.floating[Any]]
_RIDGE = 3000.0
_MIN_PICTURES = 3
"""Terms seen in fewer pictures teach nothing."""
_MAX_RATIO = 8.0
_LEAST_DEVIATION = 1e-4


@dataclass(frozen=True)
class AgreementModel:
    """What was fitted.

    Attributes:
        terms: those that can be scored.
        center: mean of the features [D].
        scale: deviation of the features [D].
        weights: [D, T].
        bias: share of pictures that show each term [T].
        present: mean prediction where a term is shown [T].
        absent: mean prediction where it is not [T].
        deviation: of predictions around those means [T].
    """

    terms: tuple[str, ...]
    center: Floats
    scale: Floats
    weights: Floats
    bias: Floats
    present: Floats
    absent: Floats
    deviation: Floats

    def score(self, features_ND: Floats, drafts: Sequence[Draft]) -> list[float | None]:
        """Return how much better than not each picture goes with its draft; None without a known term."""
        index = {term: position for position, term in enumerate(self.terms)}
        predicted_NT: Floats = (features_ND - self.center) / self.scale @ self.weights + self.bias
        ratios_NT = self._ratios(predicted_NT)
        scores: list[float | None] = []
        for row, draft in zip(ratios_NT, drafts, strict=True):
            known = [index[term] for term in list_terms(draft) if term in index]
            scores.append(float(row[known].sum()) if known else None)
        return scores

    def save(self, path: Path) -> None:
        """Write an .npz file that holds no code."""
        buffer = io.BytesIO()
        arrays = {name: value for name, value in vars(self).items() if name != "terms"}
        np.savez_compressed(buffer, terms=np.array(self.terms), **arrays)
        write_atomic(path, buffer.getvalue())

    @classmethod
    def load(cls, path: Path) -> "AgreementModel":
        """Read what ``save`` wrote. Raises: RecordError."""
        try:
            with np.load(io.BytesIO(path.read_bytes()), allow_pickle=False) as file:
                arrays = {name: file[name] for name in file.files}
            return cls(terms=tuple(str(term) for term in arrays.pop("terms")), **arrays)
        except (OSError, EOFError, ValueError, KeyError, TypeError, zipfile.BadZipFile, zlib.error) as exc:
            raise RecordError(
                f"{path}: not a fitted pixel check ({exc}); make one with 'stablellava calibrate'"
            ) from exc

    def _ratios(self, predicted_NT: Floats) -> Floats:
        from_absent, from_present = predicted_NT - self.absent, predicted_NT - self.present
        ratios: Floats = (from_absent**2 - from_present**2) / (2 * self.deviation**2)
        return ratios.clip(-_MAX_RATIO, _MAX_RATIO)


def list_terms(draft: Draft) -> tuple[str, ...]:
    """Return what a draft says of its pictures: capability, keyword, setting and the words of its prompts."""
    words = {word for prompt in draft.prompts for word in split_words(prompt.text)}
    named = (f"capability:{draft.capability}", f"keyword:{draft.keyword}", f"setting:{draft.setting}")
    return (*named, *sorted(words))


def fit_agreement(features_ND: Floats, drafts: Sequence[Draft]) -> AgreementModel:
    """Fit on verified pictures and their drafts.

    Raises: ConfigError when no term recurs often enough.
    """
    counts = Counter(term for draft in drafts for term in list_terms(draft))
    terms = tuple(sorted(term for term, count in counts.items() if count >= _MIN_PICTURES and count < len(drafts)))
    if not terms:
        raise ConfigError(f"{len(drafts)} pictures are too few to fit a pixel check; some hundreds are needed")
    index = {term: position for position, term in enumerate(terms)}
    shown_NT = np.zeros((len(drafts), len(terms)), dtype=np.float32)
    for row, draft in enumerate(drafts):
        shown_NT[row, [index[term] for term in list_terms(draft) if term in index]] = 1
    center, scale = features_ND.mean(axis=0), features_ND.std(axis=0) + 1e-3
    inputs_ND = (features_ND - center) / scale
    bias = shown_NT.mean(axis=0)
    gram_DD = inputs_ND.T @ inputs_ND + _RIDGE * np.eye(inputs_ND.shape[1], dtype=np.float32)
    projected_DN = np.linalg.solve(gram_DD, inputs_ND.T)
    weights_DT = projected_DN @ (shown_NT - bias)
    leverage_N1 = np.einsum("nd,dn->n", inputs_ND, projected_DN)[:, None]
    fitted_NT = inputs_ND @ weights_DT + bias
    left_out_NT = shown_NT - (shown_NT - fitted_NT) / (1 - leverage_N1)
    num_shown = shown_NT.sum(axis=0)
    present = (left_out_NT * shown_NT).sum(axis=0) / num_shown
    absent = (left_out_NT * (1 - shown_NT)).sum(axis=0) / (len(drafts) - num_shown)
    spread = np.where(shown_NT == 1, (left_out_NT - present) ** 2, 0).sum(axis=0) / num_shown
    spread += np.where(shown_NT == 0, (left_out_NT - absent) ** 2, 0).sum(axis=0) / (len(drafts) - num_shown)
    deviation = np.sqrt(spread / 2) + _LEAST_DEVIATION
    return AgreementModel(
        terms,
        *(
            np.asarray(array, dtype=np.float32)
            for array in (center, scale, weights_DT, bias, present, absent, deviation)
        ),
    )


class PixelAgreement:
    """Refuses: picture_disagrees. Samples with several pictures, or no known term, pass unscored.

    Args:
        model: fitted on pictures of the same painter.
        reader: of the features that the model was fitted with.
        threshold: least score; ``calibrate`` picks it for a share of false drops.
        thresholds: per capability, instead of ``threshold``.
    """

    name = "pixel_agreement"
    is_cured_by_repainting = True

    def __init__(
        self,
        model: AgreementModel,
        reader: FeatureReader,
        threshold: float,
        thresholds: Mapping[str, float] | None = None,
    ) -> None:
        self._model = model
        self._reader = reader
        self._threshold = threshold
        self._thresholds = dict(thresholds or {})

    def judge_all(self, candidates: Sequence[Candidate], images: Sequence[tuple[bytes, ...]]) -> list[Verdict]:
        """Return one verdict per candidate, in their order; ``images`` are its encoded pictures."""
        single = [index for index, pictures in enumerate(images) if len(pictures) == 1]
        scores: dict[int, float | None] = {}
        if single:
            features_ND = self._reader.read([images[index][0] for index in single])
            drafts = [candidates[index].draft for index in single]
            scores = dict(zip(single, self._model.score(features_ND, drafts), strict=True))
        return [self._verdict(candidate, scores.get(index)) for index, candidate in enumerate(candidates)]

    def _verdict(self, candidate: Candidate, score: float | None) -> Verdict:
        if score is None:
            return Verdict(filter_name=self.name, kept=True, detail="unscored: several pictures, or no known term")
        threshold = self._thresholds.get(candidate.draft.capability, self._threshold)
        kept = score >= threshold
        return Verdict(
            filter_name=self.name, kept=kept, reason="" if kept else "picture_disagrees",
            score=score, threshold=threshold,
        )  # fmt: skip
