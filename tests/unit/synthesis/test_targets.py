from collections import Counter
from collections.abc import Callable, Sequence
from typing import Any

import pytest

from scripted import accept, plain_draft
from stablellava.capabilities import load_capability
from stablellava.config.fingerprint import data_fingerprint
from stablellava.config.loading import dump_config, load_config
from stablellava.config.synthesis import CoverageSettings, TargetSettings
from stablellava.config.tree import RunConfig
from stablellava.core.draft import DraftRequest
from stablellava.core.errors import ConfigError
from stablellava.core.ids import share_of
from stablellava.core.sample import Rejected, Sample
from stablellava.synthesis.planning import Tally, training_planner
from stablellava.synthesis.target_planning import OVER_TARGET, TargetedPlanner
from stablellava.synthesis.targets import Axis, check_targets, resolve_targets

Outcome = Sample | Rejected
Make = Callable[[DraftRequest], Outcome]


def make(request: DraftRequest) -> Outcome:
    return accept(plain_draft(request, "soft light", "A {}."))


def fail_sometimes(request: DraftRequest) -> Outcome:
    return refuse(request, "unparsable_answer") if share_of(request.draft_id, "fails") < 0.4 else make(request)


def never_draw_dogs(request: DraftRequest) -> Outcome:
    return refuse(request, "keyword_not_drawable") if request.keyword.name == "dog" else make(request)


def grant_wishes(request: DraftRequest) -> Outcome:
    return accept(plain_draft(request, "x", "A {}.").model_copy(update={"attributes": request.wishes}))


def write_wishes_into_the_prompt(request: DraftRequest) -> Outcome:
    return accept(plain_draft(request, ", ".join(["x", *(value for _, value in request.wishes)]), "A {}."))


def choose_style_freely(request: DraftRequest) -> Outcome:
    style = ("watercolor", "neon", "sketch", "")[int(4 * share_of(request.draft_id, "style"))]
    return accept(plain_draft(request, "x", "A {}.").model_copy(update={"attributes": (("style", style),)}))


def refuse(request: DraftRequest, reason: str) -> Rejected:
    name = request.keyword.name
    return Rejected(
        draft_id=request.draft_id, capability=request.capability.name, keyword=name, stage="draft", reason=reason
    )


def plan(num_wanted: int, of: str = "animal", budget: float = 5.0, **target: Any) -> TargetedPlanner:
    planner = training_planner(RunConfig(), load_capability(of))
    settings = CoverageSettings(targets=(TargetSettings(**target),))
    axes = resolve_targets(settings, planner.capability, planner.settings_by_keyword, num_wanted)
    return TargetedPlanner(planner, axes, num_wanted, budget)


def fill(
    planner: TargetedPlanner, num_wanted: int, make: Make, round_size: int = 10_000
) -> tuple[list[Sample], list[Outcome]]:
    """Go through rounds until all are there or nothing is planned; return samples and all outcomes."""
    tally, everything = Tally(), []
    for round_index in range(200):
        requests = planner.plan_round(round_index, min(round_size, num_wanted - tally.num_accepted), tally)
        if not requests:
            break
        outcomes = planner.settle([make(request) for request in requests])
        tally.add(outcomes)
        everything += outcomes
    return [outcome for outcome in everything if isinstance(outcome, Sample)], everything


def counts_of(samples: Sequence[Sample], attribute: str = "keyword") -> Counter[str]:
    return Counter(getattr(sample.draft, attribute) for sample in samples)


@pytest.mark.parametrize("round_size", [7, 10_000])
def test_exactly_the_counts_are_accepted_and_the_rest_is_spread_evenly(round_size: int) -> None:
    planner = plan(120, counts={"dog": 40, "owl": 0, "cat": 5})
    samples, _ = fill(planner, 120, fail_sometimes, round_size)
    counts = counts_of(samples)
    assert (counts.pop("dog"), counts.pop("cat"), counts["owl"], len(samples)) == (40, 5, 0, 120)
    others = len(load_capability("animal").keywords) - 3
    assert len(counts) > 0.85 * others  # a few had no luck three times and were left out
    assert max(counts.values()) <= 75 // others + 2
    assert planner.explain_shortfalls() == ()


def test_shares_become_whole_numbers_that_add_up() -> None:
    planner = plan(100, shares={"beach": 0.333, "forest": 0.333, "snow": 0.334}, attribute="setting")
    samples, _ = fill(planner, 100, make)
    assert counts_of(samples, "setting") == {"beach": 33, "forest": 33, "snow": 34}


def test_a_capabilitys_own_name_stands_for_its_short_answers() -> None:
    planner = plan(60, "color", attribute="color", counts={"red": 30, "blue": 12})
    samples, _ = fill(planner, 60, fail_sometimes)
    colors = Counter(sample.draft.keyword.partition(" ")[0] for sample in samples)
    assert (colors["red"], colors["blue"], colors.total()) == (30, 12, 60)
    assert max(count for color, count in colors.items() if color not in ("red", "blue")) <= 4


def test_two_attributes_are_filled_at_once() -> None:
    planner = training_planner(RunConfig(), load_capability("animal"))
    targets = (TargetSettings(counts={"dog": 20, "cat": 20}), TargetSettings(attribute="setting", counts={"beach": 30}))
    axes = resolve_targets(CoverageSettings(targets=targets), planner.capability, planner.settings_by_keyword, 80)
    samples, _ = fill(TargetedPlanner(planner, axes, 80, 5.0), 80, fail_sometimes, 16)
    assert counts_of(samples, "setting")["beach"] == 30
    assert (counts_of(samples)["dog"], counts_of(samples)["cat"], len(samples)) == (20, 20, 80)


def test_a_cell_that_cannot_be_filled_is_told_with_its_reasons_and_the_others_are_full() -> None:
    planner = plan(60, counts={"dog": 10, "cat": 10}, budget=3.0)
    samples, everything = fill(planner, 60, never_draw_dogs)
    assert len(samples) == 50
    (short,) = planner.explain_shortfalls()
    assert (short.value, short.wanted, short.accepted, short.num_drafts) == ("dog", 10, 0, 30)
    assert short.words == "keyword dog: 0 of 10 after 30 drafts, its budget; rejected: keyword_not_drawable 30"
    assert len(everything) == 80


def test_the_budget_bounds_all_drafts_of_a_capability() -> None:
    planner = plan(40, counts={"dog": 10}, budget=2.0)
    _, everything = fill(planner, 40, lambda request: refuse(request, "no"), 9)
    assert len(everything) <= 80
    assert {short.value for short in planner.explain_shortfalls()} == {"dog", ""}


def test_what_only_a_draft_decides_is_wished_for_and_counted_afterwards() -> None:
    planner = plan(40, attribute="style", counts={"watercolor": 10, "neon": 10})
    samples, everything = fill(planner, 40, grant_wishes)
    styles = Counter(dict(sample.draft.attributes).get("style", "") for sample in samples)
    assert styles == {"watercolor": 10, "neon": 10, "": 20}
    assert len(everything) == 40


def test_what_a_draft_does_not_state_is_read_off_its_prompt() -> None:
    planner = plan(40, attribute="style", counts={"watercolor": 10, "oil painting": 10})
    samples, _ = fill(planner, 40, write_wishes_into_the_prompt)
    assert sum("oil painting" in sample.draft.prompts[0].text for sample in samples) == 10
    assert planner.explain_shortfalls() == ()


def test_a_writer_that_ignores_wishes_is_drafted_again_until_the_cells_are_exact() -> None:
    planner = plan(40, attribute="style", counts={"watercolor": 20, "neon": 20}, budget=8.0)
    samples, everything = fill(planner, 40, choose_style_freely)
    styles = Counter(dict(sample.draft.attributes)["style"] for sample in samples)
    assert styles == {"watercolor": 20, "neon": 20}
    assert {outcome.reason for outcome in everything if isinstance(outcome, Rejected)} == {OVER_TARGET}


def test_rounds_planned_and_settled_again_are_the_same() -> None:
    runs = [fill(plan(60, counts={"dog": 20}), 60, fail_sometimes, 13)[1] for _ in range(2)]
    assert runs[0] == runs[1]


def test_a_target_for_one_capability_goes_before_the_general_one() -> None:
    general = TargetSettings(attribute="setting", counts={"beach": 30})
    special = TargetSettings(attribute="setting", counts={"beach": 5}, capability="animal")
    planner = training_planner(RunConfig(), load_capability("animal"))
    settings = CoverageSettings(targets=(general, special))
    axes = resolve_targets(settings, planner.capability, planner.settings_by_keyword, 60)
    assert axes == (Axis("setting", {"beach": 5, "": 55}),)


def test_values_that_a_capability_does_not_know_are_left_out_of_general_targets() -> None:
    planner = training_planner(RunConfig(), load_capability("animal"))
    settings = CoverageSettings(targets=(TargetSettings(counts={"red car": 5}),))
    assert resolve_targets(settings, planner.capability, planner.settings_by_keyword, 60) == ()


@pytest.mark.parametrize(
    ("target", "message"),
    [
        ({"capability": "animal", "counts": {"dgo": 5}}, "no 'dgo' to draft. Did you mean 'dog'"),
        ({"counts": {"dog": 50, "cat": 20}}, "asks for 70 samples of 60"),
        ({"counts": {"dog": -1}}, "0 or more works"),
        ({"counts": {"dog": 1}, "shares": {"dog": 0.1}}, "a count and a share"),
        ({"attribute": "keyword", "shares": {"dog": 1.2}}, "asks for 72 samples of 60"),
    ],
)
def test_targets_that_cannot_be_met_are_refused_before_anything_is_drafted(
    target: dict[str, Any], message: str
) -> None:
    with pytest.raises(ConfigError, match=message):
        plan(60, **target)


def test_a_target_for_a_capability_that_is_not_made_is_refused() -> None:
    settings = CoverageSettings(targets=(TargetSettings(capability="anmal", counts={"dog": 1}),))
    with pytest.raises(ConfigError, match="Did you mean 'animal'"):
        check_targets(settings, ("animal", "food"))


def test_pool_and_targets_leave_no_trace_where_they_are_off_and_survive_saving_where_they_are_on(tmp_path) -> None:  # type: ignore[no-untyped-def]
    assert not {"pool", "coverage"} & RunConfig().model_dump()["synthesis"].keys()
    config = load_config(overrides=["synthesis.pool={}", "synthesis.coverage={targets: [{counts: {dog: 3}}]}"])
    assert config.synthesis.pool is not None
    path = tmp_path / "config.yaml"
    path.write_text(dump_config(config), encoding="utf-8")
    assert load_config(path) == config
    assert data_fingerprint(config) != data_fingerprint(RunConfig())
