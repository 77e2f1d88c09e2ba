"""A LLaVA from a tower and a language model, saved so that plain transformers loads it.

Paper: 2308.10253v1, section 4.2 (LLaVA: frozen tower, projector, language model).
"""

from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import torch
from torch import nn
from transformers import (
    AutoConfig,
    AutoImageProcessor,
    AutoModel,
    BaseImageProcessor,
    LlavaConfig,
    LlavaForConditionalGeneration,
    LlavaImageProcessorPil,
    LlavaProcessor,
    PreTrainedModel,
    PreTrainedTokenizerBase,
)
from transformers.initialization import no_init_weights

from stablellava.config.training import ModelSettings
from stablellava.core.errors import ConfigError
from stablellava.model.adapters import has_adapters, save_adapter
from stablellava.model.chat_template import (
    IMAGE_TOKEN,
    OWN_TEMPLATE,
    Chat,
    bind_template,
    find_chat_template,
    token_id_of,
)
from stablellava.model.language_model import load_language_model, refuse_missing, without_progress_bars
from stablellava.model.portable import save_portable
from stablellava.model.tower_efficientnet import build_image_processor, load_efficientnet_lite

TOWER_NAMES = ("efficientnet-lite0",)
PROJECTOR_STD = 0.02
PROJECTOR_ACTIVATION = {"linear": "linear", "mlp2x_gelu": "gelu"}


@dataclass(frozen=True)
class Tower:
    """A vision model and how a LLaVA reads it."""

    model: PreTrainedModel
    image_processor: BaseImageProcessor
    patch_size_px: int
    num_additional_tokens: int
    """Tokens before the patches: a class token, a token for the whole picture."""
    feature_layer: int
    select_strategy: Literal["default", "full"]
    """"default" drops the first token, "full" keeps all."""


@dataclass(frozen=True)
class Vlm:
    """A LLaVA with the processor that is saved beside it."""

    model: LlavaForConditionalGeneration
    processor: LlavaProcessor
    chat: Chat
    folder: Path | None = None
    """Where the weights come from, if they were loaded."""

    def save(self, folder: Path) -> None:
        """Write a checkpoint that the library loads, or adapters where there are some.

        Raises: ValueError for adapters to weights that lie nowhere.
        """
        if not has_adapters(self.model):
            save_portable(self.model, self.processor, folder)
            return
        if self.folder is None:
            raise ValueError("adapters belong to saved weights; save the model before they join it")
        save_adapter(self.model, folder, self.folder)
        self.processor.save_pretrained(folder)


def assemble(settings: ModelSettings, seed: int) -> Vlm:
    """Build an untrained LLaVA: only the projector is new, drawn from the seed.

    Raises: ConfigError for parts that do not exist or do not fit, BackendMissing for parts not installed.
    """
    if settings.chat_template != OWN_TEMPLATE:
        find_chat_template(settings.chat_template)
    tower = load_tower(settings)
    language_model, tokenizer = load_language_model(settings.language_model)
    template = bind_template(settings.chat_template, tokenizer)
    tokenizer.add_special_tokens({"additional_special_tokens": [IMAGE_TOKEN]})
    image_token_id = token_id_of(tokenizer, IMAGE_TOKEN)
    make_room_for(image_token_id, language_model)
    model = join_parts(tower, language_model, image_token_id, PROJECTOR_ACTIVATION[settings.projector])
    _start_projector(model, settings, seed)
    processor = build_processor(tower, tokenizer, template.jinja)
    return Vlm(model, processor, Chat(tokenizer, template, model.config.image_seq_length))


def build_processor(tower: Tower, tokenizer: PreTrainedTokenizerBase, jinja: str) -> LlavaProcessor:
    """Return what makes inputs for the library's model of text and pictures."""
    return LlavaProcessor(
        image_processor=tower.image_processor,
        tokenizer=tokenizer,
        patch_size=tower.patch_size_px,
        num_additional_image_tokens=tower.num_additional_tokens,
        vision_feature_select_strategy=tower.select_strategy,
        chat_template=jinja,
    )


def join_parts(
    tower: Tower, language_model: PreTrainedModel, image_token_id: int, projector_activation: str
) -> LlavaForConditionalGeneration:
    """Return the library's model with the weights of both parts; the projector's are for the caller to set."""
    side = int(tower.model.config.image_size) // tower.patch_size_px
    dropped = 1 if tower.select_strategy == "default" else 0
    config = LlavaConfig(
        vision_config=tower.model.config,
        text_config=language_model.config,
        image_token_index=image_token_id,
        image_seq_length=side * side + tower.num_additional_tokens - dropped,
        projector_hidden_act=projector_activation,
        vision_feature_select_strategy=tower.select_strategy,
        vision_feature_layer=tower.feature_layer,
        tie_word_embeddings=language_model.config.tie_word_embeddings,
    )
    # Drawing billions of numbers that are overwritten at once takes minutes.
    with no_init_weights():
        model = LlavaForConditionalGeneration(config)
    model.model.vision_tower.load_state_dict(tower.model.state_dict())
    model.model.language_model.load_state_dict(language_model.base_model.state_dict())
    model.lm_head.load_state_dict(language_model.get_output_embeddings().state_dict())
    model.tie_weights()
    model.generation_config = language_model.generation_config
    model.generation_config.pad_token_id = language_model.config.pad_token_id
    model.eval()
    return model


def load_tower(settings: ModelSettings) -> Tower:
    """Return a tower by name, or from the folder of a vision model that transformers knows.

    Raises: ConfigError if it is neither, or cannot do what the settings ask.
    """
    if settings.tower == "efficientnet-lite0":
        posterior = settings.tower_posterior
        return Tower(
            model=load_efficientnet_lite(settings.image_size_px, settings.patch_size_px, posterior),
            image_processor=build_image_processor(settings.image_size_px),
            patch_size_px=settings.patch_size_px,
            num_additional_tokens=1 if posterior else 0,
            feature_layer=-1,
            select_strategy="full",
        )
    if settings.tower_posterior:
        raise ConfigError(
            f"training.model.tower_posterior: only {TOWER_NAMES[0]} has a classifier, not {settings.tower!r}"
        )
    folder = Path(settings.tower).expanduser()
    if not (folder / "config.json").is_file():
        raise ConfigError(
            f"training.model.tower={settings.tower!r} is neither {', '.join(TOWER_NAMES)} "
            "nor a folder with a config.json"
        )
    tower = load_vit(folder, pad_images=settings.pad_images)
    size_px = tower.model.config.image_size
    if settings.image_size_px != size_px:
        raise ConfigError(
            f"training.model.image_size_px={settings.image_size_px}: {settings.tower} was made for {size_px}"
        )
    return tower


def has_linear_projector(model: LlavaForConditionalGeneration) -> bool:
    """Tell whether the projector is the paper's single layer: the second one is fixed at identity."""
    return bool(model.config.projector_hidden_act == "linear")


def make_room_for(image_token_id: int, language_model: PreTrainedModel) -> None:
    """Add a row for the image token, the mean of all words, unless the vocabulary has one to spare."""
    if image_token_id < language_model.config.vocab_size:
        return
    language_model.resize_token_embeddings(image_token_id + 1, mean_resizing=False)
    with torch.no_grad():
        for layer in (language_model.get_input_embeddings(), language_model.get_output_embeddings()):
            weight = layer.get_parameter("weight")
            weight[image_token_id] = weight[:image_token_id].mean(dim=0)


def _start_projector(model: LlavaForConditionalGeneration, settings: ModelSettings, seed: int) -> None:
    """Start small, so that pictures look like faint words; linear_2 is the identity if there is one layer."""
    projector = model.model.multi_modal_projector
    generator = torch.Generator().manual_seed(seed)
    with torch.no_grad():
        for layer in (projector.linear_1, projector.linear_2):
            layer.weight.normal_(0.0, PROJECTOR_STD, generator=generator)
            layer.bias.zero_()
        if settings.projector == "linear":
            nn.init.eye_(projector.linear_2.weight)


def load_vit(folder: Path, *, pad_images: bool = False) -> Tower:
    """Read a CLIP or SigLIP tower as LLaVA does: the last but one layer, without the class token if it has one.

    Raises: ConfigError if tensors are missing, or it gives tokens that are neither patches nor a class token.
    """
    config: Any = AutoConfig.from_pretrained(folder, local_files_only=True)
    config = getattr(config, "vision_config", config)
    with without_progress_bars():
        loaded: Any = AutoModel.from_pretrained(
            folder, config=config, dtype=torch.float32, local_files_only=True, output_loading_info=True
        )
        image_processor = AutoImageProcessor.from_pretrained(folder, local_files_only=True, backend="pil")
    model, info = loaded
    refuse_missing(info, folder)
    if pad_images:
        image_processor = _pad_to_square(image_processor)
    num_additional = _count_tokens(model) - (config.image_size // config.patch_size) ** 2
    if num_additional not in (0, 1):
        raise ConfigError(
            f"the tower in {folder} gives {num_additional} tokens beside its patches; one (a class token) or none works"
        )
    strategy: Literal["default", "full"] = "default" if num_additional else "full"
    return Tower(model, image_processor, config.patch_size, num_additional, feature_layer=-2, select_strategy=strategy)


@torch.inference_mode()
def _count_tokens(tower: PreTrainedModel) -> int:
    size_px = tower.config.image_size
    return int(tower.eval()(pixel_values=torch.zeros(1, 3, size_px, size_px)).last_hidden_state.shape[1])


def _pad_to_square(image_processor: Any) -> BaseImageProcessor:
    """Return the processor that first fills pictures up to squares in the mean color, as LLaVA-1.5 does."""
    settings = {name: getattr(image_processor, name) for name in ("size", "crop_size", "image_mean", "image_std")}
    return LlavaImageProcessorPil(**settings, resample=image_processor.resample, do_pad=True)
