from pathlib import Path

import pytest
import torch
from PIL import Image
from transformers import AutoProcessor, CLIPImageProcessorPil, CLIPVisionConfig, CLIPVisionModel
from transformers import LlavaForConditionalGeneration as Llava

import tiny_vlm
from stablellava.core.errors import BackendMissing, ConfigError, RecordError
from stablellava.model.assembling import Vlm, assemble
from stablellava.model.checkpoints import load_vlm

MESSAGE = {"role": "user", "content": [{"type": "image"}, {"type": "text", "text": "What is this?"}]}


@pytest.fixture(scope="module")
def language_model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tiny_vlm.write_language_model(tmp_path_factory.mktemp("lm"))


def logits_of(model: Llava, processor: object) -> torch.Tensor:
    text = processor.apply_chat_template([MESSAGE], add_generation_prompt=True)
    image = Image.open(tiny_vlm.io.BytesIO(tiny_vlm.paint_square("red", 0)))
    inputs = processor(images=image, text=text, return_tensors="pt")
    with torch.inference_mode():
        return model(**inputs).logits


@pytest.mark.parametrize(
    ("changes", "tokens_per_image"),
    [
        ({}, 4),
        ({"tower_posterior": True}, 5),
        ({"projector": "mlp2x_gelu"}, 4),
        ({"chat_template": "vicuna_v1"}, 4),
    ],
)
def test_plain_transformers_reloads_what_was_saved_with_equal_logits(
    language_model: Path, tmp_path: Path, changes: dict[str, object], tokens_per_image: int
) -> None:
    vlm = assemble(tiny_vlm.tiny_settings(language_model, **changes), seed=3)
    vlm.save(tmp_path)
    model, processor = Llava.from_pretrained(tmp_path), AutoProcessor.from_pretrained(tmp_path)
    assert vlm.chat.tokens_per_image == tokens_per_image
    assert torch.equal(logits_of(model, processor), logits_of(vlm.model, vlm.processor))
    assert load_vlm(tmp_path).chat.template == vlm.chat.template


def test_the_linear_projector_is_one_linear_layer_in_the_librarys_form(language_model: Path) -> None:
    vlm = assemble(tiny_vlm.tiny_settings(language_model), seed=3)
    projector = vlm.model.model.multi_modal_projector
    features = torch.randn(2, 4, projector.linear_1.in_features)
    assert torch.equal(projector(features), projector.linear_1(features))


def test_the_projector_comes_from_the_seed_and_the_rest_from_the_parts(language_model: Path) -> None:
    settings = tiny_vlm.tiny_settings(language_model)
    first, again, other = (assemble(settings, seed).model.state_dict() for seed in (1, 1, 2))
    assert all(torch.equal(first[name], again[name]) for name in first)
    different = {name for name in first if not torch.equal(first[name], other[name])}
    assert different == {"model.multi_modal_projector.linear_1.weight"}


def test_a_clip_tower_is_read_as_llava_reads_it(language_model: Path, tmp_path: Path) -> None:
    config = CLIPVisionConfig(
        hidden_size=16, intermediate_size=32, num_hidden_layers=3, num_attention_heads=2, image_size=28, patch_size=14
    )
    CLIPVisionModel(config).save_pretrained(tmp_path / "clip")
    side = {"height": 28, "width": 28}
    CLIPImageProcessorPil(size={"shortest_edge": 28}, crop_size=side).save_pretrained(tmp_path / "clip")
    vlm = assemble(tiny_vlm.tiny_settings(language_model, tower=str(tmp_path / "clip"), image_size_px=28), seed=0)
    vlm.save(tmp_path / "llava")
    model, processor = Llava.from_pretrained(tmp_path / "llava"), AutoProcessor.from_pretrained(tmp_path / "llava")
    assert vlm.chat.tokens_per_image == 4
    assert model.config.vision_feature_layer == -2
    assert torch.equal(logits_of(model, processor), logits_of(vlm.model, vlm.processor))


@pytest.mark.parametrize("template", ["compact", "brief"])
def test_our_segments_spell_what_the_shipped_template_renders(language_model: Path, template: str) -> None:
    vlm: Vlm = assemble(tiny_vlm.tiny_settings(language_model, chat_template=template), seed=0)
    text = vlm.processor.apply_chat_template([MESSAGE], add_generation_prompt=True)
    turn = tiny_vlm.Turn(speaker="user", text="What is this?", images=(0,))
    assert vlm.chat.prompt_text([turn]) == text
    image = Image.new("RGB", (70, 90))
    assert vlm.processor(images=image, text=text).input_ids[0] == vlm.chat.prompt([turn])


def test_a_whole_dialogue_is_spelt_as_the_shipped_template_renders_it(language_model: Path) -> None:
    vlm: Vlm = assemble(tiny_vlm.tiny_settings(language_model), seed=0)
    turns = [
        tiny_vlm.Turn(speaker="user", text="Which color?"),
        tiny_vlm.Turn(speaker="assistant", text="Red."),
        tiny_vlm.Turn(speaker="user", text="Sure?"),
        tiny_vlm.Turn(speaker="assistant", text="Yes."),
    ]
    messages = [{"role": turn.speaker, "content": [{"type": "text", "text": turn.text}]} for turn in turns]
    ids = [token_id for segment in vlm.chat.segments(turns) for token_id in segment.token_ids]
    assert vlm.processor.apply_chat_template(messages) == vlm.chat.tokenizer.decode(ids)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"image_size_px": 100}, "Nearest that works: 96"),
        ({"chat_template": "compakt"}, "Did you mean 'compact'"),
        ({"tower": "efficientnet-lite9"}, "nor a folder"),
        ({"language_model": "smollm2-135m"}, "Did you mean 'smollm2-135m-instruct'"),
    ],
)
def test_parts_that_do_not_exist_are_named_with_what_would_work(
    language_model: Path, changes: dict[str, object], message: str
) -> None:
    with pytest.raises(ConfigError, match=message):
        assemble(tiny_vlm.tiny_settings(language_model, **changes), seed=0)


def test_a_language_model_that_was_not_pulled_names_the_command() -> None:
    with pytest.raises(BackendMissing, match="stablellava assets pull"):
        assemble(tiny_vlm.tiny_settings(Path("smollm2-135m-instruct")), seed=0)


def test_a_folder_without_a_model_is_refused(tmp_path: Path) -> None:
    with pytest.raises(RecordError, match="no config"):
        load_vlm(tmp_path)
