"""Folders that transformers 4 reads as well as 5: the same weights and files, under the names that both know.

What transformers 5 writes, 4.57 takes for something else, with no more than a warning: it fills the vision tower with
random numbers, forgets the base of the rotary positions, and knows neither tokenizer class nor image processor.
"""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

from transformers import LlavaForConditionalGeneration, LlavaProcessor

from stablellava.model.language_model import without_progress_bars
from stablellava.model.weight_files import rename_weights

_NESTED_TOWERS = ("clip_vision_model", "siglip_vision_model")
"""Towers whose weights lie one level deeper in transformers 4."""
_TOWER, _NESTED = "vision_tower.", "vision_tower.vision_model."


def save_portable(llava: LlavaForConditionalGeneration, processor: LlavaProcessor, folder: Path) -> None:
    """Save a model such that transformers 4.57 loads every tensor and the same settings from it, as 5 does.

    Folders of towers that transformers does not know itself are left as it writes them: it could not load them anyway.
    """
    with without_progress_bars():
        llava.save_pretrained(folder)
        processor.save_pretrained(folder)
    if not is_portable(llava):
        return
    rename_weights(folder, name_for_both)
    rewrite_settings(folder / "config.json", _spell_config)
    rewrite_settings(folder / "tokenizer_config.json", spell_tokenizer)
    processor.image_processor.save_pretrained(folder)


def is_portable(llava: LlavaForConditionalGeneration) -> bool:
    """Tell whether plain transformers knows the tower."""
    return llava.model.vision_tower.config.model_type in _NESTED_TOWERS


def name_for_both(name: str) -> str:
    """Return the name of a stored tensor that transformers 4 and 5 find."""
    if name.startswith(_TOWER) and not name.startswith(_NESTED):
        return _NESTED + name.removeprefix(_TOWER)
    return name


def spell_positions(text: dict[str, Any]) -> dict[str, Any]:
    """Add the names that transformers 4 reads to a language model's settings of rotary positions."""
    rope = text.get("rope_parameters")
    if rope and "rope_theta" in rope:
        text["rope_theta"] = rope["rope_theta"]
        scaling = {key: value for key, value in rope.items() if key != "rope_theta"}
        text["rope_scaling"] = scaling if scaling.get("rope_type", "default") != "default" else None
    return text


def _spell_config(config: dict[str, Any]) -> dict[str, Any]:
    return config | {"text_config": spell_positions(config["text_config"])}


def spell_tokenizer(config: dict[str, Any]) -> dict[str, Any]:
    """Return a tokenizer's settings in the words of transformers 4, which 5 understands."""
    if config.get("tokenizer_class") == "TokenizersBackend":
        config["tokenizer_class"] = "PreTrainedTokenizerFast"
    if isinstance(config.get("extra_special_tokens"), list):
        config["additional_special_tokens"] = config.pop("extra_special_tokens")
    return config


def rewrite_settings(path: Path, change: Callable[[dict[str, Any]], dict[str, Any]]) -> None:
    """Change a settings file in place."""
    settings = change(json.loads(path.read_text(encoding="utf-8")))
    path.write_text(json.dumps(settings, indent=2, sort_keys=True, ensure_ascii=False) + "\n", encoding="utf-8")
