"""Adapters: where they stand, that they start as nothing, that merged and saved they say the same."""

import re
import sys
from pathlib import Path

import peft
import pytest
import torch
from torch import nn

import tiny_towers
import tiny_vlm
from stablellava.config.lora import LoraSettings
from stablellava.core.errors import BackendMissing, RecordError
from stablellava.model.adapters import add_adapters, has_adapters, merge_adapters, target_pattern
from stablellava.model.assembling import Vlm, assemble
from stablellava.model.base_precision import lower_base_precision
from stablellava.model.checkpoints import load_vlm, read_checkpoint
from stablellava.model.prompting import load_checkpoint

LORA = LoraSettings(rank=4, alpha=8, dropout=0.0, base_precision="float32")


@pytest.fixture(scope="module")
def parts(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path]:
    folder = tmp_path_factory.mktemp("parts")
    return tiny_towers.write_tower(folder / "clip", "clip"), tiny_vlm.write_language_model(folder / "lm")


@pytest.fixture
def saved(parts: tuple[Path, Path], tmp_path: Path) -> Path:
    """A whole LLaVA on disk, of two kinds of parts whose layers bear the same names."""
    tower, language_model = parts
    settings = tiny_vlm.tiny_settings(language_model, tower=str(tower), image_size_px=tiny_towers.IMAGE_SIZE_PX)
    assemble(settings, seed=0).save(tmp_path / "whole")
    return tmp_path / "whole"


def load_with_adapters(folder: Path, seed: int = 0) -> Vlm:
    vlm = load_vlm(folder)
    add_adapters(vlm.model, LORA, seed)
    return vlm


def learn(vlm: Vlm) -> None:
    """Move everything that a stage with adapters moves."""
    torch.manual_seed(2)
    for name, parameter in vlm.model.named_parameters():
        if ".lora_" in name or "multi_modal_projector.linear_1" in name:
            parameter.data += 0.1 * torch.randn_like(parameter)


def test_adapters_stand_on_every_linear_layer_of_the_language_model_and_nowhere_else(saved: Path) -> None:
    vlm = load_vlm(saved)
    linear = {
        name for name, module in vlm.model.named_modules() if isinstance(module, nn.Linear) and "language_model" in name
    }
    pattern = target_pattern(vlm.model)
    assert {name for name, _ in vlm.model.named_modules() if re.fullmatch(pattern, name)} == linear
    add_adapters(vlm.model, LORA, seed=0)
    adapted = {name.partition(".lora_A.")[0] for name, _ in vlm.model.named_parameters() if ".lora_A." in name}
    assert adapted == linear
    # q_proj, k_proj and v_proj are names in the tower, too.
    assert any("vision_tower" in name and name.endswith("q_proj") for name, _ in vlm.model.named_modules())
    assert not any("vision_tower" in name or "projector" in name for name in adapted)


def test_an_adapter_starts_as_nothing_and_from_its_seed_alone(saved: Path) -> None:
    plain = tiny_towers.logits_of(load_vlm(saved).model)
    first, again, other = (load_with_adapters(saved, seed).model for seed in (1, 1, 2))
    assert torch.equal(tiny_towers.logits_of(first), plain)
    weights = [dict(model.named_parameters()) for model in (first, again, other)]
    for name in (name for name in weights[0] if ".lora_A." in name):
        assert torch.equal(weights[0][name], weights[1][name])
        assert not torch.equal(weights[0][name], weights[2][name])


def test_merged_adapters_give_the_same_logits_under_the_plain_names(saved: Path) -> None:
    names = set(load_vlm(saved).model.state_dict())
    vlm = load_with_adapters(saved)
    learn(vlm)
    expected = tiny_towers.logits_of(vlm.model)
    merge_adapters(vlm.model)
    assert not has_adapters(vlm.model)
    assert set(vlm.model.state_dict()) == names
    torch.testing.assert_close(tiny_towers.logits_of(vlm.model), expected, rtol=0, atol=1e-5)


def test_a_saved_adapter_is_small_and_loads_onto_its_base_with_equal_logits(saved: Path) -> None:
    vlm = load_with_adapters(saved)
    learn(vlm)
    expected = tiny_towers.logits_of(vlm.model)
    vlm.save(saved.parent / "adapter")
    assert not (saved.parent / "adapter" / "model.safetensors").exists()
    torch.testing.assert_close(
        tiny_towers.logits_of(load_vlm(saved.parent / "adapter").model), expected, rtol=0, atol=1e-5
    )


@pytest.mark.filterwarnings("ignore:`is_gradient_checkpointing`:FutureWarning")  # peft's own call
def test_plain_peft_loads_adapter_and_projector(saved: Path) -> None:
    vlm = load_with_adapters(saved)
    learn(vlm)
    expected = tiny_towers.logits_of(vlm.model)
    vlm.save(saved.parent / "adapter")
    base, _ = read_checkpoint(saved)
    loaded = peft.PeftModel.from_pretrained(base, str(saved.parent / "adapter"))
    torch.testing.assert_close(tiny_towers.logits_of(loaded.base_model.model), expected, rtol=0, atol=1e-5)


def test_an_adapter_refuses_other_weights_and_a_base_that_is_gone(saved: Path) -> None:
    vlm = load_with_adapters(saved)
    vlm.save(saved.parent / "adapter")
    other = load_vlm(saved)
    other.model.model.multi_modal_projector.linear_1.weight.data += 1
    other.save(saved)
    with pytest.raises(RecordError, match="other weights"):
        load_vlm(saved.parent / "adapter")
    saved.rename(saved.parent / "moved")
    with pytest.raises(RecordError, match="is not there"):
        load_vlm(saved.parent / "adapter")


def test_a_half_precision_base_keeps_tower_projector_and_adapters_whole(saved: Path) -> None:
    vlm = load_vlm(saved)
    lower_base_precision(vlm.model, "bfloat16")
    add_adapters(vlm.model, LORA, seed=0)
    kept = {torch.float32: 0, torch.bfloat16: 0}
    for name, parameter in vlm.model.named_parameters():
        is_base = ("language_model" in name or "lm_head" in name) and ".lora_" not in name
        assert parameter.dtype == (torch.bfloat16 if is_base else torch.float32), name
        kept[parameter.dtype] += 1
    assert all(kept.values())
    assert vlm.model.lm_head.weight is vlm.model.get_input_embeddings().weight


def test_half_precision_keeps_the_positions_that_the_model_computes_for_itself(saved: Path) -> None:
    vlm = load_with_adapters(saved)
    vlm.save(saved.parent / "adapter")
    lowered = load_vlm(saved).model
    lower_base_precision(lowered, "bfloat16")
    read, _ = read_checkpoint(saved.parent / "adapter", torch.bfloat16)
    expected = vlm.model.model.language_model.rotary_emb.inv_freq
    for model in (lowered, read):
        assert model.lm_head.weight.dtype == torch.bfloat16
        found = model.model.language_model.rotary_emb.inv_freq
        assert found.dtype == torch.float32 and torch.equal(found, expected)


@pytest.mark.parametrize("form", ["whole", "adapter"])
def test_a_checkpoint_asked_in_half_precision_sees_in_full(saved: Path, form: str) -> None:
    vlm = load_with_adapters(saved)
    if form == "adapter":
        vlm.save(saved.parent / "adapter")
    asked = load_checkpoint(saved.parent / "adapter" if form == "adapter" else saved, dtype=torch.bfloat16).model
    assert asked.model.language_model.layers[0].mlp.up_proj.weight.dtype == torch.bfloat16
    assert asked.lm_head.weight.dtype == torch.bfloat16
    for part in ("model.vision_tower", "model.multi_modal_projector"):
        expected = dict(vlm.model.get_submodule(part).named_parameters())
        found = dict(asked.get_submodule(part).named_parameters())
        assert found.keys() == expected.keys()
        assert all(torch.equal(found[name], parameter) for name, parameter in expected.items())


def test_four_bits_need_a_package_that_is_named(saved: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "bitsandbytes", None)
    with pytest.raises(BackendMissing, match="pip install bitsandbytes"):
        lower_base_precision(load_vlm(saved).model, "nf4")
