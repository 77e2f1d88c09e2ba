"""Our trainer on the benchmark's model and data: the counterpart of speed_peers.py.

python -m benchmarks.speed_ours SPEC OUT

SPEC as for the peers, with ``speed`` (settings of training.speed) and ``grouped``.
"""

import json
import sys
import time
from pathlib import Path

import numpy as np
from benchmarks.step_clock import StepClock, set_up_torch
from safetensors.torch import save_file

from stablellava.config.training import SpeedSettings, StageConfig, TrainingSettings
from stablellava.core.draft import Turn
from stablellava.model.checkpoints import load_vlm
from stablellava.model.feature_cache import FeatureCache
from stablellava.model.vlm import AnswerLoss
from stablellava.training.batching import StepShape, plan_steps
from stablellava.training.collating import EncodedDataset
from stablellava.training.data import TrainingExample
from stablellava.training.kernels import apply_kernels, choose_attention, use_kernels
from stablellava.training.labels import encode_example
from stablellava.training.modules import choose_trainable
from stablellava.training.preparing import Prepared, build_collator, images_of
from stablellava.training.step_log import MeasureRow, RowLog, StepRow
from stablellava.training.trainer import StageLogs, StageTrainer


def to_example(row: dict, image_dir: Path) -> TrainingExample:
    """Return a row of the benchmark's: the picture, if any, is shown in the first turn."""
    images = (image_dir / row["image"],) if "image" in row else ()
    turns = tuple(
        Turn(
            speaker="user" if said["from"] == "human" else "assistant",
            text=said["value"].replace("<image>", "").strip(),
            images=tuple(range(said["value"].count("<image>"))),
        )
        for said in row["conversations"]
    )
    return TrainingExample(row["id"], images, turns)


def prepare(spec: dict, settings: StageConfig, cache_dir: Path) -> Prepared:
    subject = Path(spec["subject"])
    vlm = load_vlm(subject / "model")
    if spec["precision"] == "float64":
        vlm.model.double()
    choose_trainable(vlm.model, settings, spec["stage"])
    rows = json.loads((subject / "rows.json").read_text())[: spec["steps"] * spec["batch_size"]]
    examples = [to_example(row, subject / "images") for row in rows]
    encoded = [encode_example(example, vlm.chat) for example in examples]
    lengths = [len(example.token_ids) for example in encoded]
    plan = plan_steps(lengths, np.arange(len(encoded)), StepShape(spec["batch_size"]), 0, grouped=spec["grouped"])
    cache = FeatureCache(cache_dir, vlm.model, vlm.processor.image_processor)
    return Prepared(settings, vlm, examples, encoded, [], plan, None, cache, spec["speed"].get("packing", True))


def main() -> None:
    spec, out_path = json.loads(Path(sys.argv[1]).read_text()), Path(sys.argv[2])
    set_up_torch(spec["threads"], spec["precision"])
    settings = StageConfig(
        data="dialogues",
        train_language_model=spec["stage"] == "instruct",
        learning_rate=spec["learning_rate"],
        schedule="cosine",
        warmup_share=spec["warmup_steps"] / spec["steps"],
        batch_size=spec["batch_size"],
    )
    speed = SpeedSettings.model_validate(spec["speed"])
    training = TrainingSettings(speed=speed)
    ready = prepare(spec, settings, out_path.parent / "features")
    started, started_processor = time.perf_counter(), time.process_time()
    if speed.cached_features:
        ready.cache.compute(images_of(ready.encoded, ready.plan.drawn()))
    features_seconds = time.perf_counter() - started
    features_processor_seconds = time.process_time() - started_processor
    attention = choose_attention(speed, training.precision)
    loss_model = AnswerLoss(ready.vlm.model, answers_only=speed.answers_only)
    collator = build_collator(ready, speed, attention)
    logs = StageLogs(
        RowLog(out_path.with_suffix(".jsonl"), StepRow), RowLog(out_path.with_suffix(".measures"), MeasureRow)
    )
    trainer = StageTrainer(
        loss_model,
        training,
        settings,
        ready.plan,
        EncodedDataset(ready.encoded),
        collator,
        logs,
        out_path.parent / "checkpoints",
        0,
    )
    clock = StepClock()
    trainer.add_callback(clock)
    with use_kernels(ready.vlm.model, speed, attention):
        apply_kernels(loss_model, speed, {})
        trainer.train_or_resume()
    trained = {name: p.detach().clone() for name, p in ready.vlm.model.named_parameters() if p.requires_grad}
    save_file(trained, out_path.with_suffix(".safetensors"))
    rows = logs.steps.read()
    result = {
        "losses": [row.loss for row in rows],
        **clock.seconds(),
        "features_seconds": features_seconds,
        "features_processor_seconds": features_processor_seconds,
        "tokens": sum(row.tokens for row in rows),
        "supervised_tokens": sum(row.supervised_tokens for row in rows),
    }
    out_path.write_text(json.dumps(result))


if __name__ == "__main__":
    main()
