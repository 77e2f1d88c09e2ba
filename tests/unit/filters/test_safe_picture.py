import io
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image
from transformers import LlamaConfig, LlamaModel, ViTConfig, ViTForImageClassification, ViTImageProcessorPil

from stablellava.backends.catalog import build_backend
from stablellava.config.verifying import VerifySettings
from stablellava.core.capability import Keyword
from stablellava.core.draft import CallStamp, Draft, PaintPrompt, Turn
from stablellava.core.errors import BackendFailed, ConfigError
from stablellava.core.sample import Painting
from stablellava.filters.base import Candidate
from stablellava.filters.safe_picture import SafePicture
from stablellava.store.images import decode_picture, store_image
from stablellava.synthesis.further_checks import FurtherChecks


def make_candidate(num_images: int = 1) -> Candidate:
    stamp = CallStamp(backend="x")
    draft = Draft(
        draft_id="d", capability="animal", keyword="dog", setting="", stamp=stamp,
        prompts=(PaintPrompt(text="dog"),) * num_images,
        turns=(Turn(speaker="user", text="What is there?"), Turn(speaker="assistant", text="A dog.")),
    )  # fmt: skip
    painting = Painting(
        painting_id="p", sha256="0" * 64, width_px=16, height_px=16, seed=0, perceptual_hash="0" * 16, drawn=None,
        stamp=stamp,
    )  # fmt: skip
    return Candidate(draft, Keyword(name="dog"), (painting,) * num_images)


class ReadsRed:
    """Takes a picture for unsafe by as much as it is red."""

    name = "reads-red"
    labels = ("normal", "NSFW")
    revision = "1"

    def classify(self, images: Sequence[bytes]) -> list[dict[str, float]]:
        reds = [float(np.asarray(Image.open(io.BytesIO(image)))[..., 0].mean()) / 255 for image in images]
        return [{"normal": 1 - red, "NSFW": red} for red in reds]


def picture(red: int, side: int = 16) -> bytes:
    buffer = io.BytesIO()
    Image.new("RGB", (side, side), (red, 40, 40)).save(buffer, "PNG")
    return buffer.getvalue()


@pytest.fixture(scope="module")
def classifier(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A tiny model of the real class with labels of its own."""
    torch.manual_seed(0)
    folder = tmp_path_factory.mktemp("classifiers") / "vit"
    config = ViTConfig(
        hidden_size=16, intermediate_size=16, num_hidden_layers=1, num_attention_heads=2, image_size=16, patch_size=8,
        id2label={0: "normal", 1: "nsfw", 2: "drawing"}, label2id={"normal": 0, "nsfw": 1, "drawing": 2},
    )  # fmt: skip
    ViTForImageClassification(config).save_pretrained(folder)
    ViTImageProcessorPil(size={"height": 16, "width": 16}).save_pretrained(folder)
    return folder


def test_the_least_safe_picture_of_a_sample_decides() -> None:
    candidates = [make_candidate(2), make_candidate(), make_candidate()]
    check = SafePicture(ReadsRed())
    verdicts = check.judge_all(candidates, [(picture(30), picture(230)), (picture(100),), ()])
    assert [verdict.kept for verdict in verdicts] == [False, True, True]
    assert verdicts[0].reason == "unsafe_picture"
    assert verdicts[0].detail == "picture 2 of 2: NSFW 0.90"
    assert verdicts[0].score == pytest.approx(1 - 230 / 255)
    assert verdicts[2].detail.startswith("unscored")


def test_thresholds_of_a_capability_come_first() -> None:
    candidate = make_candidate()
    strict = SafePicture(ReadsRed(), 0.1, {candidate.draft.capability: 0.95})
    [verdict] = strict.judge_all([candidate], [(picture(100),)])
    assert (verdict.kept, verdict.threshold) == (False, 0.95)


def test_labels_that_the_classifier_lacks_are_named_with_those_it_has() -> None:
    with pytest.raises(ConfigError, match="no label 'gory'; it has normal, NSFW"):
        SafePicture(ReadsRed(), unsafe_labels=["gory"])
    classifier = ReadsRed()
    classifier.labels = ("cat", "dog")
    with pytest.raises(ConfigError, match="no label that is known as unsafe; it has cat, dog"):
        SafePicture(classifier)


def test_probabilities_do_not_depend_on_the_batch(classifier: Path) -> None:
    images = [picture(red) for red in (0, 90, 180, 250)]
    together, alone = (
        build_backend("classifier", "image-classifier", {"model": str(classifier), "batch_size": size})
        for size in (3, 1)
    )
    found = together.classify(images)
    assert [sum(row.values()) for row in found] == pytest.approx([1.0] * 4)
    assert together.labels == ("normal", "nsfw", "drawing")
    for row, other in zip(found, alone.classify(images), strict=True):
        assert row == pytest.approx(other, abs=1e-6)
    assert together.revision == alone.revision


def test_settings_build_the_check_from_a_model_by_name(classifier: Path, tmp_path: Path) -> None:
    image = picture(200, side=64)
    stored = decode_picture(image, "test")
    store_image(tmp_path, image, stored)
    candidate = make_candidate()
    own = candidate.paintings[0].model_copy(update={"sha256": stored.sha256})
    asked = {"check": "safe_picture", "backend": {"backend": "image-classifier", "options": {"model": str(classifier)}}}
    for threshold, kept in ((0.0, True), (1.0, False)):
        settings = VerifySettings.model_validate({"checks": [{**asked, "threshold": threshold}]})
        [looked] = FurtherChecks(settings, tmp_path).look([Candidate(candidate.draft, candidate.keyword, (own,))])
        assert looked.verdicts[0].kept is kept


def test_a_check_without_a_classifier_says_which(tmp_path: Path) -> None:
    settings = VerifySettings.model_validate({"checks": [{"check": "safe_picture"}]})
    with pytest.raises(ConfigError, match=r"needs a backend, such as \{backend: image-classifier\}"):
        FurtherChecks(settings, tmp_path)


def test_a_model_of_another_kind_is_one_line(tmp_path: Path) -> None:
    LlamaModel(
        LlamaConfig(vocab_size=8, hidden_size=8, intermediate_size=8, num_hidden_layers=1, num_attention_heads=1)
    ).save_pretrained(tmp_path / "llama")
    with pytest.raises(BackendFailed, match="cannot be loaded"):
        build_backend("classifier", "image-classifier", {"model": str(tmp_path / "llama")})
