"""Near-duplicates among many prompts: ours beside datasketch, at equal recall on planted repeats.

    python -m benchmarks.deduplication [--num-texts 1000000] [--peer-python PYTHON] [--rows FILE ...]

The peer runs in its own process, so that each one's peak memory is its own; ``--peer-python`` names an
interpreter with datasketch. With ``--rows`` the duplicates of real files are counted, and counted again plainly.
"""

import argparse
import json
import random
import resource
import subprocess
import sys
import time
from collections.abc import Iterator
from itertools import pairwise
from pathlib import Path
from typing import Any

from benchmarks.recording import describe_run, keep_result, version_of

THRESHOLD = 0.8
NUM_PERMUTATIONS = 128
PLANTED_SHARE = 0.05
SUBJECTS = [f"subject{number}" for number in range(900)]
PLACES = [f"place{number}" for number in range(120)]
MANNERS = [f"manner{number}" for number in range(700)]
FEATURES = ["soft light", "highly detailed", "realistic", "sharp focus", "cinematic", "golden hour", "wide angle"]


def make_texts(num_texts: int) -> tuple[list[str], set[int]]:
    """Return prompts and the positions of planted repeats, which add one word to an earlier prompt."""
    draw = random.Random(0)
    texts: list[str] = []
    planted: set[int] = set()
    for position in range(num_texts):
        if position > 1000 and draw.random() < PLANTED_SHARE:
            first = draw.randrange(position)
            texts.append(texts[first] + ", photo")
            planted.add(position)
            continue
        things = ", ".join(f"{draw.choice(MANNERS)} {draw.choice(SUBJECTS)}" for _ in range(4))
        texts.append(f"{things}, in the {draw.choice(PLACES)}, {', '.join(draw.sample(FEATURES, 2))}")
    return texts, planted


def run_ours(texts: list[str]) -> Iterator[int]:
    from stablellava.filters.text_near_duplicates import NearDuplicateTexts

    yield from (repeat.position for repeat in NearDuplicateTexts(THRESHOLD).add(texts))


def run_datasketch(texts: list[str]) -> Iterator[int]:
    """The usage that its documentation shows: one MinHash per text, an index with query and insert."""
    import re

    from datasketch import MinHash, MinHashLSH

    word = re.compile(r"\w+")
    index = MinHashLSH(threshold=THRESHOLD, num_perm=NUM_PERMUTATIONS)
    for position, text in enumerate(texts):
        words = word.findall(text.lower())
        shingles = {*words, *(f"{first} {second}" for first, second in pairwise(words))}
        sketch = MinHash(num_perm=NUM_PERMUTATIONS)
        sketch.update_batch([shingle.encode() for shingle in shingles])
        if index.query(sketch):
            yield position
        else:
            index.insert(position, sketch)


def measure(name: str, num_texts: int) -> dict[str, Any]:
    texts, planted = make_texts(num_texts)
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    started, cpu_started = time.perf_counter(), time.process_time()
    found = set({"ours": run_ours, "datasketch": run_datasketch}[name](texts))
    seconds = time.perf_counter() - started
    return {
        "seconds": round(seconds, 2),
        "cpu_seconds": round(time.process_time() - cpu_started, 2),
        "recall_on_planted": round(len(planted & found) / len(planted), 4),
        "found": len(found),
        "planted": len(planted),
        "peak_mb": round(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1000),
        "peak_mb_before": round(before / 1000),
    }


def measure_apart(python: str, name: str, num_texts: int) -> dict[str, Any]:
    command = [python, "-m", "benchmarks.deduplication", "--num-texts", str(num_texts), "--only", name]
    done = subprocess.run(command, check=True, capture_output=True, text=True)
    return json.loads(done.stdout)


def count_rows(paths: list[Path]) -> dict[str, Any]:
    """Count the duplicates of files with our finder and again by comparing each prompt with each."""
    from stablellava.core.sample import Rejected
    from stablellava.filters.text_near_duplicates import shingle
    from stablellava.store.imports import read_rows
    from stablellava.synthesis.duplicates import DuplicateFinder, TextPair, count_kinds

    pairs = [
        TextPair.from_draft(f"{path.name}:{row.number}", row.draft)
        for path in paths
        for row in read_rows(path, path.name.partition(".")[0], drop_duplicates=False).rows
        if not isinstance(row, Rejected)
    ]
    counted = count_kinds(DuplicateFinder(THRESHOLD).add(pairs))
    firsts = {
        what: _compare_all([set(shingle(getattr(pair, what))) for pair in pairs]) for what in ("prompt", "dialogue")
    }
    exact = {what: _first_equal([shingle(getattr(pair, what)) for pair in pairs]) for what in ("prompt", "dialogue")}
    return {"rows": len(pairs), "counted": counted, "recounted": _recount(exact, firsts)}


def _compare_all(sets: list[set[str]]) -> list[int]:
    """Return for each set the first earlier one that stays and overlaps enough, or its own position."""
    firsts: list[int] = []
    for position, own in enumerate(sets):
        first = position
        for other in range(position):
            shared = len(own & sets[other]) if firsts[other] == other else 0
            if shared and shared / (len(own) + len(sets[other]) - shared) >= THRESHOLD:
                first = other
                break
        firsts.append(first)
    return firsts


def _first_equal(texts: list[list[str]]) -> list[int]:
    first: dict[tuple[str, ...], int] = {}
    return [first.setdefault(tuple(text), position) for position, text in enumerate(texts)]


def _recount(exact: dict[str, list[int]], near: dict[str, list[int]]) -> dict[str, int]:
    counts: dict[str, int] = {}
    for what in ("prompt", "dialogue"):
        is_exact = [first != position for position, first in enumerate(exact[what])]
        counts[f"exact_{what}"] = sum(is_exact)
        counts[f"near_{what}"] = sum(
            first != position and not is_exact[position] for position, first in enumerate(near[what])
        )
    exact_pairs = _first_equal_pairs(exact)
    near_pairs = _first_equal_pairs(near)
    counts["exact_pair"] = sum(exact_pairs)
    counts["near_pair"] = sum(
        is_near and not is_exact for is_near, is_exact in zip(near_pairs, exact_pairs, strict=True)
    )
    return counts


def _first_equal_pairs(firsts: dict[str, list[int]]) -> list[bool]:
    seen: set[tuple[int, int]] = set()
    repeats = []
    for pair in zip(firsts["prompt"], firsts["dialogue"], strict=True):
        repeats.append(pair in seen)
        seen.add(pair)
    return repeats


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--num-texts", type=int, default=1_000_000)
    parser.add_argument("--peer-python", default="")
    parser.add_argument("--rows", type=Path, nargs="*", default=[])
    parser.add_argument("--only", choices=["ours", "datasketch"])
    arguments = parser.parse_args()
    if arguments.only:
        print(json.dumps(measure(arguments.only, arguments.num_texts)))
        return
    result: dict[str, Any] = {**describe_run(), "num_texts": arguments.num_texts}
    result["ours"] = measure_apart(sys.executable, "ours", arguments.num_texts)
    if arguments.peer_python:
        result["peer"] = f"datasketch {version_of(arguments.peer_python, 'datasketch')}"
        result["datasketch"] = measure_apart(arguments.peer_python, "datasketch", arguments.num_texts)
        for kind in ("seconds", "cpu_seconds"):
            result[f"times_faster_{kind}"] = round(result["datasketch"][kind] / result["ours"][kind], 1)
        result["times_less_memory"] = round(result["datasketch"]["peak_mb"] / result["ours"]["peak_mb"], 1)
    if arguments.rows:
        result["rows"] = count_rows(arguments.rows)
        counted, recounted = result["rows"]["counted"], result["rows"]["recounted"]
        result["rows"]["is_confirmed"] = all(counted.get(kind, 0) == count for kind, count in recounted.items())
    print(json.dumps(result, indent=1))
    print(keep_result("deduplication", result))


if __name__ == "__main__":
    main()
