"""Are planted benchmark items found in 10,000 samples, and is anything else taken for one?

    python -m benchmarks.decontamination --suite DIR [--num-samples 10000] [--num-planted 100]

``--suite`` is a folder of evaluation items (items.jsonl and pictures), such as photos with questions. Samples are
synthesized with the offline backends; some get a picture of the suite, resized and encoded again, and its
question, reworded. Half of the planted ones have only the picture, a quarter only the question.
"""

import argparse
import io
import json
import random
import tempfile
import time
from pathlib import Path
from typing import Any

from benchmarks.recording import describe_run, keep_result
from PIL import Image

from stablellava.config.loading import load_config
from stablellava.core.draft import Turn
from stablellava.core.sample import Rejected, Sample
from stablellava.core.score import EvalItem
from stablellava.evaluation.suites import Suite, load_suite
from stablellava.filters.benchmark_items import BenchmarkIndex
from stablellava.store.images import decode_picture, store_image
from stablellava.store.layout import RunLayout
from stablellava.store.manifest import read_manifest
from stablellava.store.shards import read_samples
from stablellava.synthesis.derived_data import commit_data
from stablellava.synthesis.filtering import FilterPolicy, filter_data
from stablellava.synthesis.synthesizing import synthesize

OPENERS = ("", "Please tell me: ", "Look at the picture. ")
LONG_QUESTION = "which of the things that can be seen here would a {capability} expert name first, and is it {keyword}?"
"""The suite's own questions are short and shared, so each planted item gets one that only it has."""


def question_of(item: EvalItem) -> str:
    return f"In picture {item.item_id}, " + LONG_QUESTION.format(capability=item.capability, keyword=item.accepted[0])


def reword(question: str, draw: random.Random) -> str:
    lightly = question.replace("things that can be seen", "things seen").replace("would a", "would an honest")
    return draw.choice(OPENERS) + lightly.replace("name first", "name at first")


def plant(sample: Sample, item: EvalItem, suite: Suite, data_dir: Path, kind: str, draw: random.Random) -> Sample:
    draft, paintings = sample.draft, sample.paintings
    if kind != "question":
        with Image.open(suite.folder / item.images[0]) as image:
            scale = draw.uniform(0.5, 1.4)
            smaller = image.convert("RGB").resize((round(image.width * scale), round(image.height * scale)))
        buffer = io.BytesIO()
        smaller.save(buffer, "JPEG", quality=draw.choice([40, 60, 85]))
        picture = decode_picture(buffer.getvalue(), item.item_id)
        store_image(data_dir, buffer.getvalue(), picture)
        changes = {"sha256": picture.sha256, "perceptual_hash": picture.perceptual_hash}
        paintings = (paintings[0].model_copy(update=changes),)
    if kind != "picture":
        asked = Turn(speaker="user", text=reword(question_of(item), draw), images=(0,))
        draft = draft.model_copy(update={"turns": (asked, *draft.turns[1:])})
    return sample.model_copy(update={"draft": draft, "paintings": paintings})


def measure(suite: Suite, num_samples: int, num_planted: int, folder: Path) -> dict[str, Any]:
    per_capability = -(-num_samples // 13)
    config = load_config(None, "demo", [f"synthesis.samples_per_capability={per_capability}"])
    layout = RunLayout(folder / "clean")
    synthesize(config, layout)
    samples = list(read_samples(layout.data_dir))[:num_samples]
    draw = random.Random(0)
    chosen = draw.sample(range(num_samples), num_planted)
    items = draw.sample(suite.items, num_planted)
    kinds = [("picture", "picture", "question", "both")[index % 4] for index in range(num_planted)]
    for position, item, kind in zip(chosen, items, kinds, strict=True):
        samples[position] = plant(samples[position], item, suite, layout.data_dir, kind, draw)
    planted = {samples[position].sample_id: kind for position, kind in zip(chosen, kinds, strict=True)}
    shards: dict[str, list[Sample | Rejected]] = {}
    for sample in samples:
        shards.setdefault(f"{sample.draft.capability}/planted", []).append(sample)
    commit_data(layout.data_dir, folder / "planted", read_manifest(layout.data_dir), sorted(shards.items()))
    index = BenchmarkIndex()
    for item in suite.items:
        index.add_image(item.item_id, suite.folder / item.images[0])
        index.add_question(item.item_id, question_of(item))
    started = time.perf_counter()
    report = filter_data(folder / "planted", FilterPolicy(benchmarks=index))
    seconds = time.perf_counter() - started
    found = {match[0] for match in report.benchmark_matches}
    by_kind = {kind: sum(planted[name] == kind for name in found & set(planted)) for kind in set(kinds)}
    return {
        "num_samples": len(samples),
        "num_benchmark_items": len(suite.items),
        "planted": {kind: kinds.count(kind) for kind in sorted(set(kinds))},
        "found": dict(sorted(by_kind.items())),
        "false_alarms": len(found - set(planted)),
        "false_alarm_share": len(found - set(planted)) / (len(samples) - num_planted),
        "seconds": round(seconds, 1),
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--suite", type=Path, required=True)
    parser.add_argument("--num-samples", type=int, default=10_000)
    parser.add_argument("--num-planted", type=int, default=100)
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        measured = measure(load_suite(arguments.suite), arguments.num_samples, arguments.num_planted, Path(folder))
    result = {
        **describe_run(),
        **measured,
    }
    print(json.dumps(result, indent=1))
    print(keep_result("decontamination", result))


if __name__ == "__main__":
    main()
