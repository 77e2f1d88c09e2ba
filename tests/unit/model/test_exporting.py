"""Round trips: ours to every form and back, every tensor accounted for and the logits the same."""

import json
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file, save_file
from transformers import LlavaForConditionalGeneration

import tiny_towers
import tiny_vlm
from stablellava.config.lora import LoraSettings
from stablellava.config.training import ModelSettings
from stablellava.core.errors import ConfigError, RecordError
from stablellava.model.adapters import add_adapters
from stablellava.model.assembling import assemble
from stablellava.model.checkpoints import begin_vlm, load_vlm, read_checkpoint, read_whole
from stablellava.model.exporting import export_model
from stablellava.model.sketching import count_image_tokens, sketch_llava
from stablellava.model.vlm import select_patches
from stablellava.model.weight_files import read_weights

KINDS = [(tower, projector) for tower in ("clip", "siglip") for projector in ("linear", "mlp2x_gelu")]
LORA = LoraSettings(rank=4, alpha=8, dropout=0.0, base_precision="float32")


@pytest.fixture(scope="module")
def parts(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("parts")
    for tower in ("clip", "siglip"):
        tiny_towers.write_tower(folder / tower, tower)
    tiny_vlm.write_language_model(folder / "tied", rope_theta=500000.0)
    tiny_vlm.write_language_model(folder / "untied", tie_word_embeddings=False)
    return folder


def settings_of(parts: Path, tower: str = "clip", projector: str = "linear", **changes: object) -> ModelSettings:
    return tiny_vlm.tiny_settings(
        parts / ("tied" if tower == "clip" else "untied"),
        tower=str(parts / tower), image_size_px=tiny_towers.IMAGE_SIZE_PX, projector=projector, **changes,
    )  # fmt: skip


def save_one(parts: Path, folder: Path, tower: str = "clip", projector: str = "linear", **changes: object) -> Path:
    assemble(settings_of(parts, tower, projector, **changes), seed=0).save(folder)
    return folder


def assert_same(first: Path, second: Path) -> None:
    one, other = read_checkpoint(first)[0], read_checkpoint(second)[0]
    assert one.state_dict().keys() == other.state_dict().keys()
    assert all(torch.equal(tensor, other.state_dict()[name]) for name, tensor in one.state_dict().items())
    torch.testing.assert_close(tiny_towers.logits_of(one), tiny_towers.logits_of(other), rtol=0, atol=1e-5)


@pytest.mark.parametrize(("tower", "projector"), KINDS)
@pytest.mark.parametrize("form", ["hf", "llava"])
def test_a_model_comes_back_the_same(parts: Path, tmp_path: Path, tower: str, projector: str, form: str) -> None:
    saved = save_one(parts, tmp_path / "saved", tower, projector)
    report = export_model(saved, form, tmp_path / "out")
    assert_same(saved, tmp_path / "out")
    assert report.num_tensors == len(read_weights(tmp_path / "out"))
    # Back into our own form, as a checkpoint to go on from.
    begin_vlm(settings_of(parts, tower, start=str(tmp_path / "out")), seed=1).save(tmp_path / "back")
    assert_same(saved, tmp_path / "back")
    assert load_vlm(tmp_path / "back").chat.template == load_vlm(saved).chat.template


@pytest.mark.parametrize(("tower", "strategy", "tokens"), [("clip", "default", 4), ("siglip", "full", 4)])
def test_each_tower_is_read_as_llava_reads_it(parts: Path, tower: str, strategy: str, tokens: int) -> None:
    vlm = assemble(settings_of(parts, tower), seed=0)
    config = vlm.model.config
    assert (config.vision_feature_layer, config.vision_feature_select_strategy) == (-2, strategy)
    assert vlm.chat.tokens_per_image == tokens
    text = vlm.processor.apply_chat_template(
        [{"role": "user", "content": [{"type": "image"}, {"type": "text", "text": "?"}]}]
    )
    picture = tiny_vlm.Image.new("RGB", (70, 90))
    assert vlm.processor(images=picture, text=text).input_ids[0].count(config.image_token_id) == tokens


@pytest.mark.parametrize("tower", ["clip", "siglip"])
def test_vision_weights_bear_the_names_that_both_releases_of_transformers_know(
    parts: Path, tmp_path: Path, tower: str
) -> None:
    names = load_file(save_one(parts, tmp_path / "saved", tower) / "model.safetensors")
    vision = [name for name in names if name.startswith("vision_tower.")]
    assert vision
    assert all(name.startswith("vision_tower.vision_model.") for name in vision)
    _, account = read_whole(tmp_path / "saved")
    assert account.is_complete
    assert account.num_loaded >= len(names)


def test_what_transformers_4_reads_stands_beside_what_5_writes(parts: Path, tmp_path: Path) -> None:
    saved = save_one(parts, tmp_path / "saved")
    config = json.loads((saved / "config.json").read_text())
    assert config["text_config"]["rope_theta"] == 500000.0
    assert config["text_config"]["rope_parameters"]["rope_theta"] == 500000.0
    assert json.loads((saved / "tokenizer_config.json").read_text())["tokenizer_class"] == "PreTrainedTokenizerFast"
    assert (saved / "preprocessor_config.json").is_file()
    assert "<image>" in load_vlm(saved).processor.tokenizer.all_special_tokens


def test_the_original_layout_bears_the_original_names(parts: Path, tmp_path: Path) -> None:
    export_model(save_one(parts, tmp_path / "one"), "llava", tmp_path / "linear")
    export_model(save_one(parts, tmp_path / "two", "siglip", "mlp2x_gelu"), "llava", tmp_path / "mlp")
    linear, mlp = read_weights(tmp_path / "linear"), read_weights(tmp_path / "mlp")
    assert {name for name in linear if "mm_projector" in name} == {
        "model.mm_projector.weight",
        "model.mm_projector.bias",
    }
    assert {name for name in mlp if "mm_projector" in name} == {
        f"model.mm_projector.{layer}.{kind}" for layer in (0, 2) for kind in ("weight", "bias")
    }
    assert "model.layers.1.mlp.up_proj.weight" in linear
    assert "lm_head.weight" not in linear  # tied
    assert "lm_head.weight" in mlp
    assert "model.vision_tower.vision_tower.vision_model.embeddings.position_embedding.weight" in linear
    settings = json.loads((tmp_path / "linear" / "config.json").read_text())
    assert (settings["model_type"], settings["mm_projector_type"]) == ("llava_llama", "linear")
    assert (settings["mm_vision_select_layer"], settings["mm_vision_select_feature"]) == (-2, "patch")
    assert (settings["rope_theta"], settings["vocab_size"]) == (500000.0, 260)
    tower = load_file(tmp_path / "linear" / "clip_tower" / "model.safetensors")
    assert all(name.startswith("vision_model.") for name in tower)


def test_an_original_without_tower_weights_takes_the_tower_that_is_named(parts: Path, tmp_path: Path) -> None:
    """As the first LLaVAs were published: pickled, the projector's file beside the language model's, no tower."""
    saved = save_one(parts, tmp_path / "saved")
    export_model(saved, "llava", tmp_path / "original")
    folder = tmp_path / "original"
    tensors = read_weights(folder)
    projector = {name: tensor for name, tensor in tensors.items() if "mm_projector" in name}
    rest = {name: tensor for name, tensor in tensors.items() if "vision_tower" not in name and name not in projector}
    rest["model.layers.0.self_attn.rotary_emb.inv_freq"] = torch.zeros(4)
    torch.save(rest, folder / "pytorch_model-00001-of-00001.bin")
    torch.save(projector, folder / "mm_projector.bin")
    (folder / "model.safetensors").unlink()
    (folder / "clip_tower").rename(tmp_path / "elsewhere")
    settings = json.loads((folder / "config.json").read_text())
    (folder / "config.json").write_text(json.dumps(settings | {"mm_vision_tower": "openai/clip-vit-large-patch14"}))
    with pytest.raises(RecordError, match=r"not on this machine.*training\.model\.tower"):
        read_checkpoint(folder)
    vlm = begin_vlm(ModelSettings(start=str(folder), tower=str(parts / "clip")), seed=0)
    expected = tiny_towers.logits_of(load_vlm(saved).model)
    torch.testing.assert_close(tiny_towers.logits_of(vlm.model), expected, rtol=0, atol=1e-5)


def test_an_adapter_is_exported_alone_merged_or_in_the_original_layout(parts: Path, tmp_path: Path) -> None:
    saved = save_one(parts, tmp_path / "saved")
    vlm = load_vlm(saved)
    add_adapters(vlm.model, LORA, seed=0)
    for name, parameter in vlm.model.named_parameters():
        if ".lora_B." in name:
            parameter.data += 0.1
    expected = tiny_towers.logits_of(vlm.model)
    vlm.save(tmp_path / "adapter")
    for form, out in (("merged", "a"), ("llava", "b"), ("adapter", "deeper/c")):
        export_model(tmp_path / "adapter", form, tmp_path / out)
        logits = tiny_towers.logits_of(read_checkpoint(tmp_path / out)[0])
        torch.testing.assert_close(logits, expected, rtol=0, atol=1e-5)
    assert not (tmp_path / "deeper" / "c" / "model.safetensors").exists()
    _, account = read_whole(tmp_path / "a")
    assert account.is_complete


def test_half_precision_is_written_and_read_back(parts: Path, tmp_path: Path) -> None:
    saved = save_one(parts, tmp_path / "saved")
    report = export_model(saved, "hf", tmp_path / "half", dtype="bfloat16")
    assert report.size_bytes < export_model(saved, "hf", tmp_path / "whole").size_bytes
    assert {tensor.dtype for tensor in read_weights(tmp_path / "half").values()} == {torch.bfloat16}
    assert LlavaForConditionalGeneration.from_pretrained(tmp_path / "half").dtype == torch.bfloat16


@pytest.mark.parametrize("fault", ["missing", "left over", "of another shape"])
def test_a_folder_with_a_tensor_too_few_or_too_many_is_refused(parts: Path, tmp_path: Path, fault: str) -> None:
    saved = save_one(parts, tmp_path / "saved")
    export_model(saved, "llava", tmp_path / "original")
    for folder in (saved, tmp_path / "original"):
        tensors = load_file(folder / "model.safetensors")
        name = next(name for name in sorted(tensors) if "layers.1.mlp.up_proj" in name)
        changed = {"missing": None, "left over": tensors[name], "of another shape": torch.zeros(3)}[fault]
        if fault == "left over":
            tensors[name.replace("layers.1", "layers.7")] = tensors[name].clone()
        elif changed is None:
            del tensors[name]
        else:
            tensors[name] = changed
        save_file(tensors, folder / "model.safetensors", metadata={"format": "pt"})
        with pytest.raises(RecordError, match=r"up_proj|shape|mismatch"):
            read_checkpoint(folder)


@pytest.mark.parametrize(
    ("form", "message"),
    [("gguf", "llama.cpp's converter"), ("onnx", "there are hf"), ("merged", "a whole model"), ("adapter", "as hf")],
)
def test_forms_that_cannot_be_written_are_refused(parts: Path, tmp_path: Path, form: str, message: str) -> None:
    saved = save_one(parts, tmp_path / "saved")
    with pytest.raises(ConfigError, match=message):
        export_model(saved, form, tmp_path / "out")
    assert not (tmp_path / "out").exists()


def test_an_existing_folder_is_never_written_into(parts: Path, tmp_path: Path) -> None:
    saved = save_one(parts, tmp_path / "saved")
    with pytest.raises(ConfigError, match="already there"):
        export_model(saved, "hf", saved)


def test_pictures_are_padded_to_squares_where_the_recipe_says_so(parts: Path, tmp_path: Path) -> None:
    saved = save_one(parts, tmp_path / "saved", pad_images=True)
    export_model(saved, "llava", tmp_path / "original")
    wide = tiny_vlm.Image.new("RGB", (280, 28), (255, 255, 255))
    for folder in (saved, tmp_path / "original"):
        _, processor = read_checkpoint(folder)
        pixels = processor.image_processor(images=[wide], return_tensors="pt")["pixel_values"][0]
        # Bars above and below in the mean color, which is 0 once normalized.
        assert pixels[:, 0].abs().max() < 0.02
        assert pixels[:, 13:15, 13:15].min() > 1


@pytest.mark.parametrize("tower", ["clip", "siglip"])
def test_reading_patches_leaves_the_librarys_own_way_as_it_was(parts: Path, tower: str) -> None:
    model = assemble(settings_of(parts, tower), seed=0).model
    pixels = torch.randn(2, 3, tiny_towers.IMAGE_SIZE_PX, tiny_towers.IMAGE_SIZE_PX)
    patches = select_patches(model, pixels)
    hidden = model.model.vision_tower(pixels, output_hidden_states=True).hidden_states
    assert len(hidden) == 4
    assert torch.equal(patches, hidden[-2][:, 1:] if tower == "clip" else hidden[-2])
    assert tiny_towers.logits_of(model).isfinite().all()


@pytest.mark.parametrize("form", ["hf", "llava"])
def test_the_sketch_of_a_checkpoint_has_its_shapes(parts: Path, tmp_path: Path, form: str) -> None:
    saved = save_one(parts, tmp_path / "saved", "siglip", "mlp2x_gelu")
    export_model(saved, form, tmp_path / "out")
    settings = ModelSettings(start=str(tmp_path / "out"))
    sketched, whole = sketch_llava(settings), read_checkpoint(saved)[0]
    shapes = {name: tensor.shape for name, tensor in whole.state_dict().items()}
    assert {name: tensor.shape for name, tensor in sketched.state_dict().items()} == shapes
    assert count_image_tokens(settings) == whole.config.image_seq_length
