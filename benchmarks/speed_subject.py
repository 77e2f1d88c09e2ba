"""The model and data on which trainers are compared: a 24M-parameter Llava and dialogues of LLaVA's lengths.

Everything is drawn from a seed and written to a folder, where every system reads the same files:

    model/        Hugging Face checkpoint and processor
    images/*.jpg  640 x 480, as COCO's
    rows.json     LLaVA's format
"""

import json
from pathlib import Path

import numpy as np
import torch
from PIL import Image
from tokenizers import Tokenizer, models, pre_tokenizers
from transformers import (
    CLIPImageProcessorPil,
    CLIPVisionConfig,
    CLIPVisionModel,
    LlamaConfig,
    LlamaForCausalLM,
    PreTrainedTokenizerFast,
)

from stablellava.config.training import ModelSettings
from stablellava.model.assembling import assemble

IMAGE_SIZE_PX = 224
VOCABULARY_SIZE = 32_000
SPECIAL_TOKENS = ("<unk>", "<pad>", "<s>", "</s>", "<|im_start|>", "<|im_end|>", "<image>")
WORDS = ("user", "assistant")
MEAN_TEXT_TOKENS = 150
"""With 256 tokens of picture: rows of 265 to 930 tokens, 406 in the mean, as a mix of LLaVA's dialogues has."""
TEXT_TOKEN_LIMITS = (8, 660)
TEXT_ONLY_SHARE = 1 / 16


def write_subject(folder: Path, num_rows: int, seed: int = 0) -> Path:
    """Write model, pictures and dialogues; return the folder."""
    tower, language_model = _write_tower(folder / "tower"), _write_language_model(folder / "language_model")
    settings = ModelSettings(
        tower=str(tower),
        language_model=str(language_model),
        image_size_px=IMAGE_SIZE_PX,
        projector="mlp2x_gelu",
        chat_template="compact",
    )
    assemble(settings, seed).save(folder / "model")
    generator = np.random.default_rng(seed)
    (folder / "images").mkdir()
    rows = [_write_row(folder, index, generator) for index in range(num_rows)]
    (folder / "rows.json").write_text(json.dumps(rows), encoding="utf-8")
    return folder


def _write_tower(folder: Path) -> Path:
    torch.manual_seed(0)
    config = CLIPVisionConfig(
        hidden_size=192,
        intermediate_size=768,
        num_hidden_layers=6,
        num_attention_heads=3,
        image_size=IMAGE_SIZE_PX,
        patch_size=14,
    )
    CLIPVisionModel(config).save_pretrained(folder)
    size = {"height": IMAGE_SIZE_PX, "width": IMAGE_SIZE_PX}
    CLIPImageProcessorPil(size={"shortest_edge": IMAGE_SIZE_PX}, crop_size=size).save_pretrained(folder)
    return folder


def _write_language_model(folder: Path) -> Path:
    torch.manual_seed(1)
    config = LlamaConfig(
        vocab_size=VOCABULARY_SIZE,
        hidden_size=256,
        intermediate_size=768,
        num_hidden_layers=6,
        num_attention_heads=8,
        num_key_value_heads=8,
        max_position_embeddings=2048,
        tie_word_embeddings=False,
        pad_token_id=1,
        bos_token_id=2,
        eos_token_id=3,
    )
    LlamaForCausalLM(config).save_pretrained(folder)
    _build_tokenizer().save_pretrained(folder)
    return folder


def _build_tokenizer() -> PreTrainedTokenizerFast:
    """One token per word; the words are numbers."""
    named = (*SPECIAL_TOKENS, *WORDS)
    words = (*named, *(str(number) for number in range(VOCABULARY_SIZE - len(named))))
    tokenizer = Tokenizer(models.WordLevel({word: index for index, word in enumerate(words)}, unk_token="<unk>"))
    tokenizer.pre_tokenizer = pre_tokenizers.WhitespaceSplit()
    tokenizer.add_special_tokens(list(SPECIAL_TOKENS))
    return PreTrainedTokenizerFast(
        tokenizer_object=tokenizer, unk_token="<unk>", pad_token="<pad>", bos_token="<s>", eos_token="</s>"
    )


def _write_row(folder: Path, index: int, generator: np.random.Generator) -> dict[str, object]:
    shows_image = index % round(1 / TEXT_ONLY_SHARE) != 7
    num_words = int(np.clip(generator.exponential(MEAN_TEXT_TOKENS), *TEXT_TOKEN_LIMITS))
    num_exchanges = 1 + num_words // 120
    conversations = []
    for exchange in range(num_exchanges):
        own = max(num_words // num_exchanges, 2)
        asked = max(own // 4, 1)
        tag = "<image>\n" if shows_image and not exchange else ""
        conversations.append({"from": "human", "value": tag + _words(generator, asked)})
        conversations.append({"from": "gpt", "value": _words(generator, max(own - asked, 1))})
    row: dict[str, object] = {"id": str(index), "conversations": conversations}
    if shows_image:
        row["image"] = f"{index:05}.jpg"
        coarse = generator.integers(0, 256, (12, 16, 3), dtype=np.uint8)
        Image.fromarray(coarse).resize((640, 480)).save(folder / "images" / f"{index:05}.jpg", quality=90)
    return row


def _words(generator: np.random.Generator, count: int) -> str:
    return " ".join(str(number) for number in generator.integers(0, VOCABULARY_SIZE - 100, count))
