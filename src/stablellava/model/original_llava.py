"""The layout of the original LLaVA: a language model's folder with projector, tower and settings mixed in.

    config.json        the language model's, with mm_vision_tower, mm_projector_type, ...
    *.safetensors      model.layers..., lm_head...          the language model under its own names
                       model.mm_projector.0, .2             a projector of two layers; without number, of one
                       model.vision_tower.vision_tower...   the tower, where it was saved too
    <kind>_tower/      ours only: the tower as a model of its own, which LLaVA's code loads

Read and written without LLaVA's code.
"""

import json
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import torch
from huggingface_hub import save_torch_state_dict
from torch import nn
from transformers import (
    AutoConfig,
    AutoModelForCausalLM,
    AutoTokenizer,
    LlavaForConditionalGeneration,
    LlavaProcessor,
    PreTrainedConfig,
    PreTrainedModel,
)
from transformers.initialization import no_init_weights

from stablellava.core.errors import ConfigError, RecordError
from stablellava.model.assembling import (
    PROJECTOR_ACTIVATION,
    Tower,
    build_processor,
    has_linear_projector,
    join_parts,
    load_vit,
    make_room_for,
)
from stablellava.model.chat_template import IMAGE_TOKEN, bind_template, token_id_of
from stablellava.model.language_model import without_progress_bars
from stablellava.model.portable import rewrite_settings, spell_positions, spell_tokenizer
from stablellava.model.weight_files import read_weights, rename_weights

DEFAULT_TEMPLATE = "vicuna_v1"
"""What LLaVA-1.5 speaks; original folders do not say."""
_KINDS = {"llama": "llava_llama", "mistral": "llava_mistral", "qwen2": "llava_qwen"}
_LANGUAGE_MODELS = {**{theirs: ours for ours, theirs in _KINDS.items()}, "llava": "llama"}
_TOWERS = {"clip_vision_model": "clip_tower", "siglip_vision_model": "siglip_tower"}
_TOWER = "model.vision_tower.vision_tower.vision_model."
_LAYERS = {"linear": {"": "linear_1."}, "mlp2x_gelu": {"0.": "linear_1.", "2.": "linear_2."}}
_BUFFERS = ("rotary_emb.inv_freq", "position_ids")
_NOT_OF_LANGUAGE_MODEL = (
    "architectures",
    "model_type",
    "transformers_version",
    "_name_or_path",
    "dtype",
    "torch_dtype",
)
_NOT_OF_LANGUAGE_MODEL_PREFIXES = ("mm_", "tune_mm_", "freeze_mm_", "use_mm_", "image_")
_MAX_SHARD_SIZE = "5GB"


@dataclass
class _Sorted:
    """The tensors of a folder by the part that they belong to, under that part's own names."""

    language_model: dict[str, torch.Tensor] = field(default_factory=dict)
    projector: dict[str, torch.Tensor] = field(default_factory=dict)
    tower: dict[str, torch.Tensor] = field(default_factory=dict)


def is_original(folder: Path) -> bool:
    """Tell whether a folder is laid out as the original LLaVA's."""
    path = folder / "config.json"
    return path.is_file() and "mm_vision_tower" in json.loads(path.read_text(encoding="utf-8"))


def sketch_original(folder: Path) -> tuple[str, PreTrainedConfig, str]:
    """Return what config.json says: the tower's folder or name, the language model's sizes, the projector's kind.

    Raises: ConfigError for a language model that is not known here.
    """
    settings: dict[str, Any] = json.loads((folder / "config.json").read_text(encoding="utf-8"))
    place = next((place for place in _tower_places(folder, settings) if (place / "config.json").is_file()), None)
    tower = str(place or settings["mm_vision_tower"])
    return tower, _language_config(folder, settings), str(settings.get("mm_projector_type", "linear"))


def read_original(
    folder: Path, tower_folder: Path | None = None
) -> tuple[LlavaForConditionalGeneration, LlavaProcessor]:
    """Return the model in the library's form, in float32.

    The tower comes from ``tower_folder``, else from where config.json says, else from beside it; weights of the tower
    that the folder itself holds go before those.

    Raises: RecordError if a part or a tensor is missing, left over or misshapen, ConfigError for kinds not known here.
    """
    settings: dict[str, Any] = json.loads((folder / "config.json").read_text(encoding="utf-8"))
    if settings.get("mm_use_im_start_end"):
        raise ConfigError(
            f"{folder} marks images with start and end tokens, as LLaVA v0 did; v1 and later are read here"
        )
    kind = settings.get("mm_projector_type", "linear")
    if kind not in PROJECTOR_ACTIVATION:
        raise ConfigError(f"{folder} has a projector {kind!r}; known are {', '.join(PROJECTOR_ACTIVATION)}")
    tower = _find_tower(folder, settings, tower_folder)
    tensors = _sort(read_weights(folder), kind)
    language_model = _build_language_model(folder, settings, tensors.language_model)
    tokenizer = AutoTokenizer.from_pretrained(folder, config=language_model.config, local_files_only=True)
    if tensors.tower:
        _fill(tower.model, tensors.tower, folder, "vision_tower")
    tokenizer.add_special_tokens({"additional_special_tokens": [IMAGE_TOKEN]})
    image_token_id = token_id_of(tokenizer, IMAGE_TOKEN)
    make_room_for(image_token_id, language_model)
    model = join_parts(tower, language_model, image_token_id, PROJECTOR_ACTIVATION[kind])
    projector = model.model.multi_modal_projector
    if kind == "linear":
        width = projector.linear_2.in_features
        tensors.projector |= {"linear_2.weight": torch.eye(width), "linear_2.bias": torch.zeros(width)}
    _fill(projector, tensors.projector, folder, "mm_projector")
    template = folder / "chat_template.jinja"
    jinja = (
        template.read_text(encoding="utf-8") if template.is_file() else bind_template(DEFAULT_TEMPLATE, tokenizer).jinja
    )
    return model, build_processor(tower, tokenizer, jinja)


def write_original(
    model: LlavaForConditionalGeneration, processor: LlavaProcessor, folder: Path, final: Path | None = None
) -> None:
    """Write a model such that LLaVA's own code loads it, the tower beside it.

    ``final`` is where the folder will lie when it is complete: LLaVA's code wants the tower's place in full.

    Raises: ConfigError if LLaVA has no such tower, language model or projector.
    """
    kind = _projector_kind(model)
    tower, text = model.model.vision_tower.config, model.config.get_text_config()
    for part, name, known in (("tower", tower.model_type, _TOWERS), ("language model", text.model_type, _KINDS)):
        if name not in known:
            raise ConfigError(f"the original LLaVA has no {part} {name!r}; it knows {', '.join(known)}")
    folder.mkdir(parents=True, exist_ok=True)
    tensors = {
        _original_name(name, kind): tensor.contiguous()
        for name, tensor in model.state_dict().items()
        if not (kind == "linear" and ".linear_2." in name) and not (name == "lm_head.weight" and _is_tied(model))
    }
    save_torch_state_dict(tensors, folder, max_shard_size=_MAX_SHARD_SIZE)
    tower_folder = folder / _TOWERS[tower.model_type]
    with without_progress_bars():
        model.model.vision_tower.save_pretrained(tower_folder)
        processor.save_pretrained(folder)
    rename_weights(tower_folder, lambda name: f"vision_model.{name.removeprefix('vision_model.')}")
    processor.image_processor.save_pretrained(tower_folder)
    rewrite_settings(folder / "tokenizer_config.json", spell_tokenizer)
    settings = _original_settings(model, processor, kind, (final or folder) / tower_folder.name)
    (folder / "config.json").write_text(json.dumps(settings, indent=2, sort_keys=True) + "\n", encoding="utf-8")


def _original_settings(
    model: LlavaForConditionalGeneration, processor: LlavaProcessor, kind: str, tower_folder: Path
) -> dict[str, Any]:
    text = model.config.get_text_config()
    is_padded = bool(getattr(processor.image_processor, "do_pad", False))
    settings = spell_positions(text.to_dict())
    settings |= {
        "model_type": _KINDS[text.model_type],
        "architectures": [f"Llava{text.model_type.capitalize()}ForCausalLM"],
        "torch_dtype": str(model.dtype).removeprefix("torch."),
        "tie_word_embeddings": _is_tied(model),
        "mm_vision_tower": str(tower_folder.resolve()),
        "mm_hidden_size": model.model.vision_tower.config.hidden_size,
        "mm_projector_type": kind,
        "mm_vision_select_layer": model.config.vision_feature_layer,
        "mm_vision_select_feature": (
            "patch" if model.config.vision_feature_select_strategy == "default" else "cls_patch"
        ),
        "mm_use_im_start_end": False,
        "mm_use_im_patch_token": False,
        "use_mm_proj": True,
        "image_aspect_ratio": "pad" if is_padded else None,
        "tokenizer_padding_side": "right",
    }
    return settings


def _projector_kind(model: LlavaForConditionalGeneration) -> str:
    projector = model.model.multi_modal_projector
    if not has_linear_projector(model):
        if model.config.projector_hidden_act != PROJECTOR_ACTIVATION["mlp2x_gelu"]:
            raise ConfigError(f"the original LLaVA has no projector with {model.config.projector_hidden_act!r} inside")
        return "mlp2x_gelu"
    weight, bias = projector.linear_2.weight, projector.linear_2.bias
    if not torch.equal(weight, torch.eye(len(weight), dtype=weight.dtype)) or bias.any():
        raise ConfigError(
            "the projector's second layer is not the identity; as one layer it would be another projector"
        )
    return "linear"


def _original_name(name: str, kind: str) -> str:
    if name.startswith("model.vision_tower."):
        return _TOWER + name.removeprefix("model.vision_tower.").removeprefix("vision_model.")
    if name.startswith("model.multi_modal_projector."):
        own = name.removeprefix("model.multi_modal_projector.")
        theirs = next(theirs for theirs, ours in _LAYERS[kind].items() if own.startswith(ours))
        return "model.mm_projector." + theirs + own.partition(".")[2]
    return name.replace("model.language_model.", "model.")


def _sort(tensors: dict[str, torch.Tensor], kind: str) -> _Sorted:
    found = _Sorted()
    for name, tensor in tensors.items():
        if name.endswith(_BUFFERS):
            continue
        # Folders of a projector alone leave out the outer name.
        _, is_projector, layer = name.rpartition("mm_projector.")
        if is_projector:
            theirs = next((theirs for theirs in _LAYERS[kind] if theirs and layer.startswith(theirs)), "")
            ours = _LAYERS[kind].get(theirs, "")
            found.projector[ours + layer.removeprefix(theirs)] = tensor
        elif "vision_tower." in name:
            found.tower[name.rpartition("vision_tower.")[2].removeprefix("vision_model.")] = tensor
        else:
            found.language_model[name] = tensor
    return found


def _find_tower(folder: Path, settings: dict[str, Any], tower_folder: Path | None) -> Tower:
    named = str(settings["mm_vision_tower"])
    places = [tower_folder] if tower_folder is not None else _tower_places(folder, settings)
    place = next((place for place in places if (place / "config.json").is_file()), None)
    if place is None:
        raise RecordError(
            f"{folder}: its tower {named!r} is not on this machine; put it at {folder / _TOWERS['clip_vision_model']}, "
            "or name it with training.model.tower"
        )
    tower = load_vit(place, pad_images=settings.get("image_aspect_ratio") == "pad")
    is_whole = settings.get("mm_vision_select_feature") == "cls_patch"
    return replace(
        tower,
        feature_layer=int(settings.get("mm_vision_select_layer", -2)),
        select_strategy="full" if is_whole else tower.select_strategy,
    )


def _tower_places(folder: Path, settings: dict[str, Any]) -> list[Path]:
    named = str(settings["mm_vision_tower"])
    return [Path(named).expanduser(), folder / named, *(folder / name for name in _TOWERS.values())]


def _build_language_model(folder: Path, settings: dict[str, Any], tensors: dict[str, torch.Tensor]) -> PreTrainedModel:
    config = _language_config(folder, settings)
    with no_init_weights():
        model: PreTrainedModel = AutoModelForCausalLM.from_config(config, dtype=torch.float32)
    if config.tie_word_embeddings:
        tensors.setdefault("lm_head.weight", tensors["model.embed_tokens.weight"])
    _fill(model, tensors, folder, "language model")
    return model


def _language_config(folder: Path, settings: dict[str, Any]) -> PreTrainedConfig:
    named = str(settings.get("model_type"))
    if named not in _LANGUAGE_MODELS:
        raise ConfigError(f"{folder} has a language model {named!r}; known are {', '.join(_LANGUAGE_MODELS)}")
    own = {
        name: value
        for name, value in settings.items()
        if not name.startswith(_NOT_OF_LANGUAGE_MODEL_PREFIXES) and name not in _NOT_OF_LANGUAGE_MODEL
    }
    config: PreTrainedConfig = AutoConfig.for_model(_LANGUAGE_MODELS[named], **own)
    return config


def _fill(module: nn.Module, tensors: dict[str, torch.Tensor], folder: Path, part: str) -> None:
    """Load every tensor, none over and none missing."""
    wanted = {name: tensor.shape for name, tensor in module.state_dict().items()}
    missing, unexpected = sorted(wanted.keys() - tensors.keys()), sorted(tensors.keys() - wanted.keys())
    misshapen = [name for name, tensor in tensors.items() if name in wanted and tensor.shape != wanted[name]]
    for fault, names in (("missing", missing), ("left over", unexpected), ("of another shape", misshapen)):
        if names:
            raise RecordError(f"{folder}: {len(names)} tensors of its {part} are {fault}, such as {names[0]}")
    module.load_state_dict(tensors)


def _is_tied(model: LlavaForConditionalGeneration) -> bool:
    return bool(model.config.tie_word_embeddings)
