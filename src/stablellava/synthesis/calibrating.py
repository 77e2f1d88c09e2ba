"""Picking thresholds for the checks of pictures, from labels or from planted swaps."""

import random
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import orjson
from numpy.typing import NDArray

from stablellava.backends.protocols import FeatureReader
from stablellava.config.verifying import CheckSettings, VerifySettings
from stablellava.core.capability import Keyword
from stablellava.core.errors import ConfigError, RecordError
from stablellava.core.record import Record
from stablellava.core.sample import Sample
from stablellava.filters.base import Candidate
from stablellava.filters.calibrating import Calibration, pick_threshold
from stablellava.filters.pixel_agreement import AgreementModel, fit_agreement
from stablellava.store.images import image_path
from stablellava.store.shards import read_samples
from stablellava.synthesis.further_checks import FurtherChecks, Looked
from stablellava.synthesis.planting import LabelledSample, swap_pictures

_FITTING_SHARE = 0.8
_SWAPPED_SHARE = 0.5
_NUM_TOGETHER = 64
_PICTURES_HELD = 1024
_MIN_FITTED = 20
_MIN_PER_CAPABILITY = 40
"""Fewer good and bad pairs than that give no threshold of a capability's own."""


@dataclass(frozen=True)
class PixelFit:
    """A fitted pixel check and how its threshold did on samples it was not fitted on."""

    model: AgreementModel
    calibration: Calibration
    by_capability: Mapping[str, Calibration]
    num_fitted: int


class CalibrationReport(Record):
    """Thresholds of one check."""

    check: str
    overall: Calibration
    by_capability: dict[str, Calibration]
    """Capabilities with enough pairs for a threshold of their own."""
    is_planted: bool
    """Bad pairs are planted swaps; else they were labelled by hand."""
    model_path: str = ""
    """The fitted check, where there is one to fit."""


def fit_pixel_check(
    data_dir: Path,
    reader: FeatureReader,
    seed: int,
    max_false_drops: float,
    progress: Callable[[int, int], None] | None = None,
) -> PixelFit:
    """Fit on most of a run's pictures, pick the thresholds on the rest with half of them swapped.

    ``progress`` is told how many pictures are read, of how many.

    Raises: ConfigError if there are too few samples.
    """
    samples = [sample for sample in read_samples(data_dir) if len(sample.paintings) == 1]
    if len(samples) < _MIN_FITTED:
        raise ConfigError(
            f"the pixel check is fitted on samples with one picture, and {data_dir} holds {len(samples)}; "
            f"{_MIN_FITTED} are the least, some hundreds are better"
        )
    random.Random(seed).shuffle(samples)  # noqa: S311
    num_fitted = round(len(samples) * _FITTING_SHARE)
    features = _read_features(data_dir, samples, reader, progress)
    model = fit_agreement(features[:num_fitted], [sample.draft for sample in samples[:num_fitted]])
    rows = {sample.paintings[0].sha256: row for row, sample in enumerate(samples)}
    held_back = swap_pictures(samples[num_fitted:], _SWAPPED_SHARE, seed)
    places = [rows[labelled.sample.paintings[0].sha256] for labelled in held_back]
    scores = model.score(features[places], [labelled.sample.draft for labelled in held_back])
    overall, by_capability = _pick(held_back, scores, max_false_drops)
    return PixelFit(model, overall, by_capability, num_fitted)


def calibrate_check(
    data_dir: Path,
    settings: CheckSettings,
    labelled: Sequence[LabelledSample],
    max_false_drops: float,
    progress: Callable[[int, int], None] | None = None,
) -> CalibrationReport:
    """Score labelled samples with a check and pick its thresholds.

    ``progress`` is told how many samples are scored, of how many.

    Raises: ConfigError if the check gives no scores or one kind of pairs is missing; BackendMissing, BackendFailed.
    """
    # A threshold that refuses nothing lets the check score everything.
    asked = settings.model_copy(update={"threshold": float("-inf"), "thresholds": {}})
    checks = FurtherChecks(VerifySettings(checks=(asked if settings.check != "judge" else settings,)), data_dir)
    try:
        looked: list[Looked] = []
        for start in range(0, len(labelled), _NUM_TOGETHER):
            looked += checks.look([_candidate(one.sample) for one in labelled[start : start + _NUM_TOGETHER]])
            if progress:
                progress(len(looked), len(labelled))
    finally:
        checks.close()
    scores = [found.verdicts[-1].score if found.verdicts else None for found in looked]
    if all(score is None for score in scores):
        raise ConfigError(f"check {settings.check!r} gave no sample a score; nothing to pick a threshold from")
    overall, by_capability = _pick(labelled, scores, max_false_drops)
    return CalibrationReport(check=settings.check, overall=overall, by_capability=by_capability, is_planted=True)


def read_labels(path: Path, samples: Sequence[Sample]) -> list[LabelledSample]:
    """Read lines of {"sample_id": ..., "good": true}, in the order of the samples.

    Raises: RecordError naming line and value.
    """
    if not path.is_file():
        raise RecordError(f'{path}: no such file; write lines of {{"sample_id": "...", "good": true}}')
    labels: dict[str, bool] = {}
    for number, line in enumerate(path.read_bytes().splitlines(), start=1):
        if not line.strip():
            continue
        try:
            row = orjson.loads(line)
            labels[str(row["sample_id"])] = row["good"]
        except (orjson.JSONDecodeError, KeyError, TypeError) as exc:
            raise RecordError(
                f'{path}: line {number}: expected {{"sample_id": "...", "good": true}}, got {exc}'
            ) from exc
        if not isinstance(row["good"], bool):
            raise RecordError(f"{path}: line {number}: good={row['good']!r}; write true or false")
    known = {sample.sample_id for sample in samples}
    unknown = sorted(set(labels) - known)
    if unknown:
        raise RecordError(f"{path}: {len(unknown)} samples are not in this run, the first {unknown[0]!r}")
    return [LabelledSample(sample, labels[sample.sample_id]) for sample in samples if sample.sample_id in labels]


def _pick(
    labelled: Sequence[LabelledSample], scores: Sequence[float | None], max_false_drops: float
) -> tuple[Calibration, dict[str, Calibration]]:
    overall = pick_threshold(scores, [one.is_own for one in labelled], max_false_drops)
    by_capability: dict[str, Calibration] = {}
    for name in sorted({one.sample.draft.capability for one in labelled}):
        own = [index for index, one in enumerate(labelled) if one.sample.draft.capability == name]
        kinds = [labelled[index].is_own for index in own if scores[index] is not None]
        if min(kinds.count(True), kinds.count(False)) >= _MIN_PER_CAPABILITY:
            by_capability[name] = pick_threshold(
                [scores[index] for index in own], [labelled[index].is_own for index in own], max_false_drops
            )
    return overall, by_capability


def _read_features(
    data_dir: Path, samples: Sequence[Sample], reader: FeatureReader, progress: Callable[[int, int], None] | None
) -> NDArray[np.float32]:
    """Return a vector per sample; few pictures are held at a time."""
    read = []
    for start in range(0, len(samples), _PICTURES_HELD):
        part = samples[start : start + _PICTURES_HELD]
        read.append(reader.read([_read_picture(data_dir, sample) for sample in part]))
        if progress is not None:
            progress(start + len(part), len(samples))
    return np.concatenate(read)


def _candidate(sample: Sample) -> Candidate:
    return Candidate(sample.draft, Keyword(name=sample.draft.keyword), sample.paintings)


def _read_picture(data_dir: Path, sample: Sample) -> bytes:
    return image_path(data_dir, sample.paintings[0].sha256).read_bytes()
