"""The other side of answering_speed: reads a job on stdin, prints seconds and answers; run by it, in its own process.

"lmms-eval" drives that package's own class, "transformers" makes the calls that this class makes.
"""

import json
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch
from PIL import Image

import stablellava.model.tower_efficientnet  # noqa: F401 - tells transformers what our tower is


def answer_with_lmms(job: dict[str, Any]) -> dict[str, Any]:
    from lmms_eval.api.instance import Instance
    from lmms_eval.models.simple.llava_hf import LlavaHf

    model = LlavaHf(pretrained=job["model"], device="cpu", device_map="cpu", dtype="float32")
    model.task_dict = {"suite": {"test": job["items"]}}
    requests = [
        Instance(
            request_type="generate_until",
            arguments=(question, {"max_new_tokens": job["max_new_tokens"]}, open_picture, place, "suite", "test"),
            idx=0,
            metadata={"task": "suite", "doc_id": place, "repeats": 1},
        )
        for place, (question, _) in enumerate(job["items"])
    ]
    return timed(lambda: model.generate_until(requests))


def open_picture(item: list[str]) -> list[Image.Image]:
    return [Image.open(item[1]).convert("RGB")]


def answer_with_transformers(job: dict[str, Any]) -> dict[str, Any]:
    from transformers import AutoProcessor, LlavaForConditionalGeneration

    model = LlavaForConditionalGeneration.from_pretrained(job["model"], dtype=torch.float32)
    processor = AutoProcessor.from_pretrained(job["model"])
    eos = processor.tokenizer.eos_token_id

    def answer(question: str, path: str) -> str:
        messages = [{"role": "user", "content": f"<image>\n{question}"}]
        text = processor.tokenizer.apply_chat_template(messages, tokenize=False, add_generation_prompt=True)
        inputs = processor(images=[Image.open(path).convert("RGB")], text=text, return_tensors="pt")
        ids = model.generate(
            **inputs,
            do_sample=False,
            num_beams=1,
            max_new_tokens=job["max_new_tokens"],
            use_cache=True,
            pad_token_id=eos,
            eos_token_id=eos,
        )
        return str(processor.tokenizer.decode(ids[0, inputs["input_ids"].shape[1] :], skip_special_tokens=True))

    return timed(lambda: [answer(question, path) for question, path in job["items"]])


def timed(work: Callable[[], list[str]]) -> dict[str, Any]:
    started = time.perf_counter(), time.process_time()
    answers = [text.strip() for text in work()]
    return {
        "seconds": time.perf_counter() - started[0],
        "cpu_seconds": time.process_time() - started[1],
        "answers": answers,
    }


def main() -> None:
    job = json.loads(sys.stdin.read())
    torch.set_num_threads(job["threads"])
    assert Path(job["model"]).is_dir(), job["model"]
    answer = answer_with_lmms if job["class"] == "lmms-eval" else answer_with_transformers
    print(json.dumps(answer(job)))


if __name__ == "__main__":
    main()
