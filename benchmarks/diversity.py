"""How varied the offline writer's answers are.

    python benchmarks/diversity.py [--num-drafts 1000] [capability ...]

Prints, per capability, the share of distinct word 4-grams (distinct / all, over all answers),
the mean length of the first answer in words, and drafts per second on one thread.
"""

import argparse
import random
import time

from stablellava.backends.adapters.grammar import GrammarWriter
from stablellava.capabilities import list_capabilities, load_capability
from stablellava.core.capability import Capability
from stablellava.core.draft import Draft, DraftRequest
from stablellava.core.ids import seed_from
from stablellava.synthesis.diversity import distinct_share


def make_requests(capability: Capability, count: int) -> list[DraftRequest]:
    requests = []
    for number in range(count):
        seed = seed_from("diversity", capability.name, number)
        rng = random.Random(seed)
        keyword = rng.choice(capability.keywords)
        setting = rng.choice(keyword.settings or capability.settings)
        requests.append(
            DraftRequest(draft_id=str(number), seed=seed, capability=capability, keyword=keyword, setting=setting)
        )
    return requests


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("capabilities", nargs="*", default=list_capabilities())
    parser.add_argument("--num-drafts", type=int, default=1000)
    args = parser.parse_args()
    print(f"{'capability':<18}{'distinct 4-grams':>17}{'first answer':>14}{'drafts/s':>10}")
    for name in args.capabilities:
        requests = make_requests(load_capability(name), args.num_drafts)
        started = time.process_time()
        drafts = [draft for draft in GrammarWriter().write(requests) if isinstance(draft, Draft)]
        seconds = time.process_time() - started
        answers = [turn.text for draft in drafts for turn in draft.turns if turn.speaker == "assistant"]
        words = sum(len(draft.turns[1].text.split()) for draft in drafts) / len(drafts)
        print(f"{name:<18}{distinct_share(answers):>17.3f}{words:>14.1f}{len(drafts) / seconds:>10.0f}")


if __name__ == "__main__":
    main()
