"""A language model of two narrow layers and a run directory of painted squares, for tests that train."""

import io
from pathlib import Path

import numpy as np
import torch
from PIL import Image
from tokenizers import Tokenizer, decoders, models, pre_tokenizers
from transformers import LlamaConfig, LlamaForCausalLM, PreTrainedTokenizerFast

from stablellava.config.loading import load_config
from stablellava.config.training import ModelSettings
from stablellava.config.tree import RunConfig
from stablellava.core.draft import CallStamp, Draft, PaintPrompt, Turn
from stablellava.core.sample import Painting, Sample
from stablellava.store.images import decode_picture, store_image
from stablellava.store.shards import commit_shard

# More threads only get in each other's way on layers this small.
torch.set_num_threads(1)

SPECIAL_TOKENS = ("<|endoftext|>", "<|im_start|>", "<|im_end|>")
COLORS = {"red": (210, 40, 40), "green": (40, 180, 70), "blue": (50, 70, 220)}


def build_tokenizer() -> PreTrainedTokenizerFast:
    """One token per byte; padding and end share a token, as in SmolLM2."""
    alphabet = sorted(pre_tokenizers.ByteLevel.alphabet())
    vocabulary = {token: index for index, token in enumerate((*SPECIAL_TOKENS, *alphabet))}
    tokenizer = Tokenizer(models.BPE(vocab=vocabulary, merges=[]))
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    tokenizer.decoder = decoders.ByteLevel()
    tokenizer.add_special_tokens(list(SPECIAL_TOKENS))
    return PreTrainedTokenizerFast(
        tokenizer_object=tokenizer, bos_token="<|im_start|>", eos_token="<|im_end|>", pad_token="<|im_end|>"
    )


def write_language_model(folder: Path, **changes: object) -> Path:
    tokenizer = build_tokenizer()
    torch.manual_seed(0)
    config = LlamaConfig(
        vocab_size=len(tokenizer),
        hidden_size=32,
        intermediate_size=64,
        num_hidden_layers=2,
        num_attention_heads=4,
        num_key_value_heads=2,
        max_position_embeddings=512,
        bos_token_id=1,
        eos_token_id=2,
        pad_token_id=2,
        **({"tie_word_embeddings": True} | changes),
    )
    LlamaForCausalLM(config).save_pretrained(folder)
    tokenizer.save_pretrained(folder)
    return folder


def tiny_settings(language_model_dir: Path, **changes: object) -> ModelSettings:
    return ModelSettings(image_size_px=64, language_model=str(language_model_dir)).model_copy(update=changes)


def write_square(folder: Path, name: str, noise_seed: int = 0) -> Path:
    path = folder / f"{name}-{noise_seed}.png"
    path.write_bytes(paint_square(name, noise_seed))
    return path


def write_samples(data_dir: Path, count: int) -> None:
    """Commit samples in the store's form: what is the color, and a second question about it."""
    samples = [_sample(data_dir, index) for index in range(count)]
    commit_shard(data_dir, "color/00000", samples)


def training_config(language_model: Path, *overrides: str) -> RunConfig:
    stages = [
        f"training.{stage}.{setting}"
        for stage in ("align", "instruct")
        for setting in ("num_samples=10", "batch_size=2", "learning_rate=1.0e-3")
    ]
    model = ["training.model.image_size_px=64", f"training.model.language_model={language_model}"]
    return load_config(overrides=[*stages, *model, "training.num_threads=1", *overrides])


def _sample(data_dir: Path, index: int) -> Sample:
    name = list(COLORS)[index % len(COLORS)]
    data = paint_square(name, index)
    picture = decode_picture(data, "test")
    store_image(data_dir, data, picture)
    stamp = CallStamp(backend="test")
    turns = (
        Turn(speaker="user", text="Which color is it?", images=(0,)),
        Turn(speaker="assistant", text=f"It is {name}."),
        Turn(speaker="user", text="Sure?" * (index % 3 + 1)),
        Turn(speaker="assistant", text="Yes."),
    )
    draft = Draft(
        draft_id=f"draft-{index}",
        capability="color",
        keyword=name,
        setting="beach",
        prompts=(PaintPrompt(text=name),),
        turns=turns,
        stamp=stamp,
    )
    painting = Painting(
        painting_id=f"painting-{index}",
        sha256=picture.sha256,
        width_px=picture.width_px,
        height_px=picture.height_px,
        seed=index,
        perceptual_hash=picture.perceptual_hash,
        drawn=None,
        stamp=stamp,
    )
    return Sample(sample_id=f"sample-{index}", draft=draft, paintings=(painting,), verdicts=())


def paint_square(name: str, noise_seed: int) -> bytes:
    noise = np.random.default_rng(noise_seed).integers(-20, 20, (64, 64, 3))
    pixels = np.clip(np.array(COLORS[name]) + noise, 0, 255).astype(np.uint8)
    buffer = io.BytesIO()
    Image.fromarray(pixels).save(buffer, "PNG")
    return buffer.getvalue()
