from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pytest

from stablellava.config.loading import load_config
from stablellava.config.verifying import CheckSettings
from stablellava.core.errors import ConfigError, RecordError
from stablellava.core.sample import Sample
from stablellava.store.images import image_path
from stablellava.store.layout import RunLayout
from stablellava.store.shards import read_samples
from stablellava.synthesis.calibrating import calibrate_check, fit_pixel_check, read_labels
from stablellava.synthesis.planting import swap_pictures
from stablellava.synthesis.synthesizing import synthesize


@pytest.fixture(scope="module")
def data_dir(tmp_path_factory: pytest.TempPathFactory) -> Path:
    overrides = ["synthesis.samples_per_capability=60", "synthesis.capabilities=[animal,color]"]
    layout = RunLayout(tmp_path_factory.mktemp("run"))
    synthesize(load_config(None, "demo", [*overrides, "synthesis.num_workers=1", "synthesis.size_px=64"]), layout)
    return layout.data_dir


@pytest.fixture(scope="module")
def samples(data_dir: Path) -> list[Sample]:
    return list(read_samples(data_dir))


class Recognising:
    """Features that name each picture's keyword, as a perfect tower would."""

    name = "recognising"
    revision = "1"

    def __init__(self, data_dir: Path, samples: Sequence[Sample]) -> None:
        self.keywords = sorted({sample.draft.keyword for sample in samples})
        self.keyword_of = {
            image_path(data_dir, painting.sha256).read_bytes(): sample.draft.keyword
            for sample in samples
            for painting in sample.paintings
        }

    def read(self, images: Sequence[bytes]) -> np.ndarray:
        rows = np.zeros((len(images), len(self.keywords)), dtype=np.float32)
        for row, image in enumerate(images):
            rows[row, self.keywords.index(self.keyword_of[image])] = 1
        return rows


def test_swapped_pictures_come_from_another_keyword_and_only_as_many_as_asked(samples: list[Sample]) -> None:
    swapped = swap_pictures(samples, 0.25, seed=0)
    keyword_of = {painting.sha256: s.draft.keyword for s in samples for painting in s.paintings}
    foreign = [one for one in swapped if not one.is_own]
    assert len(foreign) == 30
    assert all(keyword_of[one.sample.paintings[0].sha256] != one.sample.draft.keyword for one in foreign)
    assert [one.sample for one in swapped if one.is_own] == [
        sample for sample, one in zip(samples, swapped, strict=True) if one.is_own
    ]
    assert swap_pictures(samples, 0.25, seed=0) == swapped


def test_one_keyword_alone_cannot_be_swapped(samples: list[Sample]) -> None:
    with pytest.raises(ConfigError, match="same keyword"):
        swap_pictures(samples[:1], 1.0, seed=0)


def test_a_pixel_check_is_fitted_on_one_part_and_calibrated_on_another(data_dir: Path, samples: list[Sample]) -> None:
    told: list[tuple[int, int]] = []
    reader = Recognising(data_dir, samples)
    fit = fit_pixel_check(data_dir, reader, 0, 0.1, lambda done, total: told.append((done, total)))
    assert told[-1] == (len(samples), len(samples))
    assert fit.num_fitted == 96
    assert fit.calibration.num_good == fit.calibration.num_bad == 12
    assert fit.calibration.false_drops <= 0.1


def test_labels_by_hand_are_read_with_their_line(tmp_path: Path, samples: list[Sample]) -> None:
    path = tmp_path / "labels.jsonl"
    path.write_text(f'{{"sample_id": "{samples[3].sample_id}", "good": false}}\n\n', encoding="utf-8")
    assert [(one.sample.sample_id, one.is_own) for one in read_labels(path, samples)] == [(samples[3].sample_id, False)]


@pytest.mark.parametrize(
    ("line", "message"),
    [
        ("{", "line 1: expected"),
        ('{"good": true}', "line 1: expected"),
        ('{"sample_id": "x", "good": 1}', "line 1: good=1"),
        ('{"sample_id": "x", "good": true}', "not in this run, the first 'x'"),
    ],
)
def test_bad_labels_are_named(tmp_path: Path, samples: list[Sample], line: str, message: str) -> None:
    path = tmp_path / "labels.jsonl"
    path.write_text(line + "\n", encoding="utf-8")
    with pytest.raises(RecordError, match=message):
        read_labels(path, samples)


def test_a_check_without_scores_cannot_be_calibrated(data_dir: Path, samples: list[Sample]) -> None:
    broken = {"check": "judge", "backend": {"backend": "fake-chat", "options": {"broken_share": 1.0}}}
    with pytest.raises(ConfigError, match="gave no sample a score"):
        calibrate_check(data_dir, CheckSettings.model_validate(broken), swap_pictures(samples[:20], 0.5, 0), 0.05)
