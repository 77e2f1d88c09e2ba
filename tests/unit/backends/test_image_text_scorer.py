import io
from pathlib import Path

import pytest
import torch
from PIL import Image
from transformers import (
    CLIPConfig,
    CLIPImageProcessorPil,
    CLIPModel,
    LlamaConfig,
    LlamaModel,
    SiglipConfig,
    SiglipImageProcessorPil,
    SiglipModel,
)

from stablellava.backends.catalog import build_backend
from stablellava.core.errors import BackendFailed, ConfigError
from tiny_diffusion import clip_tokenizer

TOWER = {"hidden_size": 32, "intermediate_size": 37, "num_hidden_layers": 2, "num_attention_heads": 4}
VISION = {**TOWER, "image_size": 32, "patch_size": 16}
COLORS = {"red": (220, 20, 20), "green": (20, 200, 40), "blue": (10, 30, 210)}


@pytest.fixture(scope="module")
def checkpoints(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    torch.manual_seed(0)
    tokenizer = clip_tokenizer()
    text = {**TOWER, "vocab_size": len(tokenizer), "max_position_embeddings": 77}
    folder = tmp_path_factory.mktemp("scorers")
    ends = {"bos_token_id": tokenizer.bos_token_id, "eos_token_id": tokenizer.eos_token_id, "pad_token_id": 1}
    clip = CLIPModel(CLIPConfig(text_config={**text, **ends}, vision_config=VISION, projection_dim=32))
    siglip = SiglipModel(SiglipConfig(text_config={**text, **ends}, vision_config=VISION))
    size = {"height": 32, "width": 32}
    for name, model, processor in (
        ("clip", clip, CLIPImageProcessorPil(size={"shortest_edge": 32}, crop_size=size)),
        ("siglip", siglip, SiglipImageProcessorPil(size=size)),
    ):
        model.save_pretrained(folder / name)
        tokenizer.save_pretrained(folder / name)
        processor.save_pretrained(folder / name)
    return {name: folder / name for name in ("clip", "siglip")}


def picture(color: str) -> bytes:
    buffer = io.BytesIO()
    Image.new("RGB", (40, 40), COLORS[color]).save(buffer, "PNG")
    return buffer.getvalue()


@pytest.mark.parametrize("kind", ["clip", "siglip"])
def test_scores_do_not_depend_on_the_batch(checkpoints: dict[str, Path], kind: str) -> None:
    images = [picture(color) for color in COLORS]
    texts = [("a red car", "it is on the beach"), ("green",), ("blue boat", "a dog", "at sea")]
    batched, single = (
        build_backend("scorer", "image-text", {"model": str(checkpoints[kind]), "batch_size": size}) for size in (8, 1)
    )
    together = batched.score(images, texts)
    alone = [single.score([image], [text])[0] for image, text in zip(images, texts, strict=True)]
    assert [len(row) for row in together] == [2, 1, 3]
    for first, second in zip(together, alone, strict=True):
        assert first == pytest.approx(second, abs=1e-4)


def test_a_picture_of_which_nothing_is_said_has_no_score(checkpoints: dict[str, Path]) -> None:
    scorer = build_backend("scorer", "image-text", {"model": str(checkpoints["clip"])})
    assert scorer.score([picture("red"), picture("blue")], [(), ()]) == [[], []]
    assert list(map(len, scorer.score([picture("red"), picture("blue")], [(), ("a dog",)]))) == [0, 1]


def test_a_score_is_the_librarys_own_cosine(checkpoints: dict[str, Path]) -> None:
    scorer = build_backend("scorer", "image-text", {"model": str(checkpoints["clip"])})
    model = CLIPModel.from_pretrained(checkpoints["clip"]).eval()
    processor = CLIPImageProcessorPil.from_pretrained(checkpoints["clip"])
    pixels = processor(images=Image.open(io.BytesIO(picture("red"))), return_tensors="pt")["pixel_values"]
    tokens = clip_tokenizer()(["a red car"], return_tensors="pt")
    with torch.inference_mode():
        logits = model(**tokens, pixel_values=pixels).logits_per_image
        expected = float(logits / model.logit_scale.exp()) * 100
    assert scorer.score([picture("red")], [("a red car",)])[0][0] == pytest.approx(expected, abs=1e-3)


@pytest.mark.parametrize("kind", ["clip", "siglip"])
def test_a_text_longer_than_the_encoder_is_scored_in_parts_and_its_end_counts(
    checkpoints: dict[str, Path], kind: str
) -> None:
    scorer = build_backend("scorer", "image-text", {"model": str(checkpoints[kind])})
    long = " ".join(["something", "quite", "long"] * 12)
    same, other = scorer.score([picture("red")], [(long + " seaside", long + " kitchen")])[0]
    assert same != other


@pytest.mark.parametrize("kind", ["clip", "siglip"])
def test_a_word_longer_than_the_encoder_is_scored_to_its_end(checkpoints: dict[str, Path], kind: str) -> None:
    scorer = build_backend("scorer", "image-text", {"model": str(checkpoints[kind])})
    word = "something" * 60  # stands for a sentence without spaces, as in Chinese
    same, other = scorer.score([picture("red")], [(word + " seaside", word + " kitchen")])[0]
    assert same != other


def test_a_model_that_is_no_scorer_is_refused(tmp_path: Path) -> None:
    config = LlamaConfig(
        vocab_size=64, hidden_size=16, intermediate_size=16, num_hidden_layers=1, num_attention_heads=2
    )
    LlamaModel(config).save_pretrained(tmp_path)
    clip_tokenizer().save_pretrained(tmp_path)
    CLIPImageProcessorPil().save_pretrained(tmp_path)
    with pytest.raises(ConfigError, match="needs a CLIP or SigLIP"):
        build_backend("scorer", "image-text", {"model": str(tmp_path)})


def test_a_model_that_is_not_there_is_named(tmp_path: Path) -> None:
    with pytest.raises(BackendFailed, match="cannot be loaded"):
        build_backend("scorer", "image-text", {"model": str(tmp_path / "absent")})


def test_the_revision_follows_model_and_precision(checkpoints: dict[str, Path]) -> None:
    options = [
        {"model": str(checkpoints["clip"])},
        {"model": str(checkpoints["siglip"])},
        {"model": str(checkpoints["clip"]), "dtype": "bfloat16"},
    ]
    revisions = {build_backend("scorer", "image-text", option).revision for option in options}
    assert len(revisions) == 3
