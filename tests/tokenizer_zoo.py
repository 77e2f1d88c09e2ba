"""Tokenizers of every kind that language models bring along, trained on a page of text in a moment."""

import functools
import json
from collections.abc import Callable

from tokenizers import Tokenizer, decoders, models, normalizers, pre_tokenizers, processors, trainers
from transformers import LlamaTokenizer, PreTrainedTokenizerFast

_TEXTS = [
    "A chat between a curious user and an artificial intelligence assistant. USER: What is it? ASSISTANT: A dog.",
    "The assistant gives helpful, detailed, and polite answers to the user's questions. How many? 3 dogs on the beach.",
    "<|im_start|>user\nWhich color is the red car?<|im_end|>\n<|im_start|>assistant\nIt is red.<|im_end|>\n",
    "[INST] <<SYS>>\nYou are a helpful language and vision assistant.\n<</SYS>>\n\nSure? [/INST] Yes, it is. </s>",
]
MARKS = ("<|im_start|>", "<|im_end|>", "<image>")
_BYTES = [f"<0x{value:02X}>" for value in range(256)]
OWN_TEMPLATE = (
    "{{ bos_token }}{% for message in messages %}<|header|>{{ message['role'] }}<|body|>\n\n"
    "{{ message['content'] | trim }}<|eot|>{% endfor %}"
    "{% if add_generation_prompt %}<|header|>assistant<|body|>\n\n{% endif %}"
)


def _train_spm(split: bool = True) -> tuple[dict[str, int], list[list[str]]]:
    """Return vocabulary and merges like SentencePiece's; without ``split`` tokens reach over spaces."""
    tokenizer = Tokenizer(models.BPE(byte_fallback=True, unk_token="<unk>", fuse_unk=True))
    tokenizer.pre_tokenizer = pre_tokenizers.Metaspace(prepend_scheme="first", split=split)
    specials = ["<unk>", "<s>", "</s>", *_BYTES]
    trainer = trainers.BpeTrainer(vocab_size=520, special_tokens=specials, show_progress=False)
    tokenizer.train_from_iterator(_TEXTS * 4, trainer)
    model = json.loads(tokenizer.to_str())["model"]
    return model["vocab"], model["merges"]


def _llama(legacy: bool = False, split: bool = True) -> PreTrainedTokenizerFast:
    vocab, merges = _train_spm(split)
    pairs = [tuple(merge) for merge in merges]
    tokenizer = LlamaTokenizer(vocab=vocab, merges=pairs, legacy=legacy, add_bos_token=True, pad_token="<unk>")
    tokenizer.update_post_processor()
    return tokenizer


def _llama_file() -> PreTrainedTokenizerFast:
    """As tokenizer.json files of the first Llamas say it: the space is prepended by a normalizer."""
    vocab, merges = _train_spm()
    tokenizer = Tokenizer(
        models.BPE(
            vocab=vocab, merges=[tuple(merge) for merge in merges], byte_fallback=True, unk_token="<unk>", fuse_unk=True
        )
    )
    tokenizer.normalizer = normalizers.Sequence([normalizers.Prepend("\u2581"), normalizers.Replace(" ", "\u2581")])
    tokenizer.decoder = decoders.Sequence(
        [decoders.Replace("\u2581", " "), decoders.ByteFallback(), decoders.Fuse(), decoders.Strip(" ", 1, 0)]
    )
    tokenizer.post_processor = processors.TemplateProcessing(single="<s> $A", special_tokens=[("<s>", 1)])
    return PreTrainedTokenizerFast(
        tokenizer_object=tokenizer, bos_token="<s>", eos_token="</s>", unk_token="<unk>", pad_token="<unk>"
    )


def _byte_level(specials: tuple[str, ...], bos: str | None, eos: str, pad: str) -> PreTrainedTokenizerFast:
    tokenizer = Tokenizer(models.BPE())
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    tokenizer.decoder = decoders.ByteLevel()
    alphabet = pre_tokenizers.ByteLevel.alphabet()
    trainer = trainers.BpeTrainer(
        vocab_size=420, special_tokens=list(specials), initial_alphabet=alphabet, show_progress=False
    )
    tokenizer.train_from_iterator(_TEXTS * 4, trainer)
    return PreTrainedTokenizerFast(tokenizer_object=tokenizer, bos_token=bos, eos_token=eos, pad_token=pad)


def _with_own_template() -> PreTrainedTokenizerFast:
    tokenizer = _byte_level(("<begin>", "<|header|>", "<|body|>", "<|eot|>", "<pad>"), "<begin>", "<|eot|>", "<pad>")
    tokenizer.add_special_tokens({"additional_special_tokens": ["<|header|>", "<|body|>"]})
    tokenizer.chat_template = OWN_TEMPLATE
    return tokenizer


_MAKERS: dict[str, Callable[[], PreTrainedTokenizerFast]] = {
    "llama": _llama,
    "llama_legacy": functools.partial(_llama, legacy=True),
    "llama_file": _llama_file,
    "llama_reaching_over_spaces": functools.partial(_llama, split=False),
    "byte_level": lambda: _byte_level(("<end>", "<pad>"), None, "<end>", "<pad>"),
    "pad_is_eos": lambda: _byte_level(("<|im_start|>", "<|im_end|>"), "<|im_start|>", "<|im_end|>", "<|im_end|>"),
    "own_template": _with_own_template,
}
NAMES = tuple(_MAKERS)


def build_anew(name: str) -> PreTrainedTokenizerFast:
    """Return the tokenizer as its model brings it along."""
    return _MAKERS[name]()


@functools.cache
def build(name: str) -> PreTrainedTokenizerFast:
    """Return the tokenizer with the image token and the marks of every template; do not change it."""
    tokenizer = build_anew(name)
    known = set(tokenizer.all_special_tokens)
    marks = [token for token in MARKS if token not in known]
    tokenizer.add_special_tokens({"additional_special_tokens": marks}, replace_extra_special_tokens=False)
    return tokenizer
