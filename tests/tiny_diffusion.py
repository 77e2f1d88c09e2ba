"""Pipelines of the real classes, small enough to paint in milliseconds, built from configurations alone."""

import json
import string
from pathlib import Path
from typing import Any

import torch
from diffusers import (
    AutoencoderKL,
    DDIMScheduler,
    EulerDiscreteScheduler,
    FlowMatchEulerDiscreteScheduler,
    FluxPipeline,
    FluxTransformer2DModel,
    LatentConsistencyModelPipeline,
    LCMScheduler,
    PixArtAlphaPipeline,
    PixArtTransformer2DModel,
    SD3Transformer2DModel,
    StableDiffusion3Pipeline,
    StableDiffusionPipeline,
    StableDiffusionXLPipeline,
    UNet2DConditionModel,
)
from diffusers.pipelines.stable_diffusion.safety_checker import StableDiffusionSafetyChecker
from transformers import (
    CLIPConfig,
    CLIPImageProcessorPil,
    CLIPTextConfig,
    CLIPTextModel,
    CLIPTextModelWithProjection,
    CLIPTokenizer,
    T5Config,
    T5EncoderModel,
    T5Tokenizer,
)

# More threads only get in each other's way on layers this small.
torch.set_num_threads(1)

_LETTERS = string.ascii_lowercase + string.digits + ",.'-"
_MARKS = ("<|startoftext|>", "<|endoftext|>")


def clip_tokenizer() -> CLIPTokenizer:
    """One token per letter, so that 75 of them fill a window."""
    words = [*_LETTERS, *[f"{letter}</w>" for letter in _LETTERS], *_MARKS]
    return CLIPTokenizer(vocab={word: index for index, word in enumerate(words)}, merges=[], model_max_length=77)


def t5_tokenizer() -> T5Tokenizer:
    pieces = [("<pad>", 0.0), ("</s>", 0.0), ("<unk>", 0.0), *[(letter, -2.0) for letter in ("\u2581", *_LETTERS)]]
    return T5Tokenizer(vocab=pieces, extra_ids=0, model_max_length=512)


def _clip_text(has_projection: bool = False) -> CLIPTextModel | CLIPTextModelWithProjection:
    vocabulary_size = 2 * len(_LETTERS) + len(_MARKS)
    config = CLIPTextConfig(
        vocab_size=vocabulary_size, hidden_size=32, intermediate_size=37, num_hidden_layers=2, num_attention_heads=4,
        projection_dim=32, bos_token_id=vocabulary_size - 2, eos_token_id=vocabulary_size - 1, pad_token_id=1,
    )  # fmt: skip
    return CLIPTextModelWithProjection(config) if has_projection else CLIPTextModel(config)


def _vae(**changes: Any) -> AutoencoderKL:
    blocks = ("DownEncoderBlock2D",) * 2, ("UpDecoderBlock2D",) * 2
    config: dict[str, Any] = {"block_out_channels": (8, 16), "norm_num_groups": 4, "latent_channels": 4}
    return AutoencoderKL(down_block_types=blocks[0], up_block_types=blocks[1], **{**config, **changes})


def _unet(width: int, **changes: Any) -> UNet2DConditionModel:
    return UNet2DConditionModel(
        block_out_channels=(width, 2 * width), layers_per_block=1, sample_size=32, in_channels=4, out_channels=4,
        down_block_types=("DownBlock2D", "CrossAttnDownBlock2D"), up_block_types=("CrossAttnUpBlock2D", "UpBlock2D"),
        norm_num_groups=4, **changes,
    )  # fmt: skip


def _safety_checker(flags_everything: bool) -> StableDiffusionSafetyChecker:
    vision = {"hidden_size": 16, "intermediate_size": 16, "num_hidden_layers": 1, "num_attention_heads": 2,
              "image_size": 30, "patch_size": 15, "projection_dim": 16}  # fmt: skip
    config = CLIPConfig(text_config={"hidden_size": 16, "num_hidden_layers": 1}, vision_config=vision)
    config.projection_dim = 16
    checker = StableDiffusionSafetyChecker(config)
    for weights in (checker.concept_embeds_weights, checker.special_care_embeds_weights):
        weights.data.fill_(-2.0 if flags_everything else 2.0)  # thresholds on a cosine
    return checker


def stable_diffusion(width: int = 8, flags: bool | None = None, pipeline_class: Any = StableDiffusionPipeline) -> Any:
    """Build SD 1.5 in small; ``flags``: with a safety checker that flags everything, or nothing."""
    torch.manual_seed(0)
    processor = CLIPImageProcessorPil(size={"shortest_edge": 30}, crop_size={"height": 30, "width": 30})
    return pipeline_class(
        vae=_vae(),
        text_encoder=_clip_text(),
        tokenizer=clip_tokenizer(),
        unet=_unet(width, cross_attention_dim=32, attention_head_dim=4),
        scheduler=DDIMScheduler(
            beta_schedule="scaled_linear", clip_sample=False, set_alpha_to_one=False, steps_offset=1
        ),
        safety_checker=None if flags is None else _safety_checker(flags),
        feature_extractor=None if flags is None else processor,
        requires_safety_checker=False,
    )


def stable_diffusion_xl(width: int = 8, seed: int = 0) -> StableDiffusionXLPipeline:
    torch.manual_seed(seed)
    unet = _unet(
        width, attention_head_dim=(2, 4), use_linear_projection=True, addition_embed_type="text_time",
        addition_time_embed_dim=8, transformer_layers_per_block=(1, 2), cross_attention_dim=64,
        projection_class_embeddings_input_dim=80,
    )  # fmt: skip
    return StableDiffusionXLPipeline(
        vae=_vae(),
        text_encoder=_clip_text(),
        text_encoder_2=_clip_text(has_projection=True),
        tokenizer=clip_tokenizer(),
        tokenizer_2=clip_tokenizer(),
        unet=unet,
        scheduler=EulerDiscreteScheduler(beta_schedule="scaled_linear", timestep_spacing="leading", steps_offset=1),
        add_watermarker=False,
    )


def _t5() -> T5EncoderModel:
    return T5EncoderModel(
        T5Config(vocab_size=len(_LETTERS) + 4, d_model=32, d_kv=8, d_ff=37, num_layers=2, num_heads=4)
    )


def stable_diffusion_3() -> StableDiffusion3Pipeline:
    torch.manual_seed(0)
    transformer = SD3Transformer2DModel(
        sample_size=32, patch_size=2, in_channels=4, num_layers=1, attention_head_dim=8, num_attention_heads=4,
        caption_projection_dim=32, joint_attention_dim=32, pooled_projection_dim=64, out_channels=4,
    )  # fmt: skip
    return StableDiffusion3Pipeline(
        transformer=transformer,
        scheduler=FlowMatchEulerDiscreteScheduler(),
        vae=_vae(use_quant_conv=False, use_post_quant_conv=False, shift_factor=0.06, scaling_factor=1.5),
        text_encoder=_clip_text(has_projection=True),
        text_encoder_2=_clip_text(has_projection=True),
        text_encoder_3=_t5(),
        tokenizer=clip_tokenizer(),
        tokenizer_2=clip_tokenizer(),
        tokenizer_3=t5_tokenizer(),
    )


def flux() -> FluxPipeline:
    torch.manual_seed(0)
    transformer = FluxTransformer2DModel(
        patch_size=1, in_channels=4, num_layers=1, num_single_layers=1, attention_head_dim=16, num_attention_heads=2,
        joint_attention_dim=32, pooled_projection_dim=32, axes_dims_rope=[4, 4, 8],
    )  # fmt: skip
    return FluxPipeline(
        transformer=transformer,
        scheduler=FlowMatchEulerDiscreteScheduler(),
        vae=_vae(use_quant_conv=False, use_post_quant_conv=False, latent_channels=1, shift_factor=0.06),
        text_encoder=_clip_text(),
        text_encoder_2=_t5(),
        tokenizer=clip_tokenizer(),
        tokenizer_2=t5_tokenizer(),
    )


def pixart() -> PixArtAlphaPipeline:
    torch.manual_seed(0)
    transformer = PixArtTransformer2DModel(
        sample_size=8, num_layers=2, patch_size=2, attention_head_dim=8, num_attention_heads=3, caption_channels=32,
        in_channels=4, cross_attention_dim=24, out_channels=8, norm_type="ada_norm_single", norm_eps=1e-6,
        norm_elementwise_affine=False, num_embeds_ada_norm=1000, activation_fn="gelu-approximate", attention_bias=True,
    )  # fmt: skip
    return PixArtAlphaPipeline(
        transformer=transformer,
        scheduler=DDIMScheduler(),
        vae=_vae(),
        text_encoder=_t5(),
        tokenizer=t5_tokenizer(),
    )


def latent_consistency() -> LatentConsistencyModelPipeline:
    torch.manual_seed(0)
    return LatentConsistencyModelPipeline(
        vae=_vae(),
        text_encoder=_clip_text(),
        tokenizer=clip_tokenizer(),
        unet=_unet(8, cross_attention_dim=32, attention_head_dim=4, time_cond_proj_dim=32),
        scheduler=LCMScheduler(),
        safety_checker=None,
        feature_extractor=None,
        requires_safety_checker=False,
    )


def save_tiny(pipeline: Any, folder: Path) -> Path:
    pipeline.save_pretrained(folder, safe_serialization=True)
    assert json.loads((folder / "model_index.json").read_text())["_class_name"] == type(pipeline).__name__
    return folder
