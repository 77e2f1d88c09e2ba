"""Ask a model the same items in batches of several sizes, in order and shuffled; no answer may differ.

python -m benchmarks.batch_invariance --model runs/demo/model/instruct --suite runs/demo/suites/generated

Exits 1 when an answer differs. Prints how many tokens were so close that they were decided by the prompt alone.
"""

import argparse
import json
import random
import sys
import tempfile
from pathlib import Path

from benchmarks.recording import describe_run, keep_result

from stablellava.evaluation.suites import load_suite
from stablellava.model.answering import LocalAnswerer


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--model", type=Path, required=True)
    parser.add_argument("--suite", type=Path, required=True)
    parser.add_argument("--num-items", type=int, default=200)
    parser.add_argument("--batch-sizes", type=int, nargs="+", default=[1, 3, 8])
    parser.add_argument("--max-new-tokens", type=int, default=16)
    parser.add_argument("--threads", type=int, default=0)
    parser.add_argument("--keep", action="store_true", help="Write the figures to results/.")
    options = parser.parse_args()
    items = list(load_suite(options.suite).items)[: options.num_items]
    shuffled = random.Random(0).sample(items, len(items))
    reference: dict[str, str] = {}
    result = {**describe_run(), "num_items": len(items), "runs": []}
    with tempfile.TemporaryDirectory() as features:
        for batch_size in options.batch_sizes:
            answerer = LocalAnswerer(
                options.model, options.max_new_tokens, batch_size, Path(features), num_threads=options.threads
            )
            for order, chosen in (("in order", items), ("shuffled", shuffled)):
                before = answerer.num_settled
                answers = {answer.item_id: answer.text for answer in answerer.answer(chosen, str(options.suite))}
                reference = reference or answers
                run = {
                    "batch_size": batch_size,
                    "order": order,
                    "num_different": sum(reference[item_id] != text for item_id, text in answers.items()),
                    "num_tokens_decided_alone": answerer.num_settled - before,
                }
                result["runs"].append(run)
                print(json.dumps(run), flush=True)
    if options.keep:
        print(keep_result("batch-invariance", result))
    return 1 if any(run["num_different"] for run in result["runs"]) else 0


if __name__ == "__main__":
    sys.exit(main())
