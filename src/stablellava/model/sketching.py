"""A LLaVA without weights: all shapes of the model that settings name, on the meta device."""

from importlib.resources import files
from pathlib import Path
from typing import Any

import torch
import yaml
from transformers import AutoConfig, LlavaConfig, LlavaForConditionalGeneration, PreTrainedConfig

from stablellava.config.training import ModelSettings
from stablellava.core.errors import ConfigError
from stablellava.core.suggesting import suggest_name
from stablellava.model.assembling import PROJECTOR_ACTIVATION
from stablellava.model.original_llava import is_original, sketch_original
from stablellava.model.tower_efficientnet import EfficientNetLiteConfig


def sketch_llava(settings: ModelSettings) -> LlavaForConditionalGeneration:
    """Return the model on the meta device: parameters with shapes and no memory.

    Parts are folders with a config.json, or names whose sizes are published (architectures.yaml).

    Raises: ConfigError for a part that is neither.
    """
    if settings.start:
        tower, language_model, activation = _parts_of_start(Path(settings.start).expanduser())
    else:
        tower, language_model = _tower_config(settings), _part("language_models", settings.language_model)
        activation = PROJECTOR_ACTIVATION[settings.projector]
    config = LlavaConfig(
        vision_config=tower,
        text_config=language_model,
        image_token_index=language_model.vocab_size - 1,
        image_seq_length=count_image_tokens(settings),
        projector_hidden_act=activation,
        vision_feature_select_strategy="default" if _has_class_token(tower) else "full",
        vision_feature_layer=-1 if isinstance(tower, EfficientNetLiteConfig) else -2,
        tie_word_embeddings=bool(getattr(language_model, "tie_word_embeddings", False)),
    )
    with torch.device("meta"):
        return LlavaForConditionalGeneration(config)


def count_image_tokens(settings: ModelSettings) -> int:
    """Return how many tokens a picture takes: patches, and a token for the whole picture where there is one."""
    tower = _parts_of_start(Path(settings.start).expanduser())[0] if settings.start else _tower_config(settings)
    side = int(tower.image_size) // int(tower.patch_size)
    return side * side + int(getattr(tower, "posterior", False))


def _tower_config(settings: ModelSettings) -> PreTrainedConfig:
    if settings.tower == "efficientnet-lite0":
        return EfficientNetLiteConfig(
            image_size=settings.image_size_px, patch_size=settings.patch_size_px, posterior=settings.tower_posterior
        )
    config = _part("towers", settings.tower)
    vision: PreTrainedConfig = getattr(config, "vision_config", config)
    if settings.image_size_px != vision.image_size:
        raise ConfigError(
            f"training.model.image_size_px={settings.image_size_px}: {settings.tower} was made for {vision.image_size}"
        )
    return vision


def _parts_of_start(folder: Path) -> tuple[PreTrainedConfig, PreTrainedConfig, str]:
    """Return tower, language model and what the projector has between its layers, of a checkpoint in any form."""
    if not (folder / "config.json").is_file():
        raise ConfigError(f"training.model.start={str(folder)!r} is not a model's folder: it has no config.json")
    if is_original(folder):
        tower_name, language_model, projector = sketch_original(folder)
        tower = _part("towers", tower_name)
        return getattr(tower, "vision_config", tower), language_model, PROJECTOR_ACTIVATION[projector]
    config: Any = LlavaConfig.from_pretrained(folder, local_files_only=True)
    return config.vision_config, config.get_text_config(), str(config.projector_hidden_act)


def _has_class_token(tower: PreTrainedConfig) -> bool:
    return tower.model_type.startswith("clip")


def _part(kind: str, name: str) -> PreTrainedConfig:
    folder = Path(name).expanduser()
    if (folder / "config.json").is_file():
        config: PreTrainedConfig = AutoConfig.from_pretrained(folder, local_files_only=True)
        return config
    text = files(__package__).joinpath("architectures.yaml").read_text(encoding="utf-8")
    published: dict[str, dict[str, Any]] = yaml.safe_load(text)[kind]
    if name not in published:
        raise ConfigError(
            f"{name!r} is neither a folder with a config.json nor a part of known size. "
            f"{suggest_name(name, list(published))}"
        )
    sizes = dict(published[name])
    built: PreTrainedConfig = AutoConfig.for_model(sizes.pop("type"), **sizes)
    return built
