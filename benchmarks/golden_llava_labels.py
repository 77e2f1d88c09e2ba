"""Write tests/golden/llava_labels.json: what LLaVA's own training code makes of some dialogues.

LLaVA's package pins an old transformers, so this runs in an environment of its own and imports nothing of ours:

    python3.11 -m venv llava && llava/bin/pip install torch transformers==4.37.2 tokenizers==0.15.1 \\
        accelerate==0.21.0 "numpy<2" sentencepiece protobuf && llava/bin/pip install --no-deps llava-torch==1.2.2.post1
    llava/bin/python benchmarks/golden_llava_labels.py tests/golden/llava_labels.json

The vocabulary is a small SentencePiece model trained here on the dialogues themselves.
"""

import copy
import json
import random
import sys
import tempfile
from pathlib import Path

import llava.conversation
import sentencepiece
from llava.train import train
from transformers import LlamaTokenizer, LlamaTokenizerFast

VERSIONS = {"vicuna_v1": "v1", "plain": "plain", "llama_2": "llava_llama_2"}
WORDS = "the dog 3 beaches \u72ac caf\u00e9 A quickly, runs. It's (red) \U0001f99a 12 umbrella? Yes! no: \n new 'quote'"
IMAGE = "<image>\n"


def write_dialogues(seed: int = 0) -> list[dict[str, object]]:
    """Return rows of {image: whether one is shown, conversations}; answers begin in every way."""
    draw = random.Random(seed)

    def say(longest: int) -> str:
        return " ".join(draw.choice(WORDS.split(" ")) for _ in range(draw.randint(1, longest))).strip() or "Yes!"

    rows: list[dict[str, object]] = []
    for index in range(24):
        turns = [say(9) for _ in range(2 * draw.choice([1, 1, 2, 3]))]
        rows.append({"image": index % 4 != 3, "turns": turns})
    rows += [{"image": True, "turns": ["How many?", said, "And?", said]} for said in ("3 dogs.", "\u72ac", "(yes)")]
    return rows


def train_vocabulary(folder: Path, rows: list[dict[str, object]]) -> Path:
    corpus = folder / "corpus.txt"
    texts = [said.replace("\n", " ") for row in rows for said in row["turns"]]
    templates = [llava.conversation.conv_templates[name].system for name in VERSIONS.values()]
    corpus.write_text("\n".join([*texts, *templates, "USER: What? ASSISTANT: Yes. [INST] Sure? [/INST] Yes."]))
    sentencepiece.SentencePieceTrainer.train(
        input=str(corpus),
        model_prefix=str(folder / "tokenizer"),
        model_type="bpe",
        vocab_size=400,
        byte_fallback=True,
        split_digits=True,
        normalization_rule_name="identity",
        remove_extra_whitespaces=False,
        hard_vocab_limit=False,
        minloglevel=2,
    )
    return folder / "tokenizer.model"


def label(row: dict[str, object], version: str, tokenizer: LlamaTokenizer) -> list[list[int]] | None:
    if version == "plain" and not row["image"]:
        return None  # the alignment stage asserts that there is a picture
    said = row["turns"][:2] if version == "plain" else row["turns"]
    turns = [{"from": ("human", "gpt")[place % 2], "value": text} for place, text in enumerate(said)]
    if row["image"]:
        turns[0]["value"] = IMAGE + turns[0]["value"]
    llava.conversation.default_conversation = llava.conversation.conv_templates[VERSIONS[version]]
    made = train.preprocess([copy.deepcopy(turns)], tokenizer, has_image=row["image"])
    return [made["input_ids"][0].tolist(), made["labels"][0].tolist()]


def main(target: Path) -> None:
    rows = write_dialogues()
    labels = {}
    with tempfile.TemporaryDirectory() as scratch:
        model = train_vocabulary(Path(scratch), rows)
        for legacy in (True, False):
            options = {"legacy": legacy, "model_max_length": 2048, "padding_side": "right"}
            tokenizer = LlamaTokenizer(str(model), **options)
            tokenizer.pad_token = tokenizer.unk_token
            for version in VERSIONS:
                key = f"{version}, {'legacy' if legacy else 'not legacy'}"
                labels[key] = [label(row, version, tokenizer) for row in rows]
        vocabulary = json.loads(LlamaTokenizerFast(str(model)).backend_tokenizer.to_str())["model"]
    kept = {"vocab": vocabulary["vocab"], "merges": vocabulary["merges"], "rows": rows, "labels": labels}
    target.parent.mkdir(parents=True, exist_ok=True)
    target.write_text(json.dumps(kept, ensure_ascii=True, separators=(",", ":")) + "\n")


if __name__ == "__main__":
    main(Path(sys.argv[1]))
