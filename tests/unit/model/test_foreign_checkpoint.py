"""LLaVAs in the Hugging Face form that were not trained here: a CLIP tower, a template of their own or none."""

from pathlib import Path

import pytest
import torch
from PIL import Image
from transformers import (
    CLIPImageProcessorPil,
    CLIPVisionConfig,
    LlamaConfig,
    LlavaConfig,
    LlavaForConditionalGeneration,
    LlavaProcessor,
)

import tiny_vlm
from stablellava.core.draft import Turn
from stablellava.core.errors import RecordError
from stablellava.core.score import EvalItem
from stablellava.model.answering import LocalAnswerer
from stablellava.model.prompting import load_checkpoint

# In the manner of llava-hf: roles in capitals, images first.
TEMPLATE = (
    "{% for message in messages %}{{ message['role'].upper() + ': ' }}"
    "{% for part in message['content'] if part.type == 'image' %}{{ '<image>\\n' }}{% endfor %}"
    "{% for part in message['content'] if part.type == 'text' %}{{ part.text + ' ' }}{% endfor %}"
    "{% endfor %}{% if add_generation_prompt %}{{ 'ASSISTANT:' }}{% endif %}"
)


def write_checkpoint(folder: Path, template: str | None) -> Path:
    torch.manual_seed(1)
    tokenizer = tiny_vlm.build_tokenizer()
    tokenizer.add_special_tokens({"additional_special_tokens": ["<image>"]})
    vision = CLIPVisionConfig(
        hidden_size=16, intermediate_size=32, num_hidden_layers=2, num_attention_heads=2, image_size=28, patch_size=14
    )
    text = LlamaConfig(
        vocab_size=len(tokenizer), hidden_size=32, intermediate_size=64, num_hidden_layers=2, num_attention_heads=4,
        num_key_value_heads=2, bos_token_id=1, eos_token_id=2, pad_token_id=2,
    )  # fmt: skip
    config = LlavaConfig(
        vision_config=vision, text_config=text, image_token_index=tokenizer.convert_tokens_to_ids("<image>"),
        vision_feature_layer=-2, vision_feature_select_strategy="default", image_seq_length=4,
    )  # fmt: skip
    model = LlavaForConditionalGeneration(config)
    with torch.no_grad():
        for parameter in model.parameters():
            if parameter.dim() > 1:
                parameter += torch.randn_like(parameter) * 0.2
    processor = LlavaProcessor(
        image_processor=CLIPImageProcessorPil(
            size={"shortest_edge": 28}, crop_size={"height": 28, "width": 28}, do_convert_rgb=True
        ),
        tokenizer=tokenizer,
        patch_size=14,
        num_additional_image_tokens=1,
        vision_feature_select_strategy="default",
        chat_template=template,
    )
    model.save_pretrained(folder)
    processor.save_pretrained(folder)
    return folder


@pytest.fixture(scope="module")
def foreign(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_checkpoint(tmp_path_factory.mktemp("foreign"), TEMPLATE)


@pytest.fixture(scope="module")
def items(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, list[EvalItem]]:
    folder = tmp_path_factory.mktemp("pictures")
    names = [tiny_vlm.write_square(folder, color).name for color in tiny_vlm.COLORS]
    shown = [names[:1], names[:1], names[1:], names[2:], []]
    return folder, [
        EvalItem(item_id=str(i), capability="c", images=tuple(images), question=f"What {'is ' * i}it?", accepted=("x",))
        for i, images in enumerate(shown)
    ]


def test_answers_are_those_of_the_library_with_the_checkpoints_own_template(
    foreign: Path, items: tuple[Path, list[EvalItem]]
) -> None:
    folder, asked = items
    answers = LocalAnswerer(foreign, max_new_tokens=8, batch_size=3).answer(asked, str(folder))
    model = LlavaForConditionalGeneration.from_pretrained(foreign, dtype=torch.float32)
    processor = LlavaProcessor.from_pretrained(foreign)
    for item, answer in zip(asked, answers, strict=True):
        images = [Image.open(folder / name) for name in item.images] or None
        inputs = processor(images=images, text=answer.prompt, return_tensors="pt")
        ids = model.generate(**inputs, max_new_tokens=8, do_sample=False)[0, inputs["input_ids"].shape[1] :]
        assert answer.text == processor.tokenizer.decode(ids, skip_special_tokens=True).strip()
    assert answers[0].prompt == "USER: <image>\nWhat it? ASSISTANT:"
    assert len({answer.text for answer in answers}) > 1


def test_it_can_be_asked_in_the_words_of_llava_15(foreign: Path, tmp_path: Path) -> None:
    asked = [Turn(speaker="user", text="What is it?", images=(0,))]
    for folder, style in ((foreign, "llava-1.5"), (write_checkpoint(tmp_path, None), "own")):
        prompter = load_checkpoint(folder, style).prompter  # type: ignore[arg-type]
        text = prompter.prompt_text(asked)
        assert text.startswith("A chat between a curious user and an artificial intelligence assistant. The assistant")
        assert text.endswith("USER: <image>\nWhat is it? ASSISTANT:")
        ids = prompter.prompt(asked)
        assert ids.count(prompter.tokenizer.convert_tokens_to_ids("<image>")) == 4


def test_tags_of_images_stay_where_they_are_and_typed_ones_are_refused(foreign: Path) -> None:
    prompter = load_checkpoint(foreign).prompter
    token = prompter.tokenizer.convert_tokens_to_ids("<image>")
    pair = Turn(speaker="user", text="<image> or <image>?", images=(0, 1))
    assert prompter.prompt([pair]).count(token) == 8
    with pytest.raises(RecordError, match="'<image>' 3 times for 1 images"):
        prompter.prompt([Turn(speaker="user", text="What does <image> or so mean? <image>", images=(0,))])


def test_losses_of_options_follow_the_words_of_the_answer_alone(
    foreign: Path, items: tuple[Path, list[EvalItem]]
) -> None:
    folder, asked = items
    answerer = LocalAnswerer(foreign)
    (losses,) = answerer.option_losses(asked[:1], [("red", "a blue one", "red")], str(folder))
    assert losses[0] == pytest.approx(losses[2])
    assert losses[0] != losses[1]


def test_other_kinds_of_models_are_refused(tmp_path: Path, foreign: Path) -> None:
    for path in foreign.iterdir():
        (tmp_path / path.name).write_bytes(path.read_bytes())
    config = (tmp_path / "config.json").read_text(encoding="utf-8")
    changed = config.replace('"vision_feature_layer": -2', '"vision_feature_layer": [-2]')
    assert changed != config
    (tmp_path / "config.json").write_text(changed, encoding="utf-8")
    with pytest.raises(RecordError, match="from one layer"):
        load_checkpoint(tmp_path)
