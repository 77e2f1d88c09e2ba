"""Low-rank adapters inside the language model, in the form that peft reads and writes.

An adapter's folder holds what was trained, and says what it was trained on:

    adapter_config.json, adapter_model.safetensors   peft's own: adapters, and the projector in full
    base.json                                        the folder it stands on, and a hash of the weights there
    config.json, processor files                     as in a whole checkpoint
"""

import math
import os
import re
from pathlib import Path
from typing import TYPE_CHECKING, Any

import torch
from safetensors.torch import load_file, save_file
from torch import nn
from transformers import LlavaForConditionalGeneration

from stablellava.config.lora import LoraSettings
from stablellava.core.errors import BackendMissing, ConfigError, RecordError
from stablellava.core.ids import seed_from
from stablellava.core.record import Record
from stablellava.model.weight_files import hash_weights

if TYPE_CHECKING:
    from peft import LoraConfig

CONFIG_NAME = "adapter_config.json"
BASE_NAME = "base.json"
_WEIGHTS_NAME = "adapter_model.safetensors"
_ADAPTER = "default"
_PEFT_PREFIX = "base_model.model."
_LANGUAGE_MODEL = "model.language_model."
_PROJECTOR = "model.multi_modal_projector."


class AdapterBase(Record):
    """What an adapter was trained on."""

    folder: str
    """Relative to the adapter's own folder where it was written as such."""
    weights: str
    """Hash of the weights there."""


def add_adapters(llava: LlavaForConditionalGeneration, lora: LoraSettings, seed: int) -> None:
    """Put an adapter beside every linear layer of the language model; it changes nothing until it has learned.

    Raises: ConfigError if the language model has no linear layer, BackendMissing without peft.
    """
    config = _import_peft().LoraConfig(
        r=lora.rank, lora_alpha=lora.alpha, lora_dropout=lora.dropout, target_modules=target_pattern(llava)
    )
    _inject(llava, config)
    for name, parameter in llava.named_parameters():
        if ".lora_A." in name:
            generator = torch.Generator().manual_seed(seed_from(seed, name))
            drawn = torch.empty(parameter.shape)
            nn.init.kaiming_uniform_(drawn, a=math.sqrt(5), generator=generator)
            parameter.data.copy_(drawn)


def target_pattern(llava: LlavaForConditionalGeneration) -> str:
    """Return the pattern of the names of all linear layers inside the language model, and of none outside.

    Raises: ConfigError if there are none.
    """
    kinds = {
        name.rpartition(".")[2]
        for name, module in llava.named_modules()
        if name.startswith(_LANGUAGE_MODEL) and isinstance(module, nn.Linear)
    }
    if not kinds:
        raise ConfigError(f"{type(llava.model.language_model).__name__} has no linear layers that adapters could join")
    return rf"model\.language_model\..*\.({'|'.join(sorted(map(re.escape, kinds)))})"


def has_adapters(llava: nn.Module) -> bool:
    """Tell whether adapters stand in the model."""
    return any(".lora_" in name for name, _ in llava.named_parameters())


def adapter_parameters(llava: nn.Module) -> list[nn.Parameter]:
    """Return the adapters' weights."""
    return [parameter for name, parameter in llava.named_parameters() if ".lora_" in name]


def merge_adapters(llava: LlavaForConditionalGeneration) -> None:
    """Add the adapters to the weights beside them, and leave the plain model."""
    tuner_layer = _import_peft().tuners.tuners_utils.BaseTunerLayer
    for name, module in list(llava.named_modules()):
        if isinstance(module, tuner_layer):
            module.merge(safe_merge=True)
            parent, _, own = name.rpartition(".")
            setattr(llava.get_submodule(parent), own, module.get_base_layer())
    del llava.peft_config


def save_adapter(llava: LlavaForConditionalGeneration, folder: Path, base: Path) -> None:
    """Write adapters and projector as peft does, with a reference to the folder whose weights they belong to."""
    folder.mkdir(parents=True, exist_ok=True)
    reference = os.path.relpath(base.resolve(), folder.resolve())
    config: Any = llava.peft_config[_ADAPTER]
    written = _import_peft().LoraConfig(
        r=config.r,
        lora_alpha=config.lora_alpha,
        lora_dropout=config.lora_dropout,
        target_modules=config.target_modules,
        modules_to_save=["multi_modal_projector"],
        base_model_name_or_path=reference,
        inference_mode=True,
    )
    written.save_pretrained(str(folder))
    tensors = {
        _PEFT_PREFIX + name.replace(f".{_ADAPTER}.", "."): tensor.detach().float().contiguous()
        for name, tensor in llava.state_dict().items()
        if ".lora_" in name or name.startswith(_PROJECTOR)
    }
    save_file(dict(sorted(tensors.items())), folder / _WEIGHTS_NAME, metadata={"format": "pt"})
    origin = AdapterBase(folder=reference, weights=hash_weights(base))
    (folder / BASE_NAME).write_bytes(origin.to_json())
    llava.config.save_pretrained(folder)


def is_adapter(folder: Path) -> bool:
    """Tell whether a folder holds an adapter."""
    return (folder / CONFIG_NAME).is_file()


def find_base(folder: Path) -> Path:
    """Return the folder that an adapter stands on.

    Raises: RecordError if it is not there, or holds other weights than the adapter was trained on.
    """
    path = folder / BASE_NAME
    if not path.is_file():
        raise RecordError(
            f"{folder} is an adapter that was not saved here: it has no {BASE_NAME}. "
            "Merge it into its model where it comes from, and use the merged folder"
        )
    origin = AdapterBase.from_json(path.read_bytes(), str(path))
    base = (folder / origin.folder).resolve()
    if not (base / "config.json").is_file():
        raise RecordError(f"{folder} is an adapter to the model in {base}, which is not there; correct {path}")
    if hash_weights(base) != origin.weights:
        raise RecordError(f"{folder} is an adapter to other weights than those in {base}; it would answer nonsense")
    return base


def copy_base_reference(folder: Path, target: Path) -> Path:
    """Let a copy of an adapter's folder name the same base, and return that."""
    base = find_base(folder)
    origin = AdapterBase.from_json((folder / BASE_NAME).read_bytes())
    reference = os.path.relpath(base, target.resolve())
    (target / BASE_NAME).write_bytes(origin.model_copy(update={"folder": reference}).to_json())
    config = _import_peft().LoraConfig.from_pretrained(str(folder))
    config.base_model_name_or_path = reference
    config.save_pretrained(str(target))
    return base


def apply_adapter(llava: LlavaForConditionalGeneration, folder: Path) -> None:
    """Merge a saved adapter and its projector into the model it was trained on.

    Raises: RecordError if a tensor is left over or missing.
    """
    config = _import_peft().LoraConfig.from_pretrained(str(folder))
    config.modules_to_save = None
    _inject(llava, config)
    stored = load_file(folder / _WEIGHTS_NAME)
    named = {_name_inside(name): tensor for name, tensor in stored.items()}
    wanted = {name for name in llava.state_dict() if ".lora_" in name or name.startswith(_PROJECTOR)}
    if named.keys() != wanted:
        missing, unexpected = sorted(wanted - named.keys()), sorted(named.keys() - wanted)
        raise RecordError(
            f"{folder / _WEIGHTS_NAME} does not fit its model: {len(missing)} tensors missing {missing[:1]}, "
            f"{len(unexpected)} unexpected {unexpected[:1]}"
        )
    llava.load_state_dict(named, strict=False)
    merge_adapters(llava)


def _name_inside(stored: str) -> str:
    name = stored.removeprefix(_PEFT_PREFIX)
    return re.sub(r"\.(lora_[AB])\.", rf".\1.{_ADAPTER}.", name)


def _inject(llava: LlavaForConditionalGeneration, config: "LoraConfig") -> None:
    learned = {name: parameter.requires_grad for name, parameter in llava.named_parameters()}
    with torch.random.fork_rng():  # peft draws a start of its own from the global generator
        _import_peft().inject_adapter_in_model(config, llava, adapter_name=_ADAPTER)
    for name, parameter in llava.named_parameters():
        if ".lora_" in name:
            parameter.data = parameter.data.float()
        else:
            # peft freezes everything; what learns besides adapters is not its business.
            parameter.requires_grad_(learned.get(name.replace(".base_layer.", "."), False))


def _import_peft() -> Any:
    # Takes seconds, so only those who train or load adapters wait for it.
    try:
        import peft
    except ImportError as exc:
        raise BackendMissing("adapters need the package peft: pip install 'stablellava[train]'") from exc
    return peft
