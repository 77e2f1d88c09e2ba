"""How often the guard against collapse is wrong: alarms at healthy writers, and collapses it does not see.

    python -m benchmarks.collapse_guard [--rounds 5] [--sizes 25 60 240] [--keep] [capability ...]

Healthy: the offline writer, five rounds after each other, and rounds that ask for three keywords only.
Collapsed: in the third round a share of the drafts says one of five things, keyword and setting filled in; once with
five forms from elsewhere, once with the writer's own five latest drafts. Prints the share of rounds with an alarm.
"""

import argparse
from collections import Counter
from collections.abc import Sequence
from typing import Any

from benchmarks.recording import describe_run, keep_result

from stablellava.backends.adapters.grammar import GrammarWriter
from stablellava.capabilities import list_capabilities, load_capability
from stablellava.config.synthesis import CollapseSettings
from stablellava.config.tree import RunConfig
from stablellava.core.capability import Capability
from stablellava.core.draft import Draft, DraftRequest
from stablellava.synthesis.collapse import judge_round
from stablellava.synthesis.diversity import DraftText, text_of
from stablellava.synthesis.planning import Planner, Tally, training_planner

SHARES = (0.3, 0.5, 0.6, 0.7, 0.8, 1.0)
_FORMS = (
    ("soft light", "There is a {}."),
    ("warm light, vivid colors", "One can see a {} here, in warm light."),
    ("clean lines", "The picture shows a {}, with clean lines."),
    ("rich contrast", "A {} is what you see."),
    ("fine texture", "It is a {}, and nothing else is there."),
)


def write(requests: Sequence[DraftRequest]) -> list[Draft]:
    return [draft for draft in GrammarWriter().write(requests) if isinstance(draft, Draft)]


def fill_form(draft: Draft, index: int) -> DraftText:
    features, answer = _FORMS[index % len(_FORMS)]
    said = answer.format(draft.keyword)
    prompt = f"{draft.keyword}, {draft.setting}, {features}"
    return DraftText(draft.draft_id, draft.keyword, draft.setting, prompt, said, said)


def repeat_draft(draft: Draft, index: int, drafts: Sequence[Draft]) -> DraftText:
    """Return one of five drafts with this one's keyword and setting in place of its own."""
    old, texts = drafts[index % 5], text_of(drafts[index % 5])
    swapped = [
        text.replace(old.keyword, draft.keyword).replace(old.setting, draft.setting)
        for text in (texts.prompt, texts.answer, texts.dialogue)
    ]
    return DraftText(draft.draft_id, draft.keyword, draft.setting, *swapped)


def judge_healthy(capability: Capability, size: int, num_rounds: int, alarms: Counter[str], seen: Counter[str]) -> None:
    planner, tally = training_planner(RunConfig(), capability), Tally()
    rounds: list[list[DraftText]] = []
    for index in range(num_rounds):
        drafts = write(planner.plan_round(index, size, tally))
        rounds.append([text_of(draft) for draft in drafts])
        tally.accepted.update(draft.keyword for draft in drafts)
        tally.attempted.update(draft.keyword for draft in drafts)
        if index:
            verdict = judge_round(capability, rounds[-1], rounds[0], rounds[-2], CollapseSettings())
            count("healthy", verdict.collapsed, alarms, seen)
    few = dict(sorted(planner.settings_by_keyword.items())[:3])
    narrow = [text_of(draft) for draft in write(Planner(1, capability, few).plan_round(0, size, Tally()))]
    verdict = judge_round(capability, narrow, rounds[0], rounds[-1], CollapseSettings())
    count("healthy, three keywords only", verdict.collapsed, alarms, seen)


def judge_collapsed(capability: Capability, size: int, alarms: Counter[str], seen: Counter[str]) -> None:
    planner = training_planner(RunConfig(), capability)
    first, second, third = (write(planner.plan_round(index, size, Tally())) for index in range(3))
    before = [[text_of(draft) for draft in drafts] for drafts in (first, second)]
    for share in SHARES:
        num = round(share * len(third))
        rest = [text_of(draft) for draft in third[num:]]
        forms = [fill_form(draft, index) for index, draft in enumerate(third[:num])]
        own = [repeat_draft(draft, index, second[-5:]) for index, draft in enumerate(third[:num])]
        for name, dull in (("five forms", forms), ("five own drafts", own)):
            verdict = judge_round(capability, [*dull, *rest], before[0], before[1], CollapseSettings())
            count(f"{name}, {100 * share:.0f} % of the round", verdict.collapsed, alarms, seen)


def count(case: str, has_alarm: bool, alarms: Counter[str], seen: Counter[str]) -> None:
    seen[case] += 1
    alarms[case] += has_alarm


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("capabilities", nargs="*", default=list_capabilities())
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--sizes", type=int, nargs="+", default=[25, 60, 240])
    parser.add_argument("--keep", action="store_true", help="write the figures to benchmarks/results")
    args = parser.parse_args()
    result: dict[str, Any] = {**describe_run(), "rounds": args.rounds, "sizes": {}}
    for size in args.sizes:
        alarms, seen = Counter[str](), Counter[str]()
        for name in args.capabilities:
            capability = load_capability(name)
            judge_healthy(capability, size, args.rounds, alarms, seen)
            judge_collapsed(capability, size, alarms, seen)
        print(f"\n{size} drafts a round")
        for case, num in seen.items():
            print(f"  {case:<42}{alarms[case]:>5} alarms in {num:>4} rounds")
        result["sizes"][size] = {case: {"alarms": alarms[case], "rounds": num} for case, num in seen.items()}
    if args.keep:
        print(keep_result("collapse-guard", result))


if __name__ == "__main__":
    main()
