"""Other trainers on the benchmark's model and data; run by their own Python, it imports none of ours.

python benchmarks/speed_peers.py SPEC OUT

SPEC is a JSON file: subject, system (hf, trl, trl_default), stage, steps, batch_size, learning_rate, warmup_steps,
threads, precision, accumulation. OUT gets losses, seconds per step and the trained weights' file.

- hf: transformers' Trainer with TRL's collator, assistant-only.
- trl: SFTTrainer, assistant-only, float32, nothing recomputed: our settings.
- trl_default: SFTTrainer as it comes (loss on all tokens, gradient checkpointing), but for bfloat16, which a CPU
  without such instructions computes tens of times slower.
"""

import json
import sys
from pathlib import Path

import torch
from datasets import Dataset
from safetensors.torch import save_file
from step_clock import StepClock, set_up_torch
from torch.utils.data import SequentialSampler
from transformers import AutoProcessor, LlavaForConditionalGeneration, Trainer, TrainingArguments
from trl import SFTConfig, SFTTrainer
from trl.trainer.sft_trainer import DataCollatorForVisionLanguageModeling

COMMON = {
    "num_train_epochs": 1,
    "lr_scheduler_type": "cosine",
    "weight_decay": 0.0,
    "max_grad_norm": 1.0,
    "logging_steps": 1,
    "save_strategy": "no",
    "report_to": "none",
    "remove_unused_columns": False,
    "use_cpu": True,
    "disable_tqdm": True,
    "dataloader_pin_memory": False,
}


class InOrder:
    def _get_train_sampler(self, *args):
        return SequentialSampler(self.train_dataset)


class OrderedTrainer(InOrder, Trainer):
    pass


class OrderedSFTTrainer(InOrder, SFTTrainer):
    pass


class PictureRows(torch.utils.data.Dataset):
    """Rows whose pictures are opened when they are asked for."""

    def __init__(self, rows, image_dir):
        self.rows = Dataset.from_list([_to_messages(row, image_dir) for row in rows])

    def __len__(self):
        return len(self.rows)

    def __getitem__(self, index):
        from PIL import Image

        row = self.rows[index]
        return {"messages": row["messages"], "images": [Image.open(path).convert("RGB") for path in row["paths"]]}


def _to_messages(row, image_dir):
    roles = {"human": "user", "gpt": "assistant"}
    messages = [
        {"role": roles[said["from"]], "content": said["value"].replace("<image>", "").strip()}
        for said in row["conversations"]
    ]
    return {"messages": messages, "paths": [str(image_dir / row["image"])] if "image" in row else []}


def load_model(folder, stage, precision):
    model = LlavaForConditionalGeneration.from_pretrained(folder, dtype=torch.float32)
    if precision == "float64":
        model.double()
    model.requires_grad_(False)
    model.model.multi_modal_projector.requires_grad_(True)
    if stage == "instruct":
        model.model.language_model.requires_grad_(True)
        model.lm_head.requires_grad_(True)
    return model


def build_trainer(spec, model, processor, rows, out_dir):
    common = {
        **COMMON,
        "output_dir": out_dir,
        "per_device_train_batch_size": spec["batch_size"] // spec["accumulation"],
        "gradient_accumulation_steps": spec["accumulation"],
        "learning_rate": spec["learning_rate"],
        "warmup_steps": spec["warmup_steps"],
    }
    if spec["system"] == "hf":
        collator = DataCollatorForVisionLanguageModeling(processor, assistant_only_loss=True)
        return OrderedTrainer(model, TrainingArguments(**common), data_collator=collator, train_dataset=rows)
    ours = {"assistant_only_loss": True, "gradient_checkpointing": False}
    config = SFTConfig(**common, bf16=False, max_length=None, **(ours if spec["system"] == "trl" else {}))
    from datasets import Image as ImageFeature
    from datasets import Sequence

    table = rows.rows.rename_column("paths", "images").cast_column("images", Sequence(ImageFeature()))
    return OrderedSFTTrainer(model, config, train_dataset=table, processing_class=processor)


def main():
    spec, out_path = json.loads(Path(sys.argv[1]).read_text()), Path(sys.argv[2])
    set_up_torch(spec["threads"], spec["precision"])
    subject = Path(spec["subject"])
    processor = AutoProcessor.from_pretrained(subject / "model")
    model = load_model(subject / "model", spec["stage"], spec["precision"])
    chosen = json.loads((subject / "rows.json").read_text())[: spec["steps"] * spec["batch_size"]]
    clock = StepClock()
    rows = PictureRows(chosen, subject / "images")
    trainer = build_trainer(spec, model, processor, rows, str(out_path.parent / "scratch"))
    trainer.add_callback(clock)
    trainer.train()
    trained = {name: p.detach().clone() for name, p in model.named_parameters() if p.requires_grad}
    save_file(trained, out_path.with_suffix(".safetensors"))
    losses = [row["loss"] for row in trainer.state.log_history if "loss" in row]
    out_path.write_text(json.dumps({"losses": losses, "features_seconds": 0.0, **clock.seconds()}))


if __name__ == "__main__":
    main()
